import { HeavyPeers } from './heavy-peers.ts';
import { minMarginal, replicaCap } from './min-marginal.ts';
import { rowOf, type PeerColumns } from './peer-row.ts';
import { placedOn } from './placed.ts';
import { RANDOM } from './routing.ts';
import { DEFAULT_PLACEMENT_SETTINGS } from './settings.ts';
import { Tally } from './tally.ts';
import type { PlacementView } from './view.ts';

/**
 * Room that replicas to come have a claim to: beside the peers that stand already. A pod that takes the last of it costs
 * them traffic that would have been local, whatever it gains itself.
 *
 * Of a workload b with L replicas to come, the gains G_b(n) = sum over its heaviest peers of w_ab * minMarginal at the nodes where one more
 * fits: the L best are claimed, each for as much as it gains more than the best node that is left over (where there are more than
 * enough places, none of them is missed). Entries of node n: start[n] .. end[n]-1, the most bytes for their size first.
 */
export interface Claims {
  readonly start: Int32Array;
  readonly end: Int32Array;
  readonly workload: Int32Array;
  /** What would not become local if the replica found no room there. */
  readonly bytesPerSecond: Float64Array;
  /** By node: what all of its entries ask for. */
  readonly milliCpu: Float64Array;
  readonly memoryBytes: Float64Array;
  /** Of all entries. */
  readonly count: number;
  /** Of a workload's replicas, on one node. */
  readonly maxReplicaShare: number;
}

/** What claims follow from; a view under construction has it too. */
export type ClaimColumns = PeerColumns &
  Pick<
    PlacementView,
    | 'nodeCount'
    | 'workloadCount'
    | 'nodeLive'
    | 'placementOff'
    | 'nodeAvoided'
    | 'nodeMilliCpu'
    | 'nodeMemoryBytes'
    | 'freeMilliCpu'
    | 'freeMemoryBytes'
    | 'freePods'
    | 'replicas'
    | 'toCome'
    | 'milliCpu'
    | 'memoryBytes'
    | 'placedStart'
    | 'placedEnd'
    | 'placedNode'
    | 'placedCount'
  >;

export interface Claim {
  readonly node: number;
  readonly workload: number;
  readonly bytesPerSecond: number;
  /** Bytes per second for all of the node's room. */
  readonly density: number;
}

/** All peers of a workload did no better. */
const MAX_PEERS = 8;
/** Replicas of one workload that claim the same node. */
export const MAX_SAME = 4;
/** Peers on more nodes than this leave places enough. */
const MAX_ROW = 256;
/** The most valuable of a node: what it can lose to one pod is among them. */
export const MAX_CLAIMS = 16;
/** Of a gain: differences below are float noise. */
const NOISE = 1e-9;

/** A place for one more replica, after `before` others that are to come to the same node: before * nodeCount + node. */
type Place = number;

/** Finds the claims of one workload after the other; reuses its working memory. */
export class ClaimFinder {
  readonly #maxReplicaShare: number;
  readonly #peers = new HeavyPeers(MAX_PEERS);
  readonly #gains = new Tally();
  readonly #places: Place[] = [];

  constructor(maxReplicaShare: number) {
    this.#maxReplicaShare = maxReplicaShare;
  }

  /** In no particular order; at most toCome of them. */
  of(view: ClaimColumns, workload: number): Claim[] {
    const toCome = view.toCome[workload]!;
    const replicas = view.replicas[workload]!;
    if (!(toCome > 0) || !(replicas > 0) || view.placementOff[workload] === 1) return [];
    this.#sumGains(view, workload, replicas, Math.min(MAX_SAME, toCome));
    const gains = this.#gains;
    const places = this.#places.sort((a, b) => gains.get(b) - gains.get(a));
    const left = toCome < places.length ? gains.get(places[toCome]!) : 0;
    const claims: Claim[] = [];
    for (const place of places.slice(0, toCome)) {
      const bytesPerSecond = gains.get(place) - left;
      if (!(bytesPerSecond > NOISE * gains.get(place))) break;
      const node = place % view.nodeCount;
      const density = bytesPerSecond / shareOfNode(view, workload, node);
      claims.push({ node, workload, bytesPerSecond, density });
    }
    return claims;
  }

  #sumGains(view: ClaimColumns, workload: number, replicas: number, most: number): void {
    const { nodeCount, placedStart, placedEnd, placedNode, placedCount } = view;
    const [peers, gains, places] = [this.#peers, this.#gains, this.#places];
    const cap = replicaCap(replicas, this.#maxReplicaShare);
    places.length = 0;
    gains.reset(nodeCount * most);
    peers.collect(
      view,
      workload,
      rowOf(view, workload),
      (peer, entry) => view.peerRouting[entry] === RANDOM && placedEnd[peer]! - placedStart[peer]! <= MAX_ROW,
    );
    for (let i = 0; i < peers.count; i++) {
      const peer = peers.peers[i]!;
      for (let p = placedStart[peer]!; p < placedEnd[peer]!; p++) {
        const node = placedNode[p]!;
        const own = placedOn(view, workload, node);
        for (let before = 0; before < most; before++) {
          const gain = minMarginal(own + before, replicas, placedCount[p]!, view.replicas[peer]!);
          if (!(gain > 0)) break;
          const place: Place = before * nodeCount + node;
          if (!gains.has(place)) {
            if (own + before >= cap || !hasPlace(view, workload, node, before)) break;
            places.push(place);
          }
          gains.add(place, peers.weights[i]! * gain);
        }
      }
    }
  }
}

/** The replica fits on the node beside `before` that come first, and nothing keeps it from there. */
function hasPlace(view: ClaimColumns, workload: number, node: number, before: number): boolean {
  const count = before + 1;
  return (
    view.nodeLive[node] === 1 &&
    view.nodeAvoided[node] !== 1 &&
    view.freePods[node]! >= count &&
    view.freeMilliCpu[node]! >= count * view.milliCpu[workload]! &&
    view.freeMemoryBytes[node]! >= count * view.memoryBytes[workload]!
  );
}

/** Of cpu or memory, whichever it takes more of, 0..1. */
function shareOfNode(view: ClaimColumns, workload: number, node: number): number {
  return Math.max(
    view.milliCpu[workload]! / view.nodeMilliCpu[node]!,
    view.memoryBytes[workload]! / view.nodeMemoryBytes[node]!,
  );
}

/** Most bytes for the room first. */
export function byDensity(a: Claim, b: Claim): number {
  // Of claims that take no room both densities are Infinity.
  return a.density === b.density ? a.workload - b.workload : b.density - a.density;
}

export function claimsOf(view: ClaimColumns, maxReplicaShare = DEFAULT_PLACEMENT_SETTINGS.maxReplicaShare): Claims {
  const finder = new ClaimFinder(maxReplicaShare);
  const byNode = new Map<number, Claim[]>();
  for (let w = 0; w < view.workloadCount; w++) {
    for (const claim of finder.of(view, w)) {
      const row = byNode.get(claim.node);
      if (row === undefined) byNode.set(claim.node, [claim]);
      else row.push(claim);
    }
  }
  const start = new Int32Array(view.nodeCount);
  const end = new Int32Array(view.nodeCount);
  const milliCpu = new Float64Array(view.nodeCount);
  const memoryBytes = new Float64Array(view.nodeCount);
  const rows: Claim[] = [];
  for (let n = 0; n < view.nodeCount; n++) {
    start[n] = rows.length;
    for (const claim of byNode.get(n)?.sort(byDensity).slice(0, MAX_CLAIMS) ?? []) {
      rows.push(claim);
      milliCpu[n]! += view.milliCpu[claim.workload]!;
      memoryBytes[n]! += view.memoryBytes[claim.workload]!;
    }
    end[n] = rows.length;
  }
  return {
    start,
    end,
    workload: Int32Array.from(rows, (claim) => claim.workload),
    bytesPerSecond: Float64Array.from(rows, (claim) => claim.bytesPerSecond),
    milliCpu,
    memoryBytes,
    count: rows.length,
    maxReplicaShare,
  };
}

/** Bytes per second that replicas to come lose if a pod goes to the node: what of their claims fits no longer beside it. */
export function lossTo(
  view: PlacementView,
  node: number,
  pod: { readonly workload: number; readonly milliCpu: number; readonly memoryBytes: number },
): number {
  const { start, end, milliCpu, memoryBytes } = view.claims;
  const count = end[node]! - start[node]!;
  if (count === 0) return 0;
  const freePods = view.freePods[node]!;
  const freeMilliCpu = view.freeMilliCpu[node]!;
  const freeMemoryBytes = view.freeMemoryBytes[node]!;
  const leftMilliCpu = freeMilliCpu - pod.milliCpu;
  const leftMemoryBytes = freeMemoryBytes - pod.memoryBytes;
  // Room for all of them.
  if (milliCpu[node]! <= leftMilliCpu && memoryBytes[node]! <= leftMemoryBytes && count < freePods) return 0;
  const before = fitting(view, node, pod.workload, freeMilliCpu, freeMemoryBytes, freePods);
  return Math.max(0, before - fitting(view, node, pod.workload, leftMilliCpu, leftMemoryBytes, freePods - 1));
}

/** Bytes per second of the claims, without those of `except`, that find room one after the other. */
function fitting(
  view: PlacementView,
  node: number,
  except: number,
  milliCpu: number,
  memoryBytes: number,
  pods: number,
): number {
  const { start, end, workload, bytesPerSecond } = view.claims;
  let sum = 0;
  for (let c = start[node]!; c < end[node]! && pods >= 1; c++) {
    const of = workload[c]!;
    if (of === except || view.milliCpu[of]! > milliCpu || view.memoryBytes[of]! > memoryBytes) continue;
    milliCpu -= view.milliCpu[of]!;
    memoryBytes -= view.memoryBytes[of]!;
    pods--;
    sum += bytesPerSecond[c]!;
  }
  return sum;
}
