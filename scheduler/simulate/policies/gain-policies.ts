import { minMarginal } from '../../placement/min-marginal.ts';
import type { Moment } from '../moment.ts';
import type { Policy } from './policy.ts';

/** From a score of 0..100 to what is added; whole numbers where kube-scheduler would take no others. */
export interface Scale {
  readonly weight: number;
  readonly whole: boolean;
}

export function added(score: number, scale: Scale): number {
  return scale.weight * (scale.whole ? Math.floor(score + 0.5) : score);
}

/** Adds a score made of sums over the placed replicas of peers. */
abstract class PeerPolicy implements Policy {
  protected readonly gains: Float64Array;
  protected readonly scale: Scale;

  constructor(nodeCount: number, scale: Scale) {
    this.gains = new Float64Array(nodeCount);
    this.scale = scale;
  }

  score(moment: Moment, totals: Float64Array, named: Uint8Array): void {
    const { workload, peers, live } = moment;
    const first = peers.start[workload]!;
    const end = peers.start[workload + 1]!;
    if (first === end) return;
    const { placedStart, placedEnd, placedNode, placedCount } = live.view;
    for (let e = first; e < end; e++) {
      const b = peers.peer[e]!;
      for (let p = placedStart[b]!; p < placedEnd[b]!; p++) {
        const node = placedNode[p]!;
        this.gains[node]! += peers.weight[e]! * this.term(moment, node, placedCount[p]!, b);
      }
    }
    this.addScores(moment, totals, named);
    for (let e = first; e < end; e++) {
      const b = peers.peer[e]!;
      for (let p = placedStart[b]!; p < placedEnd[b]!; p++) this.gains[placedNode[p]!] = 0;
    }
  }

  /** What placedPeer replicas of b on the node are worth, as a share of the traffic with b. */
  protected abstract term(moment: Moment, node: number, placedPeer: number, b: number): number;

  /** Default: the share of the pod's own traffic, 0..100. */
  protected addScores(moment: Moment, totals: Float64Array, named: Uint8Array): void {
    this.add(moment, totals, named, 100 / moment.peers.total[moment.workload]!);
  }

  protected add(moment: Moment, totals: Float64Array, named: Uint8Array, factor: number): void {
    const { candidates, candidateCount } = moment;
    for (let c = 0; c < candidateCount; c++) {
      const gain = this.gains[candidates[c]!]!;
      if (gain <= 0) continue;
      totals[c]! += added(Math.min(100, gain * factor), this.scale);
      named[c] = 1;
    }
  }
}

/** Share of the pod's traffic that is local under uniform routing: sum of w_ab x_bn/R_b. */
export class ProductPolicy extends PeerPolicy {
  protected term(moment: Moment, _node: number, placedPeer: number, b: number): number {
    return placedPeer / moment.cluster.replicas[b]!;
  }
}

/**
 * For each pod on the node the traffic between its workload and the arriving one's, divided by the best candidate's
 * sum: as in the re-implementation of NetMARKS in github.com/Cloudslab/TraDE (NetMARKS_v3.py); the authors published
 * none.
 */
export class NetmarksPolicy extends PeerPolicy {
  protected term(_moment: Moment, _node: number, placedPeer: number): number {
    return placedPeer;
  }

  protected override addScores(moment: Moment, totals: Float64Array, named: Uint8Array): void {
    const { candidates, candidateCount } = moment;
    let most = 0;
    for (let c = 0; c < candidateCount; c++) most = Math.max(most, this.gains[candidates[c]!]!);
    if (most > 0) this.add(moment, totals, named, 100 / most);
  }
}

/** now(a, n) of placement-study.md §2.3. */
export class MinMarginalPolicy extends PeerPolicy {
  protected term(moment: Moment, node: number, placedPeer: number, b: number): number {
    const { replicas } = moment.cluster;
    const own = replicas[moment.workload]!;
    return own * minMarginal(moment.own[node]!, own, placedPeer, replicas[b]!);
  }
}
