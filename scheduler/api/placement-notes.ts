import type { PodRecord } from '../cluster/model.ts';
import type { Decision } from '../extender/decision.ts';
import type { ScoreExplanation } from '../placement/index.ts';

/**
 * Says in a sentence what Netloom answered for a pod that was placed, and what of its traffic is near it now. Pure.
 * @param shareOn of a workload's replicas, how many are on the node: of connections dealt out at random, as many stay there
 * @returns undefined: it had no opinion, so there is nothing to say
 */
export function placementSentence(
  decision: Decision,
  node: string,
  explanation: ScoreExplanation,
  shareOn: (workload: string) => number,
): string | undefined {
  const [best] = decision.top;
  if (best === undefined) return undefined;
  const own = decision.top.find(({ Host }) => Host === node)?.Score ?? 0;
  const of = `of ${decision.candidates} nodes`;
  const scored =
    own === best.Score
      ? `Netloom scored ${node} best ${of}: ${own} of ${explanation.scoreRange}`
      : `Netloom scored ${node} ${own} of ${explanation.scoreRange} (${of} the best was ${best.Host} with ${best.Score}); the rest was kube-scheduler's choice`;
  const local = explanation.peers
    .map(({ workload, shareOfTraffic }) => ({ workload, share: shareOfTraffic * shareOn(workload) }))
    .filter(({ share }) => share >= 0.005)
    .sort((a, b) => b.share - a.share)
    .slice(0, 3)
    .map(({ workload, share }) => `${workload} (${(share * 100).toFixed(0)} %)`);
  return local.length === 0
    ? `${scored}.`
    : `${scored}. Of its traffic, that with ${local.join(', ')} stays on the node.`;
}

/** Pods whose placement is still to be told: bound, and answered for; whichever is seen first waits for the other. */
export class PlacementNotes {
  readonly #told = new Set<string>();
  readonly #max: number;

  constructor(max = 10_000) {
    this.#max = max;
  }

  /** Whether this placement is to be told now: once a pod. */
  take(pod: PodRecord, decision: Decision | undefined): decision is Decision {
    if (pod.node === undefined || decision === undefined || decision.top.length === 0) return false;
    if (this.#told.has(pod.uid)) return false;
    this.#told.add(pod.uid);
    if (this.#told.size > this.#max) {
      const [oldest] = this.#told;
      this.#told.delete(oldest!);
    }
    return true;
  }
}
