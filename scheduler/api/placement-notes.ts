import type { Decision } from '../extender/decision.ts';
import type { ScoreExplanation } from '../placement/index.ts';

/** A level of nearness around a node, such as its zone; the nearest first. */
export interface NearLevel {
  /** "on the node", "in zone-2" */
  readonly where: string;
  /** Of a workload's replicas, how many are there: of connections dealt out at random, as many stay there. */
  readonly shareOf: (workload: string) => number;
}

/**
 * Says in a sentence what Netloom answered for a pod that was placed, and what of its traffic is near it now. Pure.
 * @param decision about nodes of which this is one
 * @param near the node first, then what is around it
 * @returns undefined: it had no opinion, so there is nothing to say
 */
export function placementSentence(
  decision: Decision,
  node: string,
  explanation: ScoreExplanation,
  near: readonly NearLevel[],
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
  const isDrawn = own !== undefined && own > 0;
  const { text, share } = nearText(explanation.peers, near);
  // A score is no more than the share of the traffic that was near when it was given.
  const isShort = isDrawn && share < own / explanation.scoreRange / 2;
  const reasons = [text, isShort ? otherText(decision, node, explanation) : undefined];
  const wanted = decision.plan?.targets.some((target) => target.node === node && target.state === 'open') === true;
  const led = wanted ? plannedText(decision.plan.version) : undefined;
  return [`${scored}.`, ...new Set([...reasons, led])].filter((text) => text !== undefined).join(' ');
}

function plannedText(version: number): string {
  return `Plan ${version} wants it there.`;
}

/** Peers of whose traffic this is near at most are not told. */
const LEAST = 0.005;
const MOST_PEERS = 3;

/**
 * Each peer's traffic is told at the nearest level at which it stays: of the zone, what does not stay on the node.
 * @returns share: of its traffic, what is told
 */
function nearText(
  peers: ScoreExplanation['peers'],
  near: readonly NearLevel[],
): { readonly text: string | undefined; readonly share: number } {
  let sum = 0;
  const told = near.flatMap(({ where, shareOf }, i) => {
    const within = peers
      .map(({ workload, shareOfTraffic }) => {
        const nearer = i === 0 ? 0 : near[i - 1]!.shareOf(workload);
        return { workload, share: shareOfTraffic * (shareOf(workload) - nearer) };
      })
      .filter(({ share }) => share >= LEAST)
      .sort((a, b) => b.share - a.share);
    for (const { share } of within) sum += share;
    const names = within
      .slice(0, MOST_PEERS)
      .map(({ workload, share }) => `${workload} (${(share * 100).toFixed(0)} %)`);
    return names.length === 0 ? [] : [`that with ${names.join(', ')} stays ${where}`];
  });
  return { text: told.length === 0 ? undefined : `Of its traffic, ${told.join(', and ')}.`, share: sum };
}

/** Why it was drawn there although none of its peers is near, or not as many as its score says. */
function otherText({ planVersion }: Decision, node: string, { nodes, peers }: ScoreExplanation): string | undefined {
  const here = nodes.find((each) => each.node === node);
  if (here === undefined) return undefined;
  if (planVersion !== undefined && here.planned > 0) return plannedText(planVersion);
  const coming = peers.filter(({ toCome }) => toCome > 0).map(({ workload }) => workload);
  if (here.future > 0 && coming.length > 0) {
    return `There is room for peers that are to come: ${coming.slice(0, MOST_PEERS).join(', ')}.`;
  }
  return 'Peers that were near when it was asked about have gone since.';
}
