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
