import { fillValues } from './candidate-values.ts';
import {
  heededValue,
  isKnownNode,
  prepare,
  rangeOf,
  toScore,
  type Basis,
  type ScoreRequest,
  type Silence,
} from './evaluate.ts';
import { PEER_SOURCES, type PeerSource } from './hints.ts';
import { planUse, type PlanUse } from './plan-use.ts';
import { Ranking } from './rank.ts';
import { Scratch } from './scratch.ts';
import type { PlacementSettings } from './settings.ts';
import { hashText, nodeNameHashes, tieHash } from './tie-hash.ts';
import type { PlacementView } from './view.ts';

export interface NamedNode {
  readonly node: number;
  /** Whole number, 1..scoreRange. */
  readonly score: number;
}

/** An answer: the nodes worth naming, best first; every other candidate has 0. */
export interface Scores {
  readonly named: readonly NamedNode[];
  /** Why `named` is empty. */
  readonly silence: Silence | undefined;
  /** What was subtracted from all values: the least among the candidates, or the greatest less 1 if that is more. */
  readonly least: number;
  /** Of the plan that the answer follows, or whose room it keeps free. */
  readonly planVersion?: number | undefined;
  /** What that plan wanted, and why it led or did not; only if it was asked for. */
  readonly plan?: PlanUse | undefined;
  /** Where the pod's peers are known from; undefined: none are known. */
  readonly source?: PeerSource | undefined;
}

// Overwritten by each call; calls do not nest.
const scratch = new Scratch();

/**
 * Scores the candidates for one more pod of a workload by min-marginal gain and look-ahead (scheduler.md §8.2, placement-study.md §2.3),
 * on an absolute scale: scoreRange means that all known traffic of the pod becomes local to the node. A plan leads where there is one.
 * Pure: the same arguments give the same answer, in whichever order the candidates come. O(candidates + placed peers).
 */
export function scoreNodes(view: PlacementView, request: ScoreRequest, settings: PlacementSettings): Scores {
  const basis = prepare(view, request, settings, scratch);
  if (typeof basis === 'string') return { named: [], silence: basis, least: 0 };
  const { candidates } = request;
  const told = toldOf(view, basis, request);
  if (scratch.values.length < candidates.length) scratch.values = new Float64Array(candidates.length);
  const { values } = scratch;
  let least = candidates.length === 0 ? 0 : Infinity;
  let most = candidates.length === 0 ? 0 : -Infinity;
  fillValues(view, candidates, basis, settings, scratch, values);
  for (let c = 0; c < candidates.length; c++) {
    const value = values[c]!;
    if (value < least) least = value;
    if (value > most) most = value;
  }
  // With deductions values lie further apart than the range: who is that far behind the best is as good as out of question.
  least = Math.max(least, most - 1);

  const range = rangeOf(request, settings);
  const silence = basis.silent ? 'no-traffic' : 'no-difference';
  if (toScore(most, least, range) <= 0) return { named: [], silence, least, ...told };
  const ranking = new Ranking(settings.maxNamed);
  const nodeHashes = nodeNameHashes(view.names.nodes);
  const podHash = hashText(request.podUid);
  const { seen } = scratch;
  seen.reset(view.nodeCount);
  for (let c = 0; c < candidates.length; c++) {
    const node = candidates[c]!;
    // What is heeded is never more.
    const mostFine = Math.round(values[c]! * 1e9);
    if (toScore(values[c]!, least, range) <= 0 || !ranking.admits(mostFine)) continue;
    // kube-scheduler adds up what is said twice of one host; of one that is not known nothing is said.
    if (!isKnownNode(view, node) || seen.has(node)) continue;
    const tie = tieHash(podHash, nodeHashes[node]!);
    if (!ranking.admits(mostFine, tie)) continue;
    const value = heededValue(view, node, values[c]!, least, basis, settings, scratch);
    const score = toScore(value, least, range);
    if (score <= 0) continue;
    const fineValue = Math.round(value * 1e9);
    if (!ranking.admits(fineValue)) continue;
    seen.add(node, 1);
    ranking.offer({ node, score, fineValue, tie });
  }
  const named = ranking.result().map(({ node, score }) => ({ node, score }));
  return { named, silence: named.length === 0 ? silence : undefined, least, ...told };
}

/** What an answer went by. */
function toldOf(
  view: PlacementView,
  basis: Basis,
  { candidates, tellPlan }: ScoreRequest,
): Pick<Scores, 'planVersion' | 'plan' | 'source'> {
  const plan = tellPlan === true ? planUse(view, basis, candidates, scratch) : undefined;
  const { peers } = basis.subject;
  const source = peers.start === peers.end ? undefined : PEER_SOURCES[peers.source[peers.start]!];
  return { planVersion: basis.plan?.version, source, ...(plan === undefined ? {} : { plan }) };
}
