import { parseMilliQuantity } from '../lib/quantity.ts';
import { replicaSetName, templateHash } from './layout.ts';
import { uidOf } from './names.ts';
import type { Bandwidth, ScenarioWorkload } from './scenario.ts';
import type { LabPod, LabState } from './state.ts';

/**
 * The lab as `kubectl get nodes,pods,services,deployments,replicasets -A -o json` would print it: the fields that
 * anything reads, in Kubernetes' own shape. Pure.
 */
export function renderSnapshot(state: LabState): object {
  const items = [
    ...state.nodes.map((n) => ({
      apiVersion: 'v1',
      kind: 'Node',
      metadata: {
        name: n.name,
        uid: n.uid,
        creationTimestamp: timestamp(state.createdAtMs),
        labels: {
          'kubernetes.io/hostname': n.name,
          'kubernetes.io/os': 'linux',
          'topology.kubernetes.io/region': n.region,
          'topology.kubernetes.io/zone': n.zone,
        },
      },
      spec: { podCIDR: n.podCidr, podCIDRs: [n.podCidr] },
      status: {
        addresses: [
          { type: 'InternalIP', address: n.address },
          { type: 'Hostname', address: n.name },
        ],
        allocatable: { cpu: n.cpu, memory: n.memory, pods: '110' },
        capacity: { cpu: n.cpu, memory: n.memory, pods: '110' },
        conditions: [{ type: 'Ready', status: 'True', reason: 'KubeletReady' }],
      },
    })),
    ...state.scenario.workloads.flatMap((w) => controllers(state, w)),
    ...state.services.map((s) => ({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: {
        name: s.name,
        namespace: state.scenario.namespace,
        uid: uidOf(`${state.id}/service/${s.name}`),
        labels: { app: s.workload },
      },
      spec: {
        type: 'ClusterIP',
        clusterIP: s.clusterIP,
        clusterIPs: [s.clusterIP],
        ipFamilies: ['IPv4'],
        ipFamilyPolicy: 'SingleStack',
        internalTrafficPolicy: 'Cluster',
        selector: { app: s.workload },
        ports: [{ name: s.portName, protocol: 'TCP', port: s.port, targetPort: s.targetPort }],
        sessionAffinity: 'None',
      },
    })),
    ...state.pods.map((p) => renderPod(state, p)),
  ];
  return { apiVersion: 'v1', kind: 'List', metadata: { resourceVersion: '' }, items };
}

function controllers(state: LabState, w: ScenarioWorkload): object[] {
  const namespace = state.scenario.namespace;
  const hash = templateHash(state, w.name);
  const replicas = w.placement.length;
  const deploymentUid = uidOf(`${state.id}/deployment/${w.name}`);
  const creationTimestamp = timestamp(state.createdAtMs);
  const status = { replicas, readyReplicas: replicas, availableReplicas: replicas };
  return [
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: w.name, namespace, uid: deploymentUid, creationTimestamp, labels: { app: w.name } },
      spec: {
        replicas,
        selector: { matchLabels: { app: w.name } },
        template: { metadata: { labels: { app: w.name }, ...annotations(w.bandwidth) }, spec: podSpec(w) },
      },
      status,
    },
    {
      apiVersion: 'apps/v1',
      kind: 'ReplicaSet',
      metadata: {
        name: replicaSetName(state, w.name),
        namespace,
        uid: replicaSetUid(state, w.name),
        creationTimestamp,
        labels: { app: w.name, 'pod-template-hash': hash },
        ownerReferences: [owner('Deployment', w.name, deploymentUid)],
      },
      spec: {
        replicas,
        selector: { matchLabels: { app: w.name, 'pod-template-hash': hash } },
        template: {
          metadata: { labels: { app: w.name, 'pod-template-hash': hash }, ...annotations(w.bandwidth) },
          spec: podSpec(w),
        },
      },
      status,
    },
  ];
}

/** A Pod object, also as kube-scheduler sends it to an extender: without a node while it is pending. */
export function renderPod(state: LabState, pod: LabPod): object {
  const w = state.scenario.workloads.find((x) => x.name === pod.workload)!;
  const running = pod.address !== undefined;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: pod.name,
      generateName: `${replicaSetName(state, pod.workload)}-`,
      namespace: state.scenario.namespace,
      uid: pod.uid,
      creationTimestamp: timestamp(pod.createdAtMs),
      labels: { app: pod.workload, 'pod-template-hash': templateHash(state, pod.workload) },
      ...annotations(pod.bandwidth ?? w.bandwidth),
      ownerReferences: [owner('ReplicaSet', replicaSetName(state, pod.workload), replicaSetUid(state, pod.workload))],
    },
    spec: { ...podSpec(w), ...(pod.node === undefined ? {} : { nodeName: pod.node }) },
    status: running
      ? {
          phase: 'Running',
          podIP: pod.address,
          podIPs: [{ ip: pod.address }],
          hostIP: state.nodes.find((n) => n.name === pod.node)?.address,
          conditions: [{ type: 'Ready', status: 'True' }],
        }
      : { phase: 'Pending' },
  };
}

function annotations({ egress, ingress }: Bandwidth = {}): { annotations?: Record<string, string> } {
  if (egress === undefined && ingress === undefined) return {};
  return {
    annotations: {
      ...(egress === undefined ? {} : { 'kubernetes.io/egress-bandwidth': egress }),
      ...(ingress === undefined ? {} : { 'kubernetes.io/ingress-bandwidth': ingress }),
    },
  };
}

function podSpec(w: ScenarioWorkload): object {
  return {
    schedulerName: 'default-scheduler',
    restartPolicy: 'Always',
    containers: [
      {
        name: 'server',
        image: w.image,
        env: Object.entries(w.env).map(([name, value]) => ({ name, value })),
        ports: w.service === undefined ? [] : [{ containerPort: w.service.targetPort, protocol: 'TCP' }],
        resources: { requests: { cpu: w.cpu, memory: w.memory } },
      },
    ],
  };
}

const replicaSetUid = (state: LabState, workload: string): string => uidOf(`${state.id}/replicaset/${workload}`);

function owner(kind: string, name: string, uid: string): object {
  return { apiVersion: 'apps/v1', kind, name, uid, controller: true, blockOwnerDeletion: true };
}

/** RFC 3339 without fractions, as Kubernetes writes it. */
function timestamp(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}

/** Nodes on which the CPU requests of one more pod of `workload` fit: kube-scheduler asks extenders about no others. */
export function nodesThatFit(state: LabState, workload: string): string[] {
  const requests = new Map(state.scenario.workloads.map((w) => [w.name, w]));
  const wanted = parseMilliQuantity(requests.get(workload)?.cpu) ?? 0;
  const used = new Map<string, number>();
  for (const pod of state.pods) {
    if (pod.node === undefined) continue;
    used.set(pod.node, (used.get(pod.node) ?? 0) + (parseMilliQuantity(requests.get(pod.workload)?.cpu) ?? 0));
  }
  return state.nodes
    .filter((n) => (used.get(n.name) ?? 0) + wanted <= (parseMilliQuantity(n.cpu) ?? 0))
    .map((n) => n.name);
}
