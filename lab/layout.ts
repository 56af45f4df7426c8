import { NetloomError } from '../lib/errors.ts';
import { fabricNamespace, netnsPath, nodeNamespace, podNamespace, suffix, uidOf } from './names.ts';
import type { Scenario } from './scenario.ts';
import { nodeOf, type LabNode, type LabPod, type LabService, type LabState } from './state.ts';

/** Ranges of the lab's cluster. They exist only inside its namespaces, so two labs may use the same. */
export const POD_RANGE = '10.244.0.0/16';
export const SERVICE_RANGE = '10.96.0.0/12';
export const NODE_RANGE = '172.18.0.0/16';

/** What a scenario becomes: every name and address, nothing made yet. Pure. */
export function layOut(
  name: string,
  id: string,
  scenario: Scenario,
  options: { readonly nowMs: number; readonly paused: boolean; readonly rateFactor: number },
): LabState {
  const state: LabState = {
    netloomLab: 1,
    name,
    id,
    phase: 'starting',
    createdAtMs: options.nowMs,
    scenario,
    fabricNamespace: fabricNamespace(name),
    nodes: scenario.nodes.map((n, i): LabNode => ({
      name: n.name,
      uid: uidOf(`${id}/node/${n.name}`),
      zone: n.zone,
      region: n.region,
      cpu: n.cpu,
      memory: n.memory,
      address: `172.18.0.${i + 2}`,
      podCidr: `10.244.${i}.0/24`,
      gateway: `10.244.${i}.1`,
      namespace: nodeNamespace(name, n.name),
      netns: netnsPath(nodeNamespace(name, n.name)),
      uplink: 'eth0',
      nextHost: 2,
      holder: undefined,
    })),
    services: services(scenario),
    pods: [],
    retired: [],
    podsMade: 0,
    generation: 1,
    paused: options.paused,
    rateFactor: options.rateFactor,
    processes: [],
  };
  for (const w of scenario.workloads) {
    for (const node of w.placement) bind(state, addPod(state, w.name, options.nowMs), node);
  }
  return state;
}

function services(scenario: Scenario): LabService[] {
  const taken = new Set(scenario.workloads.flatMap((w) => w.service?.clusterIP ?? []));
  let next = 10;
  const out: LabService[] = [];
  for (const w of scenario.workloads) {
    if (w.service === undefined) continue;
    let clusterIP = w.service.clusterIP;
    while (clusterIP === undefined) {
      const candidate = `10.96.${next >> 8}.${next & 255}`;
      next++;
      if (!taken.has(candidate)) clusterIP = candidate;
    }
    out.push({
      name: w.name,
      workload: w.name,
      clusterIP,
      portName: w.service.portName,
      port: w.service.port,
      targetPort: w.service.targetPort,
    });
  }
  return out;
}

/** Hash of a Deployment's pod template, as it appears in the names of its ReplicaSet and pods. */
export function templateHash(state: LabState, workload: string): string {
  return suffix(`${state.scenario.name}/${workload}`, 10);
}

export function replicaSetName(state: LabState, workload: string): string {
  return `${workload}-${templateHash(state, workload)}`;
}

/** Adds a pending pod of `workload` to the state. Throws LAB_UNKNOWN_OBJECT. */
export function addPod(state: LabState, workload: string, nowMs: number): LabPod {
  if (!state.scenario.workloads.some((w) => w.name === workload)) {
    throw new NetloomError('LAB_UNKNOWN_OBJECT', `the lab has no workload ${workload}`, {
      expected: state.scenario.workloads.map((w) => w.name).join(', '),
      found: workload,
    });
  }
  const taken = new Set([...state.pods, ...state.retired].map((p) => p.name));
  let name: string;
  do {
    state.podsMade++;
    name = `${replicaSetName(state, workload)}-${suffix(`${state.id}/${workload}/${state.podsMade}`, 5)}`;
  } while (taken.has(name));
  const pod: LabPod = {
    name,
    uid: uidOf(`${state.id}/pod/${name}`),
    workload,
    createdAtMs: nowMs,
    node: undefined,
    address: undefined,
    namespace: undefined,
    netns: undefined,
    process: undefined,
  };
  state.pods.push(pod);
  return pod;
}

/** Gives a pending pod its node, address and namespace. Throws LAB_UNKNOWN_OBJECT, LAB_ADDRESSES_EXHAUSTED. */
export function bind(state: LabState, pod: LabPod, nodeName: string): void {
  const node = nodeOf(state, nodeName);
  if (node.nextHost > 254) {
    throw new NetloomError('LAB_ADDRESSES_EXHAUSTED', `${node.podCidr} of ${node.name} has no unused address left`);
  }
  pod.node = node.name;
  pod.address = node.podCidr.replace(/\.0\/24$/, `.${node.nextHost}`);
  node.nextHost++;
  pod.namespace = podNamespace(state.name, pod.name);
  pod.netns = netnsPath(pod.namespace);
}

/** All network namespaces of the state. */
export function namespacesOf(state: LabState): string[] {
  return [
    state.fabricNamespace,
    ...state.nodes.map((n) => n.namespace),
    ...state.pods.flatMap((p) => p.namespace ?? []),
  ];
}

/** Pods behind a Service: those of its workload that run. */
export function endpointsOf(state: LabState, service: LabService): LabPod[] {
  return state.pods.filter((p) => p.workload === service.workload && p.address !== undefined);
}
