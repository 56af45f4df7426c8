/**
 * Writes what `kubectl get nodes,pods,services,deployments,replicasets,statefulsets -A -o json` prints for a made-up
 * cluster, of any size, as a stream; and knows what it wrote.
 */
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { finished } from 'node:stream/promises';
import {
  controllerObject,
  nodeObject,
  podObject,
  serviceObject,
  type OwnerReference,
  type PodShape,
} from './kubectl-objects.ts';

/** Pods of workloads a node; six more belong to the system. */
const PODS_PER_NODE = 24;
/** A node, its pods and their share of the rest: measured 524 kB, less some for chance. */
const BYTES_PER_NODE = 480_000;

type WorkloadKind = 'Deployment' | 'Rollout' | 'StatefulSet' | 'CronJob' | 'Job' | 'Pod';

interface PlannedWorkload {
  readonly kind: WorkloadKind;
  readonly namespace: string;
  readonly name: string;
  readonly pods: readonly { readonly name: string; readonly node: number; readonly addresses: readonly string[] }[];
}

/** What a reader of the file must find in it. */
export interface GeneratedCluster {
  readonly nodes: readonly { readonly name: string; readonly zone: string }[];
  readonly counts: { nodes: number; pods: number; services: number; controllers: number };
  /** Bound pods that are not at their end: workload key -> node name -> pods. */
  readonly placed: ReadonlyMap<string, ReadonlyMap<string, number>>;
  /** Address -> "namespace/name" of the pod that has it now. */
  readonly owners: ReadonlyMap<string, string>;
  text(): Generator<string>;
}

export interface GenerateOptions {
  /** The text is at least so long. */
  readonly bytes: number;
  readonly seed: number;
}

/** mulberry32: the same numbers for the same seed. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

const REPLICAS = [1, 1, 1, 2, 2, 3, 3, 5, 8, 20];
const KINDS: readonly WorkloadKind[] = [
  ...(Array(10).fill('Deployment') as WorkloadKind[]),
  ...(Array(4).fill('StatefulSet') as WorkloadKind[]),
  ...(['Rollout', 'Rollout', 'CronJob', 'Job', 'Pod'] as const),
];
const HASH = '7d967dfd5d';
const SYSTEM = 'kube-system';
const APPS_V1 = 'apps/v1';
/** Minutes since 1970 of a schedule in 2026, as CronJobs name their Jobs. */
const SCHEDULED = 29_900_000;

const hex = (value: number): string => value.toString(16);

export function generateCluster({ bytes, seed }: GenerateOptions): GeneratedCluster {
  const random = randomFrom(seed);
  const nodeCount = Math.max(3, Math.ceil(bytes / BYTES_PER_NODE));
  const nodes = Array.from({ length: nodeCount }, (_, n) => ({
    name: `ip-172-${16 + (n >> 16)}-${(n >> 8) & 255}-${n & 255}.example.internal`,
    addresses: [`172.${16 + (n >> 16)}.${(n >> 8) & 255}.${n & 255}`, `fd00:1::${hex(n + 1)}`],
    podCidrs: [`10.${n >> 8}.${n & 255}.0/24`, `fd00:10:0:${hex(n)}::/64`],
    zone: `zone-${'abc'[n % 3]!}`,
    region: 'region-1',
  }));
  const used = new Uint16Array(nodeCount).fill(1);
  /** Every third pod is dual-stack, every tenth of IPv6 only. */
  const addressesOn = (n: number): string[] => {
    const host = ++used[n]!;
    const v4 = `10.${n >> 8}.${n & 255}.${host & 255}`;
    // The API server's spelling is not always ours: capitals and zeros too.
    const v6 = host % 2 === 0 ? `fd00:10:0:${hex(n)}::${hex(host)}` : `FD00:10:0:${hex(n)}:0:0:0:${hex(host)}`;
    if (host > 250 || host % 10 === 0) return [v6];
    return host % 3 === 0 ? [v4, v6] : [v4];
  };

  const workloads: PlannedWorkload[] = [];
  for (let left = nodeCount * PODS_PER_NODE; left > 0;) {
    const w = workloads.length;
    const kind = KINDS[random(KINDS.length)]!;
    const name = `${kind.toLowerCase()}-${w}`;
    const replicas = kind === 'Pod' ? 1 : Math.min(left, REPLICAS[random(REPLICAS.length)]!);
    const pods = Array.from({ length: replicas }, (_, r) => {
      const node = random(nodeCount);
      return { name: podNameOf(kind, name, r, random), node, addresses: addressesOn(node) };
    });
    workloads.push({ kind, namespace: `team-${w % 20}`, name, pods });
    left -= replicas;
  }

  const counts = { nodes: 0, pods: 0, services: 0, controllers: 0 };
  const placed = new Map<string, Map<string, number>>();
  const owners = new Map<string, string>();
  const keep = (workload: string, shape: PodShape): object => {
    counts.pods++;
    if (shape.node !== undefined && shape.phase === 'Running') {
      const byNode = placed.get(workload) ?? new Map<string, number>();
      placed.set(workload, byNode.set(shape.node, (byNode.get(shape.node) ?? 0) + 1));
      if (shape.hostNetwork !== true) {
        for (const address of shape.addresses ?? []) owners.set(address, `${shape.namespace}/${shape.name}`);
      }
    }
    return podObject(shape);
  };

  function* systemPods(n: number): Generator<object> {
    const { name: node, addresses } = nodes[n]!;
    const onNode = { namespace: SYSTEM, node, hostIp: addresses[0]!, phase: 'Running' } as const;
    for (const daemon of ['kube-proxy', 'cni', 'logs']) {
      const hostNetwork = daemon !== 'logs';
      const owner = { apiVersion: APPS_V1, kind: 'DaemonSet', name: daemon };
      const shape = { ...onNode, name: `${daemon}-${hex(n).padStart(5, '0')}`, app: daemon, owner, hostNetwork };
      yield keep(`${SYSTEM}/DaemonSet/${daemon}`, { ...shape, addresses: hostNetwork ? addresses : addressesOn(n) });
    }
    if (n >= 3) return;
    for (const name of ['kube-apiserver', 'etcd']) {
      const owner = { apiVersion: 'v1', kind: 'Node', name: node };
      const shape = {
        ...onNode,
        name: `${name}-${node}`,
        app: name,
        owner,
        hostNetwork: true,
        mirror: true,
        addresses,
      };
      yield keep(`${SYSTEM}/Pod/${name}`, shape);
    }
  }

  function* podsOf(workload: PlannedWorkload): Generator<object> {
    const { kind, namespace, name, pods } = workload;
    const key = `${namespace}/${kind}/${name}`;
    const labels: Record<string, string> =
      kind === 'Deployment'
        ? { 'pod-template-hash': HASH }
        : kind === 'Rollout'
          ? { 'rollouts-pod-template-hash': HASH }
          : {};
    for (const [r, pod] of pods.entries()) {
      const { name: node, addresses: nodeAddresses } = nodes[pod.node]!;
      const owner = ownerOf(kind, name, r);
      const shape = { namespace, app: name, labels, ...(owner === undefined ? {} : { owner }) };
      const bound = { node, hostIp: nodeAddresses[0]!, addresses: pod.addresses };
      // The one before it is at its end, and still shows the address.
      if (kind === 'CronJob' || kind === 'Job') {
        const phase = r % 2 === 0 ? 'Succeeded' : 'Failed';
        yield keep(key, { ...shape, ...bound, name: `${pod.name}-past`, phase });
      }
      yield keep(key, { ...shape, ...bound, name: pod.name, phase: 'Running' });
      if (kind === 'Deployment' && r === 9) yield keep(key, { ...shape, name: `${pod.name}w`, phase: 'Pending' });
    }
  }

  function* objects(): Generator<object> {
    for (const node of nodes) {
      counts.nodes++;
      yield nodeObject(node);
    }
    for (let n = 0; n < nodeCount; n++) yield* systemPods(n);
    for (const workload of workloads) yield* podsOf(workload);
    for (const [w, { kind, namespace, name }] of workloads.entries()) {
      if (kind === 'CronJob' || kind === 'Job' || kind === 'Pod') continue;
      counts.services++;
      const v4 = `10.${240 + (w >> 16)}.${(w >> 8) & 255}.${w & 255}`;
      yield serviceObject(namespace, name, kind === 'StatefulSet' ? [] : [v4, `fd00:240::${hex(w + 1)}`]);
    }
    for (const workload of workloads) {
      for (const object of controllersOf(workload)) {
        counts.controllers++;
        yield object;
      }
    }
  }

  return {
    nodes,
    counts,
    placed,
    owners,
    *text() {
      Object.assign(counts, { nodes: 0, pods: 0, services: 0, controllers: 0 });
      placed.clear();
      owners.clear();
      let text = '{\n    "apiVersion": "v1",\n    "items": [';
      let separator = '\n';
      for (const object of objects()) {
        text += separator + indented(object);
        separator = ',\n';
        if (text.length < 1 << 20) continue;
        yield text;
        text = '';
      }
      yield `${text}\n    ],\n    "kind": "List",\n    "metadata": {\n        "resourceVersion": ""\n    }\n}\n`;
    },
  };
}

function podNameOf(kind: WorkloadKind, workload: string, r: number, random: (below: number) => number): string {
  const suffix = hex(0x10000 + random(0xeffff)).slice(0, 5);
  switch (kind) {
    case 'Deployment':
    case 'Rollout':
      return `${workload}-${HASH}-${suffix}${r}`;
    case 'StatefulSet':
      return `${workload}-${r}`;
    case 'CronJob':
      return `${workload}-${SCHEDULED + r}-${suffix}`;
    case 'Job':
      return `${workload}-${suffix}${r}`;
    case 'Pod':
      return workload;
  }
}

function ownerOf(kind: WorkloadKind, workload: string, r: number): OwnerReference | undefined {
  switch (kind) {
    case 'Deployment':
    case 'Rollout':
      return { apiVersion: APPS_V1, kind: 'ReplicaSet', name: `${workload}-${HASH}` };
    case 'StatefulSet':
      return { apiVersion: APPS_V1, kind, name: workload };
    case 'CronJob':
      return { apiVersion: 'batch/v1', kind: 'Job', name: `${workload}-${SCHEDULED + r}` };
    case 'Job':
      return { apiVersion: 'batch/v1', kind, name: workload };
    case 'Pod':
      return undefined;
  }
}

/** Rollouts, Jobs and CronJobs are not among the kinds that the command asks for. */
function* controllersOf({ kind, namespace, name, pods }: PlannedWorkload): Generator<object> {
  if (kind === 'StatefulSet') yield controllerObject(kind, namespace, name, name, pods.length);
  if (kind === 'Deployment') yield controllerObject(kind, namespace, name, name, pods.length);
  if (kind !== 'Deployment' && kind !== 'Rollout') return;
  const owner = { apiVersion: kind === 'Rollout' ? 'argoproj.io/v1alpha1' : APPS_V1, kind, name };
  yield controllerObject('ReplicaSet', namespace, `${name}-${HASH}`, name, pods.length, owner);
  yield controllerObject('ReplicaSet', namespace, `${name}-5c8b9d6f4`, name, 0, owner);
}

const BEFORE_ITEM = '{\n    "items": [\n'.length;
const AFTER_ITEM = '\n    ]\n}'.length;

/** As it stands among the items of a list. */
function indented(object: object): string {
  return JSON.stringify({ items: [object] }, null, 4).slice(BEFORE_ITEM, -AFTER_ITEM);
}

/** @returns how many bytes were written */
export async function writeText(path: string, pieces: Iterable<string>): Promise<number> {
  const file = createWriteStream(path);
  for (const piece of pieces) if (!file.write(piece)) await once(file, 'drain');
  file.end();
  await finished(file);
  return file.bytesWritten;
}
