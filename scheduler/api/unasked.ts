import { mayGo } from '../cluster/node-choice.ts';
import type { NodeRecord, PodRecord } from '../cluster/model.ts';
import type { Outcome } from '../process/bound-pods.ts';

/**
 * Why no question of kube-scheduler about a pod is known. static: its kubelet runs it by itself. daemon: of a DaemonSet,
 * which leaves it one node. pending: it is nowhere yet. file: the cluster state is a file. given: it had a node when it was
 * first seen. one-node: by its selector, affinity and taints it fits on one. late: the answer came too late. not-asked,
 * never-asked: it was bound without a question, unlike others of its workload, or like all of them. settling: it was bound
 * just now. forgotten: there was an answer, it is not kept any more. unknown: it was bound before Netloom watched, or long ago.
 */
export type UnaskedReason =
  | 'static'
  | 'daemon'
  | 'pending'
  | 'file'
  | 'given'
  | 'one-node'
  | 'late'
  | 'not-asked'
  | 'never-asked'
  | 'settling'
  | 'forgotten'
  | 'unknown';

export interface Unasked {
  readonly reason: UnaskedReason;
  /** spec.schedulerName, where it is another than default-scheduler. */
  readonly scheduler: string | undefined;
}

/** What became of a pod that was bound; undefined: not known. */
export type PodHistory = (podUid: string) => Outcome | undefined;

/** @param history undefined: cluster state comes from a file, where nothing is seen to happen. Pure. */
export function unaskedOf(pod: PodRecord, nodes: Iterable<NodeRecord>, history: PodHistory | undefined): Unasked {
  return { reason: reasonOf(pod, nodes, history), scheduler: pod.scheduler };
}

function reasonOf(pod: PodRecord, nodes: Iterable<NodeRecord>, history: PodHistory | undefined): UnaskedReason {
  if (pod.mirror || pod.owner?.kind === 'Node') return 'static';
  if (pod.owner?.kind === 'DaemonSet') return 'daemon';
  if (pod.node === undefined) return 'pending';
  if (history === undefined) return 'file';
  const outcome = history(pod.uid);
  switch (outcome) {
    case 'given':
    case 'late':
    case 'settling':
      return outcome;
    case 'not_asked':
    case 'never_asked':
      if (fits(pod, nodes) === 1) return 'one-node';
      return outcome === 'not_asked' ? 'not-asked' : 'never-asked';
    case 'followed':
    case 'overruled':
    case 'no_opinion':
      return 'forgotten';
    case undefined:
      return 'unknown';
  }
}

/** Nodes that it may go to, by its own word and theirs; counted to 2. */
function fits({ nodeChoice }: PodRecord, nodes: Iterable<NodeRecord>): number {
  let count = 0;
  for (const node of nodes) if (mayGo(nodeChoice, node) && ++count === 2) break;
  return count;
}
