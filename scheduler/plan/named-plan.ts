import { Choices } from './choices.ts';
import { countsOf, type LiveProblem } from './live-problem.ts';
import type { LocalShares, ReplicaCounts } from './placement-plan.ts';

/** A plan as it is kept, by names: indices hold only for the problem that it was made for. */
export interface NamedPlan {
  /** Counts up with each plan of a cluster. */
  readonly version: number;
  readonly hash: string;
  /** Wall clock. */
  readonly madeAtMs: number;
  readonly computeSeconds: number;
  readonly iterations: number;
  readonly localShare: LocalShares;
  /** "namespace/Kind/name" */
  readonly workloads: readonly string[];
  readonly nodes: readonly string[];
  /** Entry i wants count[i] (above 0) replicas of workloads[workload[i]] on nodes[node[i]]; each pair once. */
  readonly workload: Int32Array;
  readonly node: Int32Array;
  readonly count: Int32Array;
}

/** The matrix by names. */
export function namedCounts(
  { workloads, nodes }: LiveProblem,
  { targetStart, targetNode, targetCount }: ReplicaCounts,
): Pick<NamedPlan, 'workloads' | 'nodes' | 'workload' | 'node' | 'count'> {
  const workload = new Int32Array(targetNode.length);
  for (let w = 0; w < workloads.length; w++) workload.fill(w, targetStart[w], targetStart[w + 1]);
  return { workloads, nodes, workload, node: targetNode, count: targetCount };
}

/** The matrix for another problem; what it has not got, and what may not be there any more, is left out. */
export function countsFor({ workloads, nodes, problem }: LiveProblem, plan: NamedPlan): ReplicaCounts {
  const choices = new Choices(problem);
  const workloadOf = indicesIn(workloads, plan.workloads);
  const nodeOf = indicesIn(nodes, plan.nodes);
  const entries: [w: number, n: number, count: number][] = [];
  for (let i = 0; i < plan.count.length; i++) {
    const [w, n] = [workloadOf[plan.workload[i]!]!, nodeOf[plan.node[i]!]!];
    if (w >= 0 && n >= 0 && choices.has(w, n)) entries.push([w, n, plan.count[i]!]);
  }
  return countsOf(workloads.length, entries);
}

function indicesIn(present: readonly string[], names: readonly string[]): Int32Array {
  const index = new Map(present.map((name, i) => [name, i]));
  return Int32Array.from(names, (name) => index.get(name) ?? -1);
}
