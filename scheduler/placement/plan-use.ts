import { isBarred, isKnownNode, type Basis, type PlanBasis } from './evaluate.ts';
import type { Scratch } from './scratch.ts';
import type { Subject } from './subject.ts';
import type { PlacementView } from './view.ts';

/**
 * open: the plan leads there; filled: as many stand there as it wants; gone: there is no such node now; full: the node has no room for
 * the pod; no-candidate: kube-scheduler did not ask about it, or something of the pod keeps it away; barred: a cap on replicas, or a
 * taint PreferNoSchedule.
 */
export type TargetState = 'open' | 'filled' | 'gone' | 'full' | 'no-candidate' | 'barred';

/** A node on which a plan wants replicas of a pod's workload, and what became of that. */
export interface PlanTarget {
  readonly node: string;
  readonly wanted: number;
  readonly placed: number;
  readonly state: TargetState;
}

/** What a plan says to one more pod of a workload. */
export interface PlanUse extends PlanBasis {
  /** Open ones first; at most MOST_TARGETS. */
  readonly targets: readonly PlanTarget[];
  /** Nodes beyond these. */
  readonly more: number;
}

const MOST_TARGETS = 8;

/** To be asked after prepare(), which filled the scratch; undefined: there is no plan. */
export function planUse(
  view: PlacementView,
  basis: Basis,
  candidates: ArrayLike<number>,
  scratch: Scratch,
): PlanUse | undefined {
  const { plan, subject } = basis;
  const { target } = view;
  if (plan === undefined || target === undefined) return undefined;
  const { workload } = subject;
  if (plan.state === 'absent' || workload < 0) return { ...plan, targets: [], more: 0 };
  const nodes = Array.from(target.node.subarray(target.start[workload], target.start[workload + 1]));
  const isOpen = (node: number): boolean =>
    isKnownNode(view, node) && scratch.wanted.get(node) > scratch.own.node.get(node);
  nodes.sort((a, b) => Number(isOpen(b)) - Number(isOpen(a)) || a - b);
  const targets = nodes.slice(0, MOST_TARGETS).map((node): PlanTarget => ({
    node: view.names.nodes[node] ?? '',
    wanted: scratch.wanted.get(node),
    placed: Math.floor(scratch.own.node.get(node)),
    state: stateOf(view, node, basis, candidates, scratch),
  }));
  targets.sort((a, b) => Number(b.state === 'open') - Number(a.state === 'open'));
  return { ...plan, targets, more: nodes.length - targets.length };
}

function stateOf(
  view: PlacementView,
  node: number,
  basis: Basis,
  candidates: ArrayLike<number>,
  scratch: Scratch,
): TargetState {
  if (!isKnownNode(view, node)) return 'gone';
  if (scratch.wanted.get(node) <= scratch.own.node.get(node)) return 'filled';
  if (!includes(candidates, node)) return hasRoom(view, node, basis.subject) ? 'no-candidate' : 'full';
  return isBarred(view, node, basis, scratch) ? 'barred' : 'open';
}

function includes(candidates: ArrayLike<number>, node: number): boolean {
  for (let c = 0; c < candidates.length; c++) if (candidates[c] === node) return true;
  return false;
}

/** By what its workload's pods ask for; a request of 0 always fits. */
export function hasRoom(
  view: PlacementView,
  node: number,
  { milliCpu, memoryBytes }: Pick<Subject, 'milliCpu' | 'memoryBytes'>,
): boolean {
  return (
    view.freePods[node]! >= 1 &&
    (milliCpu === 0 || milliCpu <= view.freeMilliCpu[node]!) &&
    (memoryBytes === 0 || memoryBytes <= view.freeMemoryBytes[node]!)
  );
}
