import type { Unasked, UnaskedReason } from '../scheduler/api/unasked.ts';

const ONE_NODE = 'where one node is left kube-scheduler does not ask';

/** Why kube-scheduler was not answered about a pod, a sentence a line. Pure. */
export function unaskedLines({ reason, scheduler }: Unasked, node = 'its node'): string[] {
  const texts: Readonly<Record<UnaskedReason, readonly string[]>> = {
    static: ['kube-scheduler did not ask: it is a static pod, which its kubelet runs by itself.'],
    daemon: [`kube-scheduler did not ask: its DaemonSet wants one pod on each node, and ${ONE_NODE}.`],
    pending: [
      'kube-scheduler has not asked about it yet. `kubectl describe pod` says what it waits for: it asks once more than ' +
        'one node fits.',
    ],
    file: [
      'kube-scheduler has not asked about it. The cluster state is a file, which does not tell why it is on ' +
        `${node}.`,
    ],
    given: [
      `kube-scheduler did not ask: it had its node when Netloom first saw it, so it was created with spec.nodeName.`,
    ],
    'one-node': [
      `kube-scheduler did not ask: by its nodeSelector, its affinity and the nodes' taints it fits on ${node} only, and ${ONE_NODE}.`,
    ],
    late: ['kube-scheduler asked, and did not wait for the answer: its httpTimeout was over.'],
    'not-asked': [
      'kube-scheduler did not ask about it, though it did about others of its workload.',
      'It does not where one node is left, or was nominated by a preemption; or it cannot reach Netloom: see `netloom graph`.',
    ],
    'never-asked': [
      'kube-scheduler did not ask about it, nor about others of its workload.',
      'It does not where one node is left, for pods that managedResources leaves out, or without our entry: see `netloom graph`.',
    ],
    settling: ['It was bound just now; what was answered is known in some seconds.'],
    forgotten: ['kube-scheduler asked; the answer is so old that it is not kept any more.'],
    unknown: [
      'Whether kube-scheduler asked is not known: it was bound before Netloom started to watch, or too long ago.',
    ],
  };
  const lines = texts[reason];
  if (scheduler === undefined || reason === 'static' || reason === 'daemon') return [...lines];
  return [...lines, `Its scheduler is "${scheduler}" (spec.schedulerName): only if that one has our entry it can ask.`];
}
