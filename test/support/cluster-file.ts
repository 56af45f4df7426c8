/** A cluster in words, from which a snapshot file as kubectl prints it is made. */
export interface ClusterSpec {
  readonly namespace: string;
  readonly nodes: readonly { readonly name: string; readonly zone: string; readonly address?: string }[];
  /** Deployments; `pods`: name suffix -> node and address. */
  readonly workloads: readonly {
    readonly name: string;
    readonly replicas?: number;
    readonly pods?: readonly { readonly suffix: string; readonly node: string; readonly address: string }[];
  }[];
}

const HASH = '6f9cbd7f5d';

export function podName(workload: string, suffix: string): string {
  return `${workload}-${HASH}-${suffix}`;
}

const ownedBy = (kind: string, name: string) => [
  { apiVersion: 'apps/v1', kind, name, uid: `uid-${kind}-${name}`, controller: true },
];

/** A pod as kube-scheduler sends it: pending, owned by the Deployment's ReplicaSet. */
export function pendingPod(namespace: string, workload: string, suffix = 'zzzzz'): object {
  return podObject(namespace, workload, suffix, undefined, undefined);
}

function podObject(
  namespace: string,
  workload: string,
  suffix: string,
  node: string | undefined,
  address: string | undefined,
): object {
  const name = podName(workload, suffix);
  return {
    kind: 'Pod',
    metadata: {
      name,
      namespace,
      uid: `uid-${namespace}-${name}`,
      labels: { app: workload, 'pod-template-hash': HASH },
      ownerReferences: ownedBy('ReplicaSet', `${workload}-${HASH}`),
    },
    spec: {
      containers: [{ name: 'main', image: `${workload}:1`, resources: { requests: { cpu: '100m', memory: '64Mi' } } }],
      ...(node === undefined ? {} : { nodeName: node }),
    },
    status: {
      phase: node === undefined ? 'Pending' : 'Running',
      ...(address === undefined ? {} : { podIP: address, podIPs: [{ ip: address }] }),
    },
  };
}

export function clusterFile({ namespace, nodes, workloads }: ClusterSpec): string {
  const items: object[] = nodes.map(({ name, zone, address }, i) => ({
    kind: 'Node',
    metadata: {
      name,
      uid: `uid-${name}`,
      labels: { 'topology.kubernetes.io/zone': zone, 'topology.kubernetes.io/region': 'north' },
    },
    spec: {},
    status: {
      addresses: [{ type: 'InternalIP', address: address ?? `172.20.0.${i + 1}` }],
      allocatable: { cpu: '8', memory: '16Gi', pods: '110' },
    },
  }));
  for (const { name, pods = [], replicas = pods.length } of workloads) {
    items.push(
      {
        kind: 'Deployment',
        metadata: { name, namespace, uid: `uid-Deployment-${name}` },
        spec: { replicas, selector: { matchLabels: { app: name } } },
      },
      {
        kind: 'ReplicaSet',
        metadata: {
          name: `${name}-${HASH}`,
          namespace,
          uid: `uid-ReplicaSet-${name}-${HASH}`,
          ownerReferences: ownedBy('Deployment', name),
        },
        spec: { replicas },
      },
      ...pods.map(({ suffix, node, address }) => podObject(namespace, name, suffix, node, address)),
    );
  }
  return JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
}
