import { scoreNodes, type PlacementSettings } from '../../placement/index.ts';
import type { Moment } from '../moment.ts';
import type { Policy } from './policy.ts';

/** kube-scheduler multiplies an extender's score by its weight (1) and by 100/10. */
const PER_SCORE = 10;

/** The extender's answer as kube-scheduler takes it: only the hosts that it names get anything. */
export class NetloomPolicy implements Policy {
  readonly #settings: PlacementSettings;
  readonly #candidateOf: Int32Array;

  constructor(nodeCount: number, settings: PlacementSettings) {
    this.#settings = settings;
    this.#candidateOf = new Int32Array(nodeCount);
  }

  score(moment: Moment, totals: Float64Array, named: Uint8Array): void {
    const { cluster, pod, workload, candidateCount } = moment;
    // kube-scheduler asks nobody about a pod that can only go to one node.
    if (candidateCount < 2 || cluster.pods.placementOff[pod] === 1) return;
    const candidates = moment.candidates.subarray(0, candidateCount);
    const request = { workload, podUid: cluster.pods.uids[pod]!, candidates };
    const answer = scoreNodes(moment.live.forScoring(), request, this.#settings);
    if (answer.named.length === 0) return;
    for (let c = 0; c < candidateCount; c++) this.#candidateOf[candidates[c]!] = c;
    for (const { node, score } of answer.named) {
      const c = this.#candidateOf[node]!;
      totals[c]! += PER_SCORE * score;
      named[c] = 1;
    }
  }
}
