import {
  scoreNodes,
  type AssumedPod,
  type PeerSource,
  type PlanUse,
  type PlacementSettings,
  type PlacementView,
  type Silence,
} from '../placement/index.ts';
import type { PodFacts } from './args.ts';
import { podHints } from './pod-hints.ts';
import { isOff } from './namespaces.ts';
import { workloadOf } from './workload-of.ts';

export interface HostScore {
  readonly Host: string;
  readonly Score: number;
}

export interface Prioritized {
  /** "namespace/Kind/name" */
  readonly workload: string;
  readonly silence: Silence | undefined;
  /** Of the plan that led; undefined: none did. */
  readonly planVersion?: number | undefined;
  readonly plan?: PlanUse | undefined;
  readonly source?: PeerSource | undefined;
  /** Best first; only nodes with more than 0. kube-scheduler takes an empty list as "no opinion". */
  readonly hosts: readonly HostScore[];
}

/**
 * @param candidates node indices, -1 for a node that is not known
 * @param assumed other pods that were answered for and that the view does not show yet
 */
export function prioritize(
  pod: PodFacts,
  candidates: Int32Array,
  view: PlacementView,
  settings: PlacementSettings,
  assumed: readonly AssumedPod[] = [],
): Prioritized {
  const { names } = view;
  const workload = workloadOf(names, pod);
  if (isOff(names, pod)) return { workload: workload.key, silence: 'switched-off', hosts: [] };
  if (workload.onePerNode) return { workload: workload.key, silence: 'one-per-node', hosts: [] };
  const hints = podHints(view, pod, workload.index);
  if (workload.index === undefined && hints === undefined) {
    return { workload: workload.key, silence: 'unknown-workload', hosts: [] };
  }
  const soft = pod.soft === true;
  const request = { workload: workload.index, podUid: pod.uid, candidates, soft, assumed, hints, tellPlan: true };
  const scores = scoreNodes(view, request, settings);
  return {
    workload: workload.key,
    silence: scores.silence,
    planVersion: scores.planVersion,
    plan: scores.plan,
    source: scores.source,
    hosts: scores.named.map(({ node, score }) => ({ Host: names.nodes[node]!, Score: score })),
  };
}
