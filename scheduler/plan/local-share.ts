import type { PlacementProblem } from '../placement/problem.ts';
import type { LocalShares, ReplicaCounts } from './placement-plan.ts';

/**
 * Balanced-local share of a placement (placement-study.md §1): over all edges w * sum over domains of
 * min(x_a/R_a, x_b/R_b), by the sum of w. Nodes whose zone is not known are taken as alone in it.
 */
export function localShares(problem: PlacementProblem, counts: ReplicaCounts): LocalShares {
  const nodes = Int32Array.from({ length: problem.nodeCount }, (_, n) => n);
  const zones = problem.nodeZone.map((zone, n) => (zone < 0 ? problem.nodeCount + n : zone));
  return { node: shareWithin(problem, counts, nodes), zone: shareWithin(problem, counts, zones) };
}

function shareWithin(
  { edgeA, edgeB, edgeWeight, replicas }: PlacementProblem,
  { targetStart, targetNode, targetCount }: ReplicaCounts,
  domainOf: Int32Array,
): number {
  const placed = new Map<number, number>();
  let total = 0;
  let local = 0;
  for (const [e, weight] of edgeWeight.entries()) {
    const [a, b] = [edgeA[e]!, edgeB[e]!];
    total += weight;
    if (!(replicas[a]! > 0 && replicas[b]! > 0)) continue;
    placed.clear();
    for (let i = targetStart[a]!; i < targetStart[a + 1]!; i++) {
      const domain = domainOf[targetNode[i]!]!;
      placed.set(domain, (placed.get(domain) ?? 0) + targetCount[i]! / replicas[a]!);
    }
    for (let i = targetStart[b]!; i < targetStart[b + 1]!; i++) {
      const domain = domainOf[targetNode[i]!]!;
      const left = placed.get(domain) ?? 0;
      const matched = Math.min(left, targetCount[i]! / replicas[b]!);
      if (matched <= 0) continue;
      local += weight * matched;
      placed.set(domain, left - matched);
    }
  }
  return total > 0 ? local / total : 0;
}
