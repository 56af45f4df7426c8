/**
 * Traffic between workloads as the traffic file states it (docs/traffic-format.md). Pure: rows, their validation, their meaning in
 * a cluster, and writing. Bytes per second of payload; "out" is client -> peer.
 */
import { formatCidr, parseCidr } from '../../lib/ip.ts';
import { csvLine, type CsvRow } from './csv.ts';
import { properKind } from './kinds.ts';
import { workloadKey, type WorkloadRef } from './model.ts';
import type { ClusterState } from './state.ts';

export const TRAFFIC_COLUMNS = [
  'namespace',
  'workload_kind',
  'workload',
  'peer_namespace',
  'peer_kind',
  'peer',
  'bytes_per_second_out',
  'bytes_per_second_in',
] as const;
export const TRAFFIC_HEADER = TRAFFIC_COLUMNS.join(',');

/** One end of an edge: a workload, or kind Node, Service, External (name: its CIDR) or Unknown. Namespace '' where there is none. */
export type PeerRef = WorkloadRef;

export interface TrafficRow {
  readonly line: number;
  readonly client: PeerRef;
  readonly peer: PeerRef;
  readonly bytesPerSecondOut: number;
  readonly bytesPerSecondIn: number;
}

export interface TrafficEdge {
  readonly client: PeerRef;
  readonly server: PeerRef;
  readonly bytesPerSecondOut: number;
  readonly bytesPerSecondIn: number;
}

/** 8 Tbit/s at one workload edge: ten times the fastest NIC there is; more is a mistake of unit. */
export const MAX_BYTES_PER_SECOND = 1e12;

/** Why a row cannot be read. */
export interface RowFault {
  readonly column: string;
  readonly expected: string;
  readonly found: string;
}

function readRate(text: string): number | undefined {
  if (!/^\+?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$/.test(text)) return undefined;
  const value = Number(text);
  return value <= MAX_BYTES_PER_SECOND ? value : undefined;
}

function readPeer(namespace: string, kindText: string, name: string): PeerRef | Omit<RowFault, 'column'> {
  const kind = properKind(kindText);
  if (kind === '') return { expected: 'a kind', found: 'nothing' };
  if (kind === 'External') {
    const cidr = parseCidr(name);
    if (cidr === undefined)
      return { expected: 'a CIDR or an address for an External peer', found: JSON.stringify(name) };
    return { namespace: '', kind, name: formatCidr(cidr) };
  }
  if (kind === 'Unknown') return { namespace: '', kind, name };
  if (name === '') return { expected: 'a name', found: 'nothing' };
  if (kind === 'Node') return { namespace: '', kind, name };
  if (namespace === '') return { expected: 'a namespace', found: 'nothing' };
  return { namespace, kind, name };
}

/** No name of Kubernetes' has one; a zero byte or a line break tells of a damaged file. */
const CONTROL = /[\u0000-\u001f\u007f]/;

/** One row of the file. Spaces around fields are taken off. */
export function readTrafficRow(row: CsvRow): TrafficRow | RowFault {
  const fields = row.fields.map((field) => field.trim());
  if (fields.length !== TRAFFIC_COLUMNS.length) {
    return { column: '', expected: `${TRAFFIC_COLUMNS.length} columns`, found: `${fields.length}` };
  }
  const control = fields.findIndex((field) => CONTROL.test(field));
  if (control >= 0) {
    const found = JSON.stringify(fields[control]!.slice(0, 80));
    return { column: TRAFFIC_COLUMNS[control]!, expected: 'no control character', found };
  }
  const [namespace, kind, name, peerNamespace, peerKind, peerName, out, back] = fields as [
    string,
    string,
    string,
    string,
    string,
    string,
    string,
    string,
  ];
  const client = readPeer(namespace, kind, name);
  if ('expected' in client) return { column: 'workload', ...client };
  const peer = readPeer(peerNamespace, peerKind, peerName);
  if ('expected' in peer) return { column: 'peer', ...peer };
  const expected = `a number of bytes per second, 0 to ${MAX_BYTES_PER_SECOND}`;
  const bytesPerSecondOut = readRate(out);
  if (bytesPerSecondOut === undefined) return { column: 'bytes_per_second_out', expected, found: JSON.stringify(out) };
  const bytesPerSecondIn = readRate(back);
  if (bytesPerSecondIn === undefined) return { column: 'bytes_per_second_in', expected, found: JSON.stringify(back) };
  return { line: row.line, client, peer, bytesPerSecondOut, bytesPerSecondIn };
}

/** Rows that mean less than they say. */
export interface UnknownTraffic {
  readonly count: number;
  /** Up to 10, e.g. "line 7: shop/Deployment/cartservce is not in the cluster". */
  readonly samples: readonly string[];
}

export interface ResolvedTraffic {
  /** One per pair: rows that mean the same pair are summed. */
  readonly edges: readonly TrafficEdge[];
  /** Rows that name something the cluster does not have: they are left out. */
  readonly unknown: UnknownTraffic;
  /** Rows with a Service that has no workload behind it: they are kept, and say nothing of where pods are best. */
  readonly deserted: UnknownTraffic;
  /** Rows that were added to an edge of an earlier row. */
  readonly summed: number;
}

const MAX_SAMPLES = 10;

/**
 * What the rows mean in this cluster:
 * - workloads by their name; a ReplicaSet, Job or single pod means its workload;
 * - a Service means the workload it selects if that is exactly one, else it stays a Service: of several as a server each gets its part
 *   where traffic is used (placement-view-builder.ts), none are told;
 * - External and Unknown are taken as they are; a Node must exist.
 * Rows that name what is not there are counted. Edges of a workload with itself are kept.
 */
export function resolveTraffic(rows: Iterable<TrafficRow>, state: ClusterState): ResolvedTraffic {
  const edges = new Map<string, { -readonly [K in keyof TrafficEdge]: TrafficEdge[K] }>();
  const known = new Map<string, PeerRef | undefined>();
  const empty = new Set<PeerRef>();
  const unknown = new Rows();
  const deserted = new Rows();
  let summed = 0;
  const resolve = (ref: PeerRef): PeerRef | undefined => {
    const key = workloadKey(ref);
    if (known.has(key)) return known.get(key);
    const found = resolvePeer(ref, state);
    known.set(key, found);
    if (found !== undefined && isDeserted(found, state)) empty.add(found);
    return found;
  };
  for (const row of rows) {
    const client = resolve(row.client);
    const server = resolve(row.peer);
    if (client === undefined || server === undefined) {
      unknown.add(row, client === undefined ? row.client : row.peer, 'is not in the cluster');
      continue;
    }
    const service = [client, server].find((end) => empty.has(end));
    if (service !== undefined) deserted.add(row, service, 'has no workload behind it');
    const key = `${workloadKey(client)} ${workloadKey(server)}`;
    const edge = edges.get(key);
    if (edge === undefined) {
      const { bytesPerSecondOut, bytesPerSecondIn } = row;
      edges.set(key, { client, server, bytesPerSecondOut, bytesPerSecondIn });
    } else {
      edge.bytesPerSecondOut += row.bytesPerSecondOut;
      edge.bytesPerSecondIn += row.bytesPerSecondIn;
      summed++;
    }
  }
  return { edges: [...edges.values()], unknown: unknown.told(), deserted: deserted.told(), summed };
}

class Rows {
  #count = 0;
  /** Of the first lines, in their order. */
  readonly #first: { readonly line: number; readonly text: string }[] = [];

  told(): UnknownTraffic {
    return { count: this.#count, samples: this.#first.map(({ text }) => text) };
  }

  add({ line }: TrafficRow, end: PeerRef, why: string): void {
    this.#count++;
    if (this.#first.length === MAX_SAMPLES && line > this.#first.at(-1)!.line) return;
    this.#first.push({ line, text: `line ${line}: ${workloadKey(end).replace(/^\//, '')} ${why}` });
    this.#first.sort((a, b) => a.line - b.line);
    this.#first.splice(MAX_SAMPLES);
  }
}

function isDeserted({ kind, namespace, name }: PeerRef, state: ClusterState): boolean {
  if (kind !== 'Service') return false;
  const service = state.service(namespace, name);
  return service === undefined || state.selectedBy(service).length === 0;
}

function resolvePeer(ref: PeerRef, state: ClusterState): PeerRef | undefined {
  switch (ref.kind) {
    case 'External':
    case 'Unknown':
      return ref;
    case 'Node':
      return state.node(ref.name) === undefined ? undefined : ref;
    case 'Service': {
      const service = state.service(ref.namespace, ref.name);
      if (service === undefined) return undefined;
      const behind = state.selectedBy(service);
      return behind.length === 1 ? behind[0]!.ref : ref;
    }
    default:
      return state.findWorkload(ref.namespace, ref.kind, ref.name)?.ref;
  }
}

/** The text of traffic.csv in pieces. */
export function* trafficChunks(edges: Iterable<TrafficEdge>): Generator<string> {
  let text = `${TRAFFIC_HEADER}\n`;
  for (const { client, server, bytesPerSecondOut, bytesPerSecondIn } of edges) {
    const rates = [bytesPerSecondOut, bytesPerSecondIn].map((rate) => String(Math.max(0, rate)));
    text += csvLine([client.namespace, client.kind, client.name, server.namespace, server.kind, server.name, ...rates]);
    if (text.length > 65_536) {
      yield text;
      text = '';
    }
  }
  yield text;
}
