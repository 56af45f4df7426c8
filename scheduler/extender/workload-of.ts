import type { NameTables } from '../placement/index.ts';
import type { PodFacts } from './args.ts';

export interface PodWorkload {
  /** "namespace/Kind/name" of the workload if it is known, else of the pod's owner or of the bare pod. */
  readonly key: string;
  /** Index in the view; undefined: not known, or a pod whose place is not a choice. */
  readonly index: number | undefined;
  readonly onePerNode: boolean;
}

/**
 * The label by which a controller's ReplicaSets are told apart is also the end of their names:
 * "cart-5d4f8c7b9" of Deployment "cart". Argo's Rollout does the same under a label of its own.
 */
const HASHED_OWNERS = [
  { label: 'pod-template-hash', kind: 'Deployment' },
  { label: 'rollouts-pod-template-hash', kind: 'Rollout' },
] as const;

/** A CronJob's Jobs are called after it and the minute for which they were due. */
const CRON_JOB_NAME = /^(.+)-\d{7,}$/;

/**
 * The workload that a pending pod belongs to. Its ReplicaSet or Job may be younger than the newest view,
 * the Deployment or CronJob behind it seldom is: hence the names.
 */
export function workloadOf(names: NameTables, pod: PodFacts): PodWorkload {
  const { namespace, controller } = pod;
  if (controller === undefined) {
    const key = `${namespace}/Pod/${pod.name}`;
    return { key, index: pod.mirror ? undefined : names.workloadIndex.get(key), onePerNode: pod.mirror };
  }
  const key = `${namespace}/${controller.kind}/${controller.name}`;
  if (pod.mirror || controller.kind === 'Node' || controller.kind === 'DaemonSet') {
    return { key, index: undefined, onePerNode: true };
  }
  const index = names.ownerIndex.get(key) ?? names.workloadIndex.get(key) ?? byConvention(names, pod, controller);
  return { key: index === undefined ? key : (names.workloads[index] ?? key), index, onePerNode: false };
}

function byConvention(
  names: NameTables,
  pod: PodFacts,
  controller: { readonly kind: string; readonly name: string },
): number | undefined {
  if (controller.kind === 'ReplicaSet') {
    for (const { label, kind } of HASHED_OWNERS) {
      const hash = pod.labels[label];
      if (typeof hash !== 'string' || hash === '' || !controller.name.endsWith(`-${hash}`)) continue;
      const name = controller.name.slice(0, -hash.length - 1);
      const index = names.workloadIndex.get(`${pod.namespace}/${kind}/${name}`);
      if (index !== undefined) return index;
    }
  }
  if (controller.kind === 'Job') {
    const name = CRON_JOB_NAME.exec(controller.name)?.[1];
    if (name !== undefined) return names.workloadIndex.get(`${pod.namespace}/CronJob/${name}`);
  }
  return undefined;
}
