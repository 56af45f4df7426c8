const PROPER_KIND: ReadonlyMap<string, string> = new Map(
  (
    [
      ['Deployment', 'deploy', 'deployment', 'deployments'],
      ['StatefulSet', 'sts', 'statefulset', 'statefulsets'],
      ['DaemonSet', 'ds', 'daemonset', 'daemonsets'],
      ['ReplicaSet', 'rs', 'replicaset', 'replicasets'],
      ['ReplicationController', 'rc', 'replicationcontroller', 'replicationcontrollers'],
      ['Job', 'job', 'jobs'],
      ['CronJob', 'cj', 'cronjob', 'cronjobs'],
      ['Pod', 'po', 'pod', 'pods'],
      ['Service', 'svc', 'service', 'services'],
      ['Node', 'no', 'node', 'nodes'],
      ['External', 'external'],
      ['Unknown', 'unknown'],
    ] as const
  ).flatMap(([kind, ...names]) => names.map((name) => [name, kind] as const)),
);

/** A kind by its short name or in any case ("deploy", "STATEFULSET"); a kind that is not built in stays as it is. */
export function properKind(kind: string): string {
  return PROPER_KIND.get(kind.toLowerCase()) ?? kind;
}
