import type { PeerRow } from '../placement/peer-row.ts';
import { PINNED, RANDOM } from '../placement/routing.ts';

/** Edges between workloads as they are collected: a pair may come several times (protocols, families). */
export class PairList {
  n = 0;
  client = new Int32Array(1024);
  server = new Int32Array(1024);
  bytesPerSecond = new Float64Array(1024);
  confidence = new Float64Array(1024);
  /** A code of ROUTINGS. */
  routing = new Uint8Array(1024);

  push(client: number, server: number, bytesPerSecond: number, confidence: number, routing = RANDOM): void {
    if (this.n === this.client.length) this.#grow();
    this.client[this.n] = client;
    this.server[this.n] = server;
    this.bytesPerSecond[this.n] = bytesPerSecond;
    this.routing[this.n] = routing;
    this.confidence[this.n++] = confidence;
  }

  clear(): void {
    this.n = 0;
  }

  #grow(): void {
    const size = this.n * 2;
    const wider = <T extends Int32Array | Float64Array | Uint8Array>(to: T, from: T): T => {
      to.set(from);
      return to;
    };
    this.client = wider(new Int32Array(size), this.client);
    this.server = wider(new Int32Array(size), this.server);
    this.bytesPerSecond = wider(new Float64Array(size), this.bytesPerSecond);
    this.confidence = wider(new Float64Array(size), this.confidence);
    this.routing = wider(new Uint8Array(size), this.routing);
  }
}

export interface PeerMatrix {
  readonly peerStart: Int32Array;
  readonly peer: Int32Array;
  readonly peerClient: Uint8Array;
  readonly peerBytesPerSecond: Float64Array;
  readonly peerConfidence: Float32Array;
  readonly peerSource: Uint8Array;
  readonly peerRouting: Uint8Array;
}

/**
 * A CSR matrix with each edge at both its ends (an edge of a workload with itself once, as client), peers ascending,
 * the client's entry before the server's. Several edges of a pair become one: rates add up, confidence is their mean
 * weighted by rate. Of more than `maxPeers` peers those with the highest rates stay; the rest is added to `other`.
 * A workload without replicas is gone: its row names its living peers, for it may come back before the next view, but it is
 * nobody's peer. Linear in edges: two passes of bucketing instead of a sort.
 */
export function buildPeerMatrix(
  pairs: PairList,
  replicas: Int32Array,
  maxPeers: number,
  other: Float64Array,
): PeerMatrix {
  const workloads = replicas.length;
  const { n, client, server } = pairs;
  // Half-edges: 2i is edge i at its client, 2i + 1 at its server.
  const byPeer = bucket(2 * n, workloads, (half) => ((half & 1) === 0 ? server[half >> 1]! : client[half >> 1]!));
  const ownerOf = (half: number): number => ((half & 1) === 0 ? client[half >> 1]! : server[half >> 1]!);
  const byOwner = bucket(2 * n, workloads, ownerOf, byPeer.order);

  const peerStart = new Int32Array(workloads + 1);
  const peer = new Int32Array(2 * n);
  const peerClient = new Uint8Array(2 * n);
  const rate = new Float64Array(2 * n);
  const weighted = new Float64Array(2 * n);
  const routing = new Uint8Array(2 * n);
  let at = 0;
  for (let w = 0; w < workloads; w++) {
    peerStart[w] = at;
    const first = at;
    const [from, to] = [byOwner.start[w]!, byOwner.start[w + 1]!];
    // Peers come ascending; for one peer, entries as client are gathered before those as server.
    for (let k = from; k < to;) {
      const p = otherEnd(byOwner.order[k]!, client, server);
      let end = k;
      while (end < to && otherEnd(byOwner.order[end]!, client, server) === p) end++;
      for (const asClient of replicas[p] === 0 ? [] : [1, 0]) {
        if (asClient === 0 && p === w) continue;
        let sum = 0;
        let product = 0;
        let routed: number | undefined;
        for (let j = k; j < end; j++) {
          const half = byOwner.order[j]!;
          if ((half & 1) === asClient) continue;
          sum += pairs.bytesPerSecond[half >> 1]!;
          const own = pairs.routing[half >> 1]!;
          // What servers a pinned client found is its own matter; ways that differ are no way.
          if (own === PINNED && asClient === 0) routed = RANDOM;
          else routed = routed === undefined || routed === own ? own : RANDOM;
          product += pairs.bytesPerSecond[half >> 1]! * pairs.confidence[half >> 1]!;
        }
        if (sum <= 0) continue;
        peer[at] = p;
        peerClient[at] = asClient;
        rate[at] = sum;
        routing[at] = routed ?? RANDOM;
        weighted[at++] = product / sum;
      }
      k = end;
    }
    if (at - first > maxPeers) at = keepLargest(first, at, maxPeers, w);
  }
  peerStart[workloads] = at;
  return {
    peerStart,
    peer: peer.slice(0, at),
    peerClient: peerClient.slice(0, at),
    peerBytesPerSecond: rate.slice(0, at),
    peerConfidence: Float32Array.from(weighted.subarray(0, at)),
    peerSource: new Uint8Array(at),
    peerRouting: routing.slice(0, at),
  };

  function keepLargest(first: number, end: number, count: number, w: number): number {
    const entries = Array.from({ length: end - first }, (_, i) => first + i);
    const keep = new Set(entries.sort((a, b) => rate[b]! - rate[a]! || a - b).slice(0, count));
    let to = first;
    for (let i = first; i < end; i++) {
      if (!keep.has(i)) {
        other[w]! += rate[i]!;
        continue;
      }
      peer[to] = peer[i]!;
      peerClient[to] = peerClient[i]!;
      rate[to] = rate[i]!;
      routing[to] = routing[i]!;
      weighted[to++] = weighted[i]!;
    }
    return to;
  }
}

/** The matrix with rows of hints for workloads whose own rows are empty. */
export function withRows(matrix: PeerMatrix, rows: ReadonlyMap<number, PeerRow>): PeerMatrix {
  if (rows.size === 0) return matrix;
  const workloads = matrix.peerStart.length - 1;
  let size = matrix.peer.length;
  for (const { start, end } of rows.values()) size += end - start;
  const grown = {
    peerStart: new Int32Array(workloads + 1),
    peer: new Int32Array(size),
    peerClient: new Uint8Array(size),
    peerBytesPerSecond: new Float64Array(size),
    peerConfidence: new Float32Array(size),
    peerSource: new Uint8Array(size),
    peerRouting: new Uint8Array(size),
  };
  let at = 0;
  let from = 0;
  const copyUpTo = (end: number): void => {
    grown.peer.set(matrix.peer.subarray(from, end), at);
    grown.peerClient.set(matrix.peerClient.subarray(from, end), at);
    grown.peerBytesPerSecond.set(matrix.peerBytesPerSecond.subarray(from, end), at);
    grown.peerConfidence.set(matrix.peerConfidence.subarray(from, end), at);
    grown.peerSource.set(matrix.peerSource.subarray(from, end), at);
    grown.peerRouting.set(matrix.peerRouting.subarray(from, end), at);
    at += end - from;
    from = end;
  };
  let shifted = 0;
  for (let w = 0; w < workloads; w++) {
    grown.peerStart[w] = matrix.peerStart[w]! + shifted;
    const row = rows.get(w);
    if (row === undefined) continue;
    copyUpTo(matrix.peerStart[w + 1]!);
    for (let e = row.start; e < row.end; e++) {
      grown.peer[at] = row.peer[e]!;
      grown.peerClient[at] = row.client[e]!;
      grown.peerBytesPerSecond[at] = row.bytesPerSecond[e]!;
      grown.peerConfidence[at] = row.confidence[e]!;
      grown.peerSource[at] = row.source[e]!;
      grown.peerRouting[at++] = row.routing[e]!;
    }
    shifted += row.end - row.start;
  }
  grown.peerStart[workloads] = matrix.peerStart[workloads]! + shifted;
  copyUpTo(matrix.peer.length);
  return grown;
}

function otherEnd(half: number, client: Int32Array, server: Int32Array): number {
  return (half & 1) === 0 ? server[half >> 1]! : client[half >> 1]!;
}

/** Counting sort of 0..n-1 (or of `order`) by a key in 0..keys-1; stable. */
function bucket(
  n: number,
  keys: number,
  keyOf: (item: number) => number,
  order?: Int32Array,
): { readonly start: Int32Array; readonly order: Int32Array } {
  const start = new Int32Array(keys + 1);
  for (let i = 0; i < n; i++) start[keyOf(i) + 1]!++;
  for (let key = 0; key < keys; key++) start[key + 1]! += start[key]!;
  const next = start.slice();
  const sorted = new Int32Array(n);
  for (let i = 0; i < n; i++) {
    const item = order === undefined ? i : order[i]!;
    sorted[next[keyOf(item)]!++] = item;
  }
  return { start, order: sorted };
}
