import type { PlacementProblem } from '../placement/problem.ts';
import { linkOverload } from './link-overload.ts';
import { localShares } from './local-share.ts';
import type { LocalShares, ReplicaCounts } from './placement-plan.ts';

export interface PlanDrift {
  /** Local shares that the target would have under the problem's traffic and replicas. */
  readonly present: LocalShares;
  /** By how much the node-local share fell short of what it was when planned; below 0: it became better. */
  readonly lost: number;
  /** Share of the wanted replicas of communicating workloads that the target says nothing of. */
  readonly unplanned: number;
  /** linkOverload() of the target under the problem's traffic. */
  readonly linkOverload: number;
}

/**
 * How good a plan still is. A workload that has grown since has its new replicas nowhere; of one that has shrunk the
 * target counts as the shares that it planned.
 */
export function planDrift(
  plan: ReplicaCounts & { readonly localShare: LocalShares },
  problem: PlacementProblem,
): PlanDrift {
  const planned = new Int32Array(problem.workloadCount);
  for (let w = 0; w < problem.workloadCount; w++) {
    for (let i = plan.targetStart[w]!; i < plan.targetStart[w + 1]!; i++) planned[w]! += plan.targetCount[i]!;
  }
  const replicas = problem.replicas.map((count, w) => (count === 0 ? 0 : Math.max(count, planned[w]!)));
  const present = localShares({ ...problem, replicas }, plan);
  const talks = new Uint8Array(problem.workloadCount);
  for (const ends of [problem.edgeA, problem.edgeB]) for (const w of ends) talks[w] = 1;
  let wanted = 0;
  let missing = 0;
  for (const [w, count] of problem.replicas.entries()) {
    if (talks[w] === 0) continue;
    wanted += count;
    missing += Math.max(0, count - planned[w]!);
  }
  return {
    present,
    lost: plan.localShare.node - present.node,
    unplanned: wanted > 0 ? missing / wanted : 0,
    linkOverload: linkOverload({ ...problem, replicas }, plan),
  };
}
