import { nodeValue, prepare, toScore, type ScoreRequest, type Silence } from './evaluate.ts';
import { Scratch } from './gains.ts';
import { Ranking } from './rank.ts';
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
  /** The least value among the candidates, 0..1, which was subtracted from all. */
  readonly least: number;
}

// Overwritten by each call; calls do not nest.
const scratch = new Scratch();

/**
 * Scores the candidates for one more pod of a workload by min-marginal gain (scheduler.md §8.2, placement-study.md §2.3),
 * on an absolute scale: scoreRange means that all known traffic of the pod becomes local to the node.
 * Pure: the same arguments give the same answer, in whichever order the candidates come. O(candidates + placed peers).
 */
export function scoreNodes(view: PlacementView, request: ScoreRequest, settings: PlacementSettings): Scores {
  const basis = prepare(view, request.workload, settings, scratch);
  if (typeof basis === 'string') return { named: [], silence: basis, least: 0 };

  const { candidates } = request;
  if (scratch.values.length < candidates.length) scratch.values = new Float64Array(candidates.length);
  const { values, seen } = scratch;
  let least = candidates.length === 0 ? 0 : Infinity;
  for (let c = 0; c < candidates.length; c++) {
    const value = nodeValue(view, candidates[c]!, basis, settings, scratch);
    values[c] = value;
    if (value < least) least = value;
  }

  const ranking = new Ranking(settings.maxNamed);
  const nodeHashes = nodeNameHashes(view.names.nodes);
  const podHash = hashText(request.podUid);
  seen.reset(view.nodeCount);
  for (let c = 0; c < candidates.length; c++) {
    const score = toScore(values[c]!, least, settings.scoreRange);
    if (score <= 0) continue;
    const fineValue = Math.round(values[c]! * 1e9);
    if (!ranking.admits(fineValue)) continue;
    const node = candidates[c]!;
    // kube-scheduler adds up what is said twice of one host.
    if (seen.has(node)) continue;
    seen.add(node, 1);
    ranking.offer({ node, score, fineValue, tie: tieHash(podHash, nodeHashes[node]!) });
  }
  const named = ranking.result().map(({ node, score }) => ({ node, score }));
  return { named, silence: named.length === 0 ? 'no-difference' : undefined, least };
}
