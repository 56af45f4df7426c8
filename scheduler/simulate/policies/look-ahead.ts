import type { Moment } from '../moment.ts';
import { added, MinMarginalPolicy, type Scale } from './gain-policies.ts';

/**
 * Weight of what is still to come, and how much of a node's free room counts as room for it (placement-study.md
 * §2.3).
 */
const BETA = 0.5;
const ROOM = 0.12;

/** Min-marginal, and a part for nodes on which peers that are still to come could follow. */
export class LookAheadPolicy extends MinMarginalPolicy {
  readonly #value: Float64Array;
  readonly #need: Float64Array;
  readonly #placedPeer: Int32Array;

  constructor(nodeCount: number, scale: Scale) {
    super(nodeCount, scale);
    this.#value = new Float64Array(nodeCount);
    this.#need = new Float64Array(nodeCount);
    this.#placedPeer = new Int32Array(nodeCount);
  }

  protected override addScores(moment: Moment, totals: Float64Array, named: Uint8Array): void {
    const { candidates, candidateCount, peers, workload, placed, freeMilliCpu, cluster } = moment;
    const { replicas } = cluster;
    const total = peers.total[workload]!;
    const value = this.#value.fill(0, 0, candidateCount);
    const need = this.#need.fill(0, 0, candidateCount);
    let toCome = 0;
    for (let e = peers.start[workload]!; e < peers.start[workload + 1]!; e++) {
      const b = peers.peer[e]!;
      const left = replicas[b]! - placed[b]!;
      toCome += (peers.weight[e]! / total) * (left / replicas[b]!);
      if (left > 0) this.#addFuture(moment, b, peers.weight[e]!, left);
    }
    const milliCpu = cluster.pods.milliCpu[moment.pod]!;
    let most = 0;
    for (let c = 0; c < candidateCount; c++) {
      const room = need[c]! > 0 ? (ROOM * (freeMilliCpu[candidates[c]!]! - milliCpu)) / need[c]! : 1;
      value[c] = (Math.min(1, Math.max(0, room)) * value[c]!) / total;
      most = Math.max(most, value[c]!);
    }
    const factor = most > 0 ? (BETA * toCome) / most : 0;
    for (let c = 0; c < candidateCount; c++) {
      const score = 100 * Math.min(1, this.gains[candidates[c]!]! / total + factor * value[c]!);
      if (score <= 0) continue;
      totals[c]! += added(score, this.scale);
      named[c] = 1;
    }
  }

  /** What more of b could become local beside this pod, and what CPU that would need. */
  #addFuture(moment: Moment, b: number, weight: number, left: number): void {
    const { candidates, candidateCount, workload, own, peers, cluster } = moment;
    const { replicas, problem } = cluster;
    const ownReplicas = replicas[workload]!;
    const peerReplicas = replicas[b]!;
    const cap = problem.cap[b]!;
    const cpu = problem.milliCpu[b]! * Math.min(1, (4 * weight) / peers.total[workload]!);
    const { placedStart, placedEnd, placedNode, placedCount } = moment.live.view;
    for (let p = placedStart[b]!; p < placedEnd[b]!; p++) this.#placedPeer[placedNode[p]!] = placedCount[p]!;
    for (let c = 0; c < candidateCount; c++) {
      const node = candidates[c]!;
      const here = this.#placedPeer[node]!;
      const share = (own[node]! + 1) / ownReplicas;
      const peerShare = here / peerReplicas;
      const top = Math.min(share, Math.min(cap, here + left) / peerReplicas);
      const more = top - Math.min(share, peerShare);
      if (more <= 0) continue;
      this.#value[c]! += weight * more;
      this.#need[c]! += cpu * Math.ceil((top - peerShare) * peerReplicas - 1e-9);
    }
    for (let p = placedStart[b]!; p < placedEnd[b]!; p++) this.#placedPeer[placedNode[p]!] = 0;
  }
}
