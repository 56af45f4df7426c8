/**
 * From a pod to its workload, by owner references. Pure.
 *
 * The climb goes on through whatever is itself owned (ReplicaSet, Job, custom kinds) and ends at
 * - a Deployment, StatefulSet, DaemonSet or CronJob, even if something owns that: one custom resource may own several
 *   that have nothing in common (an operator's database and its web console), and people name these, not their owner;
 * - otherwise the last owner that is named, of whatever kind (Rollout, CloneSet, DeploymentConfig, ...), listed or not.
 *
 * Owners are looked up by namespace, kind and name: there is one at a time, and a workload outlives the uid of a recreated one.
 * What is not listed is taken from evidence that Kubernetes itself leaves, see unlistedOwner(). A cycle ends at the pod's
 * immediate owner.
 *
 * A bare pod is its own workload, kind Pod. So is a static pod, whose owner is its Node; there the node's name, which kubelet
 * appends, is taken off: kube-apiserver-node-1 and kube-apiserver-node-2 are replicas of Pod kube-apiserver.
 */
import type { ControllerRecord, OwnerRef, PodRecord, WorkloadRef } from './model.ts';

export type FindController = (namespace: string, kind: string, name: string) => ControllerRecord | undefined;

const LASTING: ReadonlySet<string> = new Set(['Deployment', 'StatefulSet', 'DaemonSet', 'CronJob']);
/** Deeper chains are a mistake; the longest real one (CronWorkflow > Workflow > Job > ...) has four. */
const MAX_CLIMB = 16;

/** Whether a CronJob's Job names end like this: the minutes since 1970 of its schedule (until Kubernetes 1.20 seconds). */
const SCHEDULED = /^(.+)-(\d{8}|\d{10})$/;
const MINUTES_2015 = 23_667_840;
const MINUTES_2060 = 47_335_680;

function cronJobOf(job: string): string | undefined {
  const match = SCHEDULED.exec(job);
  if (match === null) return undefined;
  const number = Number(match[2]);
  const minutes = match[2]!.length === 8 ? number : number / 60;
  // A date such as 20261124 lies below, so that a Job of a date stays a Job.
  return minutes >= MINUTES_2015 && minutes < MINUTES_2060 ? match[1] : undefined;
}

function withoutSuffix(name: string, suffix: string | undefined): string | undefined {
  if (suffix === undefined || suffix === '' || !name.endsWith(`-${suffix}`)) return undefined;
  const stem = name.slice(0, -suffix.length - 1);
  return stem === '' ? undefined : stem;
}

/**
 * Who owns an owner that is not listed:
 * - a ReplicaSet whose name ends in the pod's `pod-template-hash`: the Deployment of that name; `rollouts-pod-template-hash`: the Rollout;
 * - a Job whose name ends in a time of schedule: the CronJob;
 * - a ReplicationController with the pod's label `openshift.io/deployment-config.name`, or `deploymentconfig`: the DeploymentConfig.
 */
function unlistedOwner(owner: OwnerRef, labels: Readonly<Record<string, string>>): OwnerRef | undefined {
  if (owner.kind === 'ReplicaSet') {
    const rollout = withoutSuffix(owner.name, labels['rollouts-pod-template-hash']);
    if (rollout !== undefined) return { kind: 'Rollout', name: rollout, uid: '' };
    const deployment = withoutSuffix(owner.name, labels['pod-template-hash']);
    if (deployment !== undefined) return { kind: 'Deployment', name: deployment, uid: '' };
  } else if (owner.kind === 'Job') {
    const cronJob = cronJobOf(owner.name);
    if (cronJob !== undefined) return { kind: 'CronJob', name: cronJob, uid: '' };
  } else if (owner.kind === 'ReplicationController') {
    const config = labels['openshift.io/deployment-config.name'] ?? labels['deploymentconfig'];
    if (config !== undefined && config !== '') return { kind: 'DeploymentConfig', name: config, uid: '' };
  }
  return undefined;
}

const NO_LABELS: Readonly<Record<string, string>> = {};

/** The workload that an owner belongs to; `labels` are those of the owned pod. */
export function climb(
  namespace: string,
  owner: OwnerRef,
  labels: Readonly<Record<string, string>>,
  find: FindController,
): WorkloadRef {
  let at = owner;
  for (let step = 0; step < MAX_CLIMB && !LASTING.has(at.kind); step++) {
    const listed = find(namespace, at.kind, at.name);
    const next = listed === undefined ? unlistedOwner(at, labels) : listed.owner;
    if (next === undefined || next.kind === 'Node') return { namespace, kind: at.kind, name: at.name };
    at = next;
    if (at.kind === owner.kind && at.name === owner.name) break;
    if (step === MAX_CLIMB - 1) at = owner;
  }
  return { namespace, kind: at.kind, name: at.name };
}

export function workloadOfPod(
  pod: Pick<PodRecord, 'namespace' | 'name' | 'node' | 'owner' | 'labels' | 'mirror'>,
  find: FindController,
): WorkloadRef {
  const { namespace, name, owner } = pod;
  if (pod.mirror || owner?.kind === 'Node') {
    const node = owner?.kind === 'Node' ? owner.name : pod.node;
    return { namespace, kind: 'Pod', name: withoutSuffix(name, node) ?? name };
  }
  if (owner === undefined) return { namespace, kind: 'Pod', name };
  return climb(namespace, owner, pod.labels, find);
}

/** The workload of a listed controller itself. */
export function workloadOfController(controller: ControllerRecord, find: FindController): WorkloadRef {
  return climb(controller.namespace, { kind: controller.kind, name: controller.name, uid: '' }, NO_LABELS, find);
}
