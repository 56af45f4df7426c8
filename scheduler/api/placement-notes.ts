import type { Decision } from '../extender/decision.ts';
import type { ScoreExplanation } from '../placement/index.ts';

/**
 * Says in a sentence what Netloom answered for a pod that was placed, and what of its traffic is near it now. Pure.
 * @param decision about nodes of which this is one
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
  const own = decision.top.find(({ Host }) => Host === node)?.Score;
  const of = `of ${decision.candidates} nodes`;
  const ownText =
    own === undefined && decision.named > decision.top.length ? `at most ${decision.top.at(-1)!.Score}` : (own ?? 0);
  const scored =
    own === best.Score
      ? `Netloom scored ${node} best ${of}: ${own} of ${explanation.scoreRange}`
      : `Netloom scored ${node} ${ownText} of ${explanation.scoreRange} (${of} the best was ${best.Host} with ${best.Score}); the rest was kube-scheduler's choice`;
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
