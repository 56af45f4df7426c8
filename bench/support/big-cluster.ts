import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import type { ControllerRecord, NodeRecord, PodRecord } from '../../scheduler/cluster/model.ts';
import { snapshotChunks } from '../../scheduler/cluster/native-format.ts';
import { nodeName, podAddress } from '../../test/support/simulated-agents.ts';
import type { ViewSpec } from '../../test/support/view-fixture.ts';

/**
 * A cluster of 5,000 nodes, 100,000 pods and 50,000 workload edges, the same at every run: 4,250 Deployments of 20 pods,
 * three DaemonSets, of which two talk with everybody, as DNS and metrics do.
 */
export const NODES = 5_000;
export const PODS_PER_NODE = 20;
const DAEMON_SETS = 3;
const REPLICAS = 20;
const DEPLOYMENTS = (NODES * (PODS_PER_NODE - DAEMON_SETS)) / REPLICAS;
const EDGES = 50_000;
const NAMESPACES = 50;

export interface Edge {
  readonly client: string;
  readonly server: string;
  readonly bytesPerSecond: number;
}

/** Nodes that simulated agents report for are called as these do; the others as in EKS. */
export function clusterNodeName(node: number, agents: number): string {
  if (node < agents) return nodeName(node);
  return `ip-10-${node >> 8}-${node & 255}-117.eu-central-1.compute.internal`;
}

/** Workload keys: Deployments first, then the DaemonSets. */
export const WORKLOADS: readonly string[] = [
  ...Array.from({ length: DEPLOYMENTS }, (_, w) => `team-${w % NAMESPACES}/Deployment/service-${w}`),
  ...Array.from({ length: DAEMON_SETS }, (_, d) => `kube-system/DaemonSet/daemon-${d}`),
];

function workloadOfPod(node: number, slot: number): number {
  if (slot < DAEMON_SETS) return DEPLOYMENTS + slot;
  const pod = node * (PODS_PER_NODE - DAEMON_SETS) + slot - DAEMON_SETS;
  // 7919 is prime to the number of pods, so every Deployment gets exactly its replicas, spread over the cluster.
  return Math.floor(((pod * 7919) % (DEPLOYMENTS * REPLICAS)) / REPLICAS);
}

export function edges(): Edge[] {
  const all: Edge[] = [];
  const bytes = (i: number) => 10 ** (4 + ((i * 2654435761) % 1000) / 333);
  for (let w = 0; w < DEPLOYMENTS; w++) {
    for (let d = 0; d < 2; d++) {
      all.push({ client: WORKLOADS[w]!, server: WORKLOADS[DEPLOYMENTS + d]!, bytesPerSecond: bytes(w + d) / 10 });
    }
  }
  const seen = new Set<number>();
  for (let i = 0; all.length < EDGES; i++) {
    const client = i % DEPLOYMENTS;
    const server = (client + 1 + ((i * 40503) % (DEPLOYMENTS - 1))) % DEPLOYMENTS;
    if (seen.has(client * DEPLOYMENTS + server)) continue;
    seen.add(client * DEPLOYMENTS + server);
    all.push({ client: WORKLOADS[client]!, server: WORKLOADS[server]!, bytesPerSecond: bytes(i) });
  }
  return all;
}

export function viewSpec(agents: number): ViewSpec {
  const placed = WORKLOADS.map((): Record<string, number> => ({}));
  for (let node = 0; node < NODES; node++) {
    const name = clusterNodeName(node, agents);
    for (let slot = 0; slot < PODS_PER_NODE; slot++) {
      const of = placed[workloadOfPod(node, slot)]!;
      of[name] = (of[name] ?? 0) + 1;
    }
  }
  return {
    nodes: Array.from({ length: NODES }, (_, n) => ({
      name: clusterNodeName(n, agents),
      zone: zoneOf(n),
      region: 'eu',
    })),
    workloads: WORKLOADS.map((key, w) => ({
      key,
      placed: placed[w]!,
      replicas: w < DEPLOYMENTS ? REPLICAS + 1 : NODES,
    })),
    edges: edges(),
  };
}

/** Writes snapshot.json and traffic.csv for `netloom scheduler --snapshot --traffic`. */
export async function writeCluster(folder: string, agents: number): Promise<void> {
  await mkdir(folder, { recursive: true });
  await write(
    join(folder, 'snapshot.json'),
    snapshotChunks({
      namespaces: () => [],
      nodes: () => nodeRecords(agents),
      pods: () => podRecords(agents),
      services: () => [],
      controllers: controllerRecords,
    }),
  );
  await write(join(folder, 'traffic.csv'), trafficLines());
}

async function write(path: string, chunks: Iterable<string>): Promise<void> {
  const file = createWriteStream(path);
  for (const chunk of chunks) file.write(chunk);
  file.end();
  await finished(file);
}

function* trafficLines(): Generator<string> {
  yield 'namespace,workload_kind,workload,peer_namespace,peer_kind,peer,bytes_per_second_out,bytes_per_second_in\n';
  for (const { client, server, bytesPerSecond } of edges()) {
    const half = bytesPerSecond / 2;
    yield `${client.replaceAll('/', ',')},${server.replaceAll('/', ',')},${half},${half}\n`;
  }
}

function zoneOf(node: number): string {
  return `zone-${node % 3}`;
}

function* nodeRecords(agents: number): Generator<NodeRecord> {
  for (let n = 0; n < NODES; n++) {
    const name = clusterNodeName(n, agents);
    const allocatable = { milliCpu: 16_000, memoryBytes: 64e9, pods: 110 };
    yield { type: 'node', name, uid: name, addresses: [], podCidrs: [], zone: zoneOf(n), region: 'eu', allocatable };
  }
}

function* controllerRecords(): Generator<ControllerRecord> {
  for (const [w, key] of WORKLOADS.entries()) {
    const [namespace, kind, name] = key.split('/') as [string, string, string];
    const replicas = w < DEPLOYMENTS ? REPLICAS + 1 : undefined;
    yield { type: 'controller', namespace, kind, name, uid: key, owner: undefined, replicas };
    if (kind !== 'Deployment') continue;
    const owner = { kind, name, uid: key };
    yield {
      type: 'controller',
      namespace,
      kind: 'ReplicaSet',
      name: replicaSetOf(name),
      uid: `${key}-rs`,
      owner,
      replicas,
    };
  }
}

function* podRecords(agents: number): Generator<PodRecord> {
  for (let node = 0; node < NODES; node++) {
    for (let slot = 0; slot < PODS_PER_NODE; slot++) {
      const key = WORKLOADS[workloadOfPod(node, slot)]!;
      const [namespace, kind, name] = key.split('/') as [string, string, string];
      const owner =
        kind === 'Deployment'
          ? { kind: 'ReplicaSet', name: replicaSetOf(name), uid: `${key}-rs` }
          : { kind, name, uid: key };
      yield {
        type: 'pod',
        uid: `pod-${node}-${slot}`,
        namespace,
        name: `${owner.name}-${node}-${slot}`,
        node: clusterNodeName(node, agents),
        addresses: [podAddress(node, slot, PODS_PER_NODE)],
        hostNetwork: false,
        phase: 'Running',
        owner,
        labels: { app: name },
        requests: { milliCpu: 100, memoryBytes: 1e8, pods: 1 },
        mirror: false,
      };
    }
  }
}

export function replicaSetOf(deployment: string): string {
  return `${deployment}-5d4f8c7b9d`;
}

/** A request as kube-scheduler sends it for a new pod of Deployment `w`, with `count` names from a rotating start. */
export function requestBody(w: number, count: number, agents: number): string {
  const [namespace, , name] = WORKLOADS[w % DEPLOYMENTS]!.split('/') as [string, string, string];
  const start = (w * 1237) % NODES;
  const stamp = '2026-11-23T06:22:25Z';
  const Pod = {
    metadata: {
      name: `${replicaSetOf(name)}-x${w}`,
      generateName: `${replicaSetOf(name)}-`,
      namespace,
      uid: `89ae0000-0000-4000-8000-${String(w).padStart(12, '0')}`,
      resourceVersion: '307',
      creationTimestamp: stamp,
      labels: { app: name, 'pod-template-hash': '5d4f8c7b9d' },
      ownerReferences: [
        {
          apiVersion: 'apps/v1',
          kind: 'ReplicaSet',
          name: replicaSetOf(name),
          uid: 'u',
          controller: true,
          blockOwnerDeletion: true,
        },
      ],
      managedFields: [
        {
          manager: 'kube-controller-manager',
          operation: 'Update',
          apiVersion: 'v1',
          time: stamp,
          fieldsType: 'FieldsV1',
          fieldsV1: {
            'f:metadata': { 'f:labels': { '.': {}, 'f:app': {} }, 'f:ownerReferences': { '.': {} } },
            'f:spec': { 'f:containers': { 'k:{"name":"c"}': { '.': {}, 'f:image': {} } } },
          },
        },
      ],
    },
    spec: {
      volumes: [
        {
          name: 'kube-api-access-jbc9x',
          projected: {
            sources: [
              { serviceAccountToken: { expirationSeconds: 3607, path: 'token' } },
              { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
            ],
            defaultMode: 420,
          },
        },
      ],
      containers: [
        {
          name: 'c',
          image: 'registry.example/app:1',
          env: Array.from({ length: 20 }, (_, i) => ({ name: `PEER_${i}_ADDR`, value: `service-${i}:8080` })),
          resources: { requests: { cpu: '100m', memory: '100Mi' } },
        },
      ],
      serviceAccountName: 'default',
      schedulerName: 'default-scheduler',
      tolerations: [
        { key: 'node.kubernetes.io/not-ready', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 300 },
      ],
      priority: 0,
    },
    status: { phase: 'Pending', qosClass: 'Burstable' },
  };
  const NodeNames = Array.from({ length: count }, (_, i) => clusterNodeName((start + i) % NODES, agents));
  return JSON.stringify({ Pod, Nodes: null, NodeNames });
}
