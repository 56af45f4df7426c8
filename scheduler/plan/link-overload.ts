import type { PlacementProblem } from '../placement/problem.ts';
import { Choices } from './choices.ts';
import type { ReplicaCounts } from './placement-plan.ts';
import { PlanState } from './state.ts';
import { trafficOfProblem } from './traffic.ts';

/** By how much links are overloaded, in links: summed over all nodes the utilisation beyond MOST_LINK_USE. */
export function linkOverload(problem: PlacementProblem, counts: ReplicaCounts): number {
  const { links } = problem;
  if (links === undefined) return 0;
  const choices = new Choices(problem);
  const traffic = trafficOfProblem(problem, choices);
  const state = new PlanState(problem, traffic, undefined, choices);
  if (!state.hasLinks) return 0;
  state.putAll(counts);
  let sum = 0;
  for (let n = 0; n < problem.nodeCount; n++) {
    if (links.nodeLink[n]! > 0) sum += (state.overload(n) * traffic.total) / links.nodeLink[n]!;
  }
  return sum;
}
