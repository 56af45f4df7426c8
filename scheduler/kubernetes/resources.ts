import type { Collection } from '../../lib/kube/collection.ts';
import { Interner } from '../cluster/interner.ts';
import type { ClusterRecord } from '../cluster/model.ts';
import { projectObject } from '../cluster/project.ts';
import { recordKey } from '../cluster/records.ts';

/** What is watched. Least RBAC: get, list and watch of each, and create of events (charts/netloom). */
export interface Resource {
  /** Collection of all namespaces. */
  readonly path: string;
  /** Items of a list do not say theirs. */
  readonly kind: string;
}

export const RESOURCES: readonly Resource[] = [
  { path: '/api/v1/nodes', kind: 'Node' },
  { path: '/api/v1/namespaces', kind: 'Namespace' },
  { path: '/apis/apps/v1/deployments', kind: 'Deployment' },
  { path: '/apis/apps/v1/replicasets', kind: 'ReplicaSet' },
  { path: '/apis/apps/v1/statefulsets', kind: 'StatefulSet' },
  { path: '/apis/apps/v1/daemonsets', kind: 'DaemonSet' },
  { path: '/apis/batch/v1/jobs', kind: 'Job' },
  { path: '/apis/batch/v1/cronjobs', kind: 'CronJob' },
  { path: '/api/v1/services', kind: 'Service' },
  { path: '/api/v1/pods', kind: 'Pod' },
];

/**
 * Its objects as the scheduler keeps them.
 * @param onOdd told of every record, with what of its object could not be used; undefined: nothing
 */
export function collectionOf(
  { path, kind }: Resource,
  onOdd?: (record: ClusterRecord, odd: string | undefined) => void,
): Collection<ClusterRecord> {
  const interner = new Interner();
  return {
    path,
    keyOf: recordKey,
    project(object) {
      const projection = projectObject(object, kind, interner);
      if (projection.outcome !== 'record') return undefined;
      onOdd?.(projection.record, projection.odd);
      return projection.record;
    },
  };
}
