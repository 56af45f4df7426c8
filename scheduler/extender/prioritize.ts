import { scoreNodes, type PlacementSettings, type PlacementView, type Silence } from '../placement/index.ts';
import type { PodFacts } from './args.ts';
import { workloadOf } from './workload-of.ts';

export interface HostScore {
  readonly Host: string;
  readonly Score: number;
}

export interface Prioritized {
  /** "namespace/Kind/name" */
  readonly workload: string;
  readonly silence: Silence | undefined;
  /** Best first; only nodes with more than 0. kube-scheduler takes an empty list as "no opinion". */
  readonly hosts: readonly HostScore[];
}

/** @param candidates node indices, -1 for a node that is not known */
export function prioritize(
  pod: PodFacts,
  candidates: Int32Array,
  view: PlacementView,
  settings: PlacementSettings,
): Prioritized {
  const { names } = view;
  const workload = workloadOf(names, pod);
  if (pod.placementOff) return { workload: workload.key, silence: 'switched-off', hosts: [] };
  if (workload.onePerNode) return { workload: workload.key, silence: 'one-per-node', hosts: [] };
  if (workload.index === undefined) return { workload: workload.key, silence: 'unknown-workload', hosts: [] };
  const scores = scoreNodes(view, { workload: workload.index, podUid: pod.uid, candidates }, settings);
  return {
    workload: workload.key,
    silence: scores.silence,
    hosts: scores.named.map(({ node, score }) => ({ Host: names.nodes[node]!, Score: score })),
  };
}
