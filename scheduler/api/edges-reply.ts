import { properKind } from '../cluster/kinds.ts';
import { edgeViews, type EdgeView, type Level } from '../graph/edge-views.ts';
import type { Endpoint } from '../graph/endpoint-table.ts';
import type { TrafficGraph } from '../graph/traffic-graph.ts';
import type { EdgesReply, WorkloadTraffic } from './replies.ts';

export interface EdgeFilter {
  readonly by: Level;
  /** Either end lies in it. */
  readonly namespace: string | undefined;
  /** Either end has this name, or this "Kind/name"; the kind in any case, or by its short name. */
  readonly name: string | undefined;
  readonly limit: number;
}

/** The heaviest edges by the short average. Pure. */
export function edgesReply(graph: TrafficGraph, filter: EdgeFilter): Omit<EdgesReply, 'warnings'> {
  const edges: EdgeView[] = [];
  for (const edge of edgeViews(graph, filter.by)) if (matches(edge, filter)) edges.push(edge);
  edges.sort(byRate);
  const rest = edges.splice(filter.limit);
  return {
    by: filter.by,
    edges,
    omitted: rest.length,
    omittedBytesPerSecond: sumOf(rest),
    totalBytesPerSecond: sumOf(edges) + sumOf(rest),
  };
}

/** Traffic summed by end, heaviest first: both ends of an edge count it. Pure. */
export function trafficByEnd(graph: TrafficGraph, filter: EdgeFilter): WorkloadTraffic[] {
  const ends = new Map<string, { -readonly [K in keyof WorkloadTraffic]: WorkloadTraffic[K] }>();
  const endOf = ({ kind, namespace, name }: Endpoint) => {
    const key = `${kind}\0${namespace}\0${name}`;
    let end = ends.get(key);
    if (end === undefined) {
      end = {
        kind,
        namespace,
        name,
        sent: 0,
        received: 0,
        sentLong: 0,
        receivedLong: 0,
        peers: 0,
        connections: 0,
        retransmits: 0,
      };
      ends.set(key, end);
    }
    return end;
  };
  for (const edge of edgeViews(graph, filter.by)) {
    if (!matches(edge, filter)) continue;
    const client = endOf(edge.client);
    const server = endOf(edge.server);
    client.sent += edge.short.out;
    client.received += edge.short.in;
    client.sentLong += edge.long.out;
    client.receivedLong += edge.long.in;
    server.sent += edge.short.in;
    server.received += edge.short.out;
    server.sentLong += edge.long.in;
    server.receivedLong += edge.long.out;
    for (const end of client === server ? [client] : [client, server]) {
      end.peers++;
      end.connections += edge.connections;
      end.retransmits += edge.retransmits;
    }
  }
  return [...ends.values()].sort((a, b) => b.sent + b.received - a.sent - a.received);
}

function matches(edge: EdgeView, { namespace, name }: EdgeFilter): boolean {
  if (namespace !== undefined && edge.client.namespace !== namespace && edge.server.namespace !== namespace) {
    return false;
  }
  return name === undefined || isNamed(edge.client, name) || isNamed(edge.server, name);
}

function isNamed(end: Endpoint, name: string): boolean {
  if (end.name === name) return true;
  const slash = name.indexOf('/');
  if (slash < 0) return false;
  const kind = properKind(name.slice(0, slash));
  return end.kind.toLowerCase() === kind.toLowerCase() && end.name === name.slice(slash + 1);
}

function rateOf(edge: EdgeView): number {
  return edge.short.out + edge.short.in;
}

function byRate(a: EdgeView, b: EdgeView): number {
  return rateOf(b) - rateOf(a) || b.bytesOut + b.bytesIn - a.bytesOut - a.bytesIn;
}

function sumOf(edges: readonly EdgeView[]): number {
  return edges.reduce((sum, edge) => sum + rateOf(edge), 0);
}
