import type { Hints } from './hints.ts';
import { PEER_SOURCES } from './hints.ts';
import type { PlacementView } from './view.ts';

/** The peers of one workload: entries start .. end-1 of columns like the view's, peers ascending, those of one side by side. */
export interface PeerRow {
  readonly start: number;
  readonly end: number;
  readonly peer: Int32Array;
  readonly client: Uint8Array;
  readonly bytesPerSecond: Float64Array;
  readonly confidence: Float32Array;
  readonly source: Uint8Array;
  readonly routing: Uint8Array;
  /** Of pinned entries, see PlacementView. */
  readonly pinStart: Int32Array;
  readonly pinNode: Int32Array;
  readonly pinShare: Float32Array;
  /** Known traffic with what cannot be near, bytes per second of all replicas. */
  readonly otherBytesPerSecond: number;
}

/** What of a view tells of peers; a view under construction has it too. */
export type PeerColumns = Pick<
  PlacementView,
  | 'peerStart'
  | 'peer'
  | 'peerClient'
  | 'peerBytesPerSecond'
  | 'peerConfidence'
  | 'peerSource'
  | 'peerRouting'
  | 'pinStart'
  | 'pinNode'
  | 'pinShare'
  | 'otherBytesPerSecond'
>;

export function rowOf(view: PeerColumns, workload: number): PeerRow {
  return {
    start: view.peerStart[workload]!,
    end: view.peerStart[workload + 1]!,
    peer: view.peer,
    client: view.peerClient,
    bytesPerSecond: view.peerBytesPerSecond,
    confidence: view.peerConfidence,
    source: view.peerSource,
    routing: view.peerRouting,
    pinStart: view.pinStart,
    pinNode: view.pinNode,
    pinShare: view.pinShare,
    otherBytesPerSecond: trafficOf(view.otherBytesPerSecond[workload]),
  };
}

/** What hints say of one pod, for all replicas of its workload. */
export function rowOfHints(hints: Hints, replicas: number): PeerRow {
  const peers = hints.peers.toSorted((a, b) => a.workload - b.workload || Number(b.asClient) - Number(a.asClient));
  return {
    start: 0,
    end: peers.length,
    peer: Int32Array.from(peers, ({ workload }) => workload),
    client: Uint8Array.from(peers, ({ asClient }) => (asClient ? 1 : 0)),
    bytesPerSecond: Float64Array.from(peers, ({ bytesPerSecond }) => bytesPerSecond * replicas),
    confidence: Float32Array.from(peers, ({ confidence }) => confidence),
    source: new Uint8Array(peers.length).fill(PEER_SOURCES.indexOf(hints.source)),
    routing: new Uint8Array(peers.length),
    pinStart: new Int32Array(peers.length + 1),
    pinNode: new Int32Array(0),
    pinShare: new Float32Array(0),
    otherBytesPerSecond: hints.otherBytesPerSecond * replicas,
  };
}

/** Traffic figures that are no number above 0 count as none. */
export function trafficOf(bytesPerSecond: number | undefined): number {
  return bytesPerSecond !== undefined && bytesPerSecond > 0 && bytesPerSecond < Infinity ? bytesPerSecond : 0;
}

/** V_a: all known traffic of a workload, bytes per second, both ways, also what cannot be co-located. */
export function trafficIn(row: PeerRow): number {
  let sum = row.otherBytesPerSecond;
  for (let e = row.start; e < row.end; e++) sum += trafficOf(row.bytesPerSecond[e]);
  return sum;
}

export function knownTraffic(view: PlacementView, workload: number): number {
  return trafficIn(rowOf(view, workload));
}

/** Bytes per second of an entry, as far as they are trusted. */
export function weightOf(row: PeerRow, entry: number): number {
  return trafficOf(row.bytesPerSecond[entry]) * row.confidence[entry]!;
}

/**
 * Whether an entry can gain at all. The formula gives traffic of a workload with itself nothing: it is no reason to pack replicas together.
 * @param workload whose row it is; -1: not in the view
 */
export function isMovable(
  view: Pick<PlacementView, 'workloadCount' | 'replicas'>,
  workload: number,
  { peer: peers }: PeerRow,
  entry: number,
): boolean {
  const peer = peers[entry]!;
  return peer !== workload && peer >= 0 && peer < view.workloadCount && view.replicas[peer]! > 0;
}
