import { workloadKey } from '../cluster/model.ts';
import type { ClusterState } from '../cluster/state.ts';
import { resolveTraffic, type ResolvedTraffic, type TrafficEdge, type TrafficRow } from '../cluster/traffic.ts';
import { byText } from '../../lib/by-text.ts';

/** Traffic from a client workload to a server workload, bytes per second or without a unit. */
export interface DirectedEdge {
  readonly client: number;
  readonly server: number;
  /** Client to server, and back. */
  readonly out: number;
  readonly back: number;
}

/** Traffic between two workloads, both ways; a < b. */
export interface Pair {
  readonly a: number;
  readonly b: number;
  readonly weight: number;
  /** The parts of which a, and b, is the client. */
  readonly byA: number;
  readonly byB: number;
}

export interface Traffic {
  /** Between different workloads that have pods; each (client, server) once, in order. */
  readonly edges: readonly DirectedEdge[];
  readonly pairs: readonly Pair[];
  /** Sum of `pairs`. */
  readonly total: number;
  /** Of each workload with what is no workload (outside, nodes, Services without pods): sent and received. */
  readonly otherOut: Float64Array;
  readonly otherBack: Float64Array;
  /** Traffic of workloads with themselves: no placement is better for it by the formula. */
  readonly withinWorkloads: number;
}

/**
 * What the rows mean between the workloads that have pods. A Service means the workloads behind it, in equal parts.
 * Rows are taken in the order of what they say, so that sums do not depend on the order of the file.
 */
export function collectTraffic(
  rows: readonly TrafficRow[],
  state: ClusterState,
  workloadIndex: ReadonlyMap<string, number>,
  workloadCount: number,
): { readonly traffic: Traffic } & Pick<ResolvedTraffic, 'edges' | 'unknown' | 'deserted'> {
  const sorted = rows
    .map((row) => ({ row, key: `${workloadKey(row.client)} ${workloadKey(row.peer)}` }))
    .sort(
      (a, b) =>
        byText(a.key, b.key) ||
        a.row.bytesPerSecondOut - b.row.bytesPerSecondOut ||
        a.row.bytesPerSecondIn - b.row.bytesPerSecondIn,
    )
    .map(({ row }) => row);
  const { edges: unsorted, unknown, deserted } = resolveTraffic(sorted, state);
  const edges = unsorted
    .map((edge) => ({ edge, key: `${workloadKey(edge.client)} ${workloadKey(edge.server)}` }))
    .sort((a, b) => byText(a.key, b.key))
    .map(({ edge }) => edge);

  const directed = new Map<number, { client: number; server: number; out: number; back: number }>();
  const otherOut = new Float64Array(workloadCount);
  const otherBack = new Float64Array(workloadCount);
  let withinWorkloads = 0;
  const behind = new Map<string, readonly number[]>();
  const indicesOf = ({ namespace, kind, name }: TrafficEdge['server']): readonly number[] => {
    const key = `${namespace}/${kind}/${name}`;
    if (kind !== 'Service') return single(workloadIndex.get(key));
    let found = behind.get(key);
    if (found === undefined) {
      const service = state.service(namespace, name);
      const selected = service === undefined ? [] : state.selectedBy(service);
      found = selected.flatMap((workload) => single(workloadIndex.get(workload.key))).sort((a, b) => a - b);
      behind.set(key, found);
    }
    return found;
  };
  for (const { client: from, server: to, bytesPerSecondOut, bytesPerSecondIn } of edges) {
    const client = from.kind === 'Service' ? undefined : workloadIndex.get(workloadKey(from));
    const servers = indicesOf(to);
    if (client === undefined || servers.length === 0) {
      if (client !== undefined) {
        otherOut[client]! += bytesPerSecondOut;
        otherBack[client]! += bytesPerSecondIn;
      }
      for (const server of servers) {
        otherOut[server]! += bytesPerSecondIn / servers.length;
        otherBack[server]! += bytesPerSecondOut / servers.length;
      }
      continue;
    }
    for (const server of servers) {
      const out = bytesPerSecondOut / servers.length;
      const back = bytesPerSecondIn / servers.length;
      if (server === client) {
        withinWorkloads += out + back;
        continue;
      }
      if (out + back <= 0) continue;
      const key = client * workloadCount + server;
      const known = directed.get(key);
      if (known === undefined) directed.set(key, { client, server, out, back });
      else {
        known.out += out;
        known.back += back;
      }
    }
  }
  const list = [...directed.values()].sort((x, y) => x.client - y.client || x.server - y.server);
  const pairs = pairsOf(list, workloadCount);
  const total = pairs.reduce((sum, pair) => sum + pair.weight, 0);
  return { traffic: { edges: list, pairs, total, otherOut, otherBack, withinWorkloads }, edges, unknown, deserted };
}

function pairsOf(edges: readonly DirectedEdge[], workloadCount: number): Pair[] {
  const pairs = new Map<number, { a: number; b: number; weight: number; byA: number; byB: number }>();
  for (const { client, server, out, back } of edges) {
    const a = Math.min(client, server);
    const b = Math.max(client, server);
    let pair = pairs.get(a * workloadCount + b);
    if (pair === undefined) pairs.set(a * workloadCount + b, (pair = { a, b, weight: 0, byA: 0, byB: 0 }));
    pair.weight += out + back;
    if (client === a) pair.byA += out + back;
    else pair.byB += out + back;
  }
  return [...pairs.values()].sort((x, y) => x.a - y.a || x.b - y.b);
}

function single(index: number | undefined): number[] {
  return index === undefined ? [] : [index];
}
