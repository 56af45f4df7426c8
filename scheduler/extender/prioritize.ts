import { scoreNodes, type PlacementSettings, type PlacementView, type Silence } from '../placement/index.ts';
import { candidateNames, type ExtenderArgs } from './args.ts';
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

export function prioritize(args: ExtenderArgs, view: PlacementView, settings: PlacementSettings): Prioritized {
  const { names } = view;
  const workload = workloadOf(names, args.pod);
  if (workload.onePerNode) return { workload: workload.key, silence: 'one-per-node', hosts: [] };
  if (workload.index === undefined) return { workload: workload.key, silence: 'unknown-workload', hosts: [] };

  const candidates = candidateNames(args);
  const indices = new Int32Array(candidates.length);
  for (let c = 0; c < candidates.length; c++) indices[c] = names.nodeIndex.get(candidates[c]!) ?? -1;
  const request = { workload: workload.index, podUid: args.pod.uid, candidates: indices };
  const scores = scoreNodes(view, request, settings);
  return {
    workload: workload.key,
    silence: scores.silence,
    hosts: scores.named.map(({ node, score }) => ({ Host: names.nodes[node]!, Score: score })),
  };
}
