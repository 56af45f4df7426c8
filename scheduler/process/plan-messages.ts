import type { PlacementPlan } from '../plan/placement-plan.ts';
import type { PlanOptions, PlanProgress } from '../plan/plan.ts';
import type { PlacementProblem } from '../placement/problem.ts';

/** What the planner's thread is started with; it makes one plan and ends. */
export interface PlanJob {
  readonly problem: PlacementProblem;
  readonly options: PlanOptions;
}

export type FromPlanner =
  | { readonly type: 'progress'; readonly progress: PlanProgress }
  | { readonly type: 'plan'; readonly plan: PlacementPlan; readonly cpuSeconds: number };
