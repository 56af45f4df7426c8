/**
 * ByteDance's research clusters (github.com/bytedance/research-cluster-dataset: M1 .. M4) as cluster and traffic. One
 * JSON object:
 *
 *   ServiceList [{Service, RequestCPU, RequestMem, ContainerList, CompatibleMachines}]
 *   MachineList [{MachineIP, TotalCPU, TotalMem, InitialDeployingContainers}]
 *   TrafficList [{Service1, Service2, Traffic}]
 *
 * A service becomes a Deployment, a container a pod in namespace "default", bound to its machine. CPU, memory and
 * traffic are shares of the cluster's whole and have no unit. Pure.
 */
import { asArray, asObject, asText, excerpt, type JsonObject } from '../../lib/json/json-access.ts';
import type { ClusterRecord, Resources } from './model.ts';
import { plainController, plainPod } from './plain-records.ts';
import type { TrafficRow } from './traffic.ts';

export interface AffinityDataset {
  readonly records: readonly ClusterRecord[];
  /** Undirected: each pair as two rows, of which each end is the client once, with half of the traffic. */
  readonly traffic: readonly TrafficRow[];
  /** Parts that could not be used, and why. */
  readonly unusable: readonly { readonly reason: string; readonly sample: string }[];
}

const NAMESPACE = 'default';
/**
 * The cluster's whole CPU as milli-CPU, its memory as bytes. Requests are rounded up and capacities down, so that
 * whatever fits in whole numbers fits in the data; at this scale that costs less than a millionth of the smallest
 * request.
 */
const WHOLE = 1e12;

export function isAffinityDataset(value: unknown): value is JsonObject {
  const object = asObject(value);
  return (
    object !== undefined && ['ServiceList', 'MachineList', 'TrafficList'].every((key) => Array.isArray(object[key]))
  );
}

export function readAffinityDataset(dataset: JsonObject): AffinityDataset {
  const unusable: { reason: string; sample: string }[] = [];
  const records: ClusterRecord[] = [];
  const machineOf = new Map<string, string>();
  const machines: [string, Resources][] = [];
  for (const entry of asArray(dataset['MachineList'])) {
    const machine = asObject(entry);
    const name = asText(machine?.['MachineIP']);
    const milliCpu = scaled(machine?.['TotalCPU'], Math.floor);
    const memoryBytes = scaled(machine?.['TotalMem'], Math.floor);
    if (name === undefined || milliCpu === undefined || memoryBytes === undefined) {
      unusable.push({ reason: 'a machine without MachineIP, TotalCPU or TotalMem', sample: excerpt(entry) });
      continue;
    }
    machines.push([name, { milliCpu, memoryBytes, pods: 0 }]);
    for (const container of asArray(machine?.['InitialDeployingContainers'])) machineOf.set(String(container), name);
  }
  const pods: ClusterRecord[] = [];
  for (const entry of asArray(dataset['ServiceList'])) {
    const service = asObject(entry);
    const name = asText(service?.['Service']);
    const milliCpu = scaled(service?.['RequestCPU'], Math.ceil);
    const memoryBytes = scaled(service?.['RequestMem'], Math.ceil);
    if (name === undefined || milliCpu === undefined || memoryBytes === undefined) {
      unusable.push({ reason: 'a service without Service, RequestCPU or RequestMem', sample: excerpt(entry) });
      continue;
    }
    if (service?.['CompatibleMachines'] !== '*') {
      unusable.push({ reason: 'CompatibleMachines is not honoured: every machine counts as fit', sample: name });
    }
    const containers = asArray(service?.['ContainerList']).map(String);
    const deployment = plainController('Deployment', NAMESPACE, name, containers.length);
    records.push(deployment);
    const owner = { kind: 'Deployment', name, uid: deployment.uid };
    const requests: Resources = { milliCpu, memoryBytes, pods: 1 };
    for (const container of containers) {
      pods.push(plainPod(NAMESPACE, container, machineOf.get(container), owner, requests));
    }
  }
  for (const [name, { milliCpu, memoryBytes }] of machines) {
    records.push({
      type: 'node',
      name,
      uid: `Node/${name}`,
      addresses: [],
      podCidrs: [],
      zone: undefined,
      region: undefined,
      // The data know no limit of pods per machine.
      allocatable: { milliCpu, memoryBytes, pods: pods.length },
    });
  }
  return { records: [...records, ...pods], traffic: trafficRows(dataset, unusable), unusable };
}

function trafficRows(dataset: JsonObject, unusable: { reason: string; sample: string }[]): TrafficRow[] {
  const rows: TrafficRow[] = [];
  for (const [line, entry] of asArray(dataset['TrafficList']).entries()) {
    const pair = asObject(entry);
    const [one, other] = [asText(pair?.['Service1']), asText(pair?.['Service2'])];
    const traffic = pair?.['Traffic'];
    if (one === undefined || other === undefined || typeof traffic !== 'number' || !(traffic >= 0)) {
      unusable.push({ reason: 'a pair without Service1, Service2 or Traffic', sample: excerpt(entry) });
      continue;
    }
    for (const [client, server] of [[one, other] as const, [other, one] as const]) {
      rows.push({
        line: line + 1,
        client: { namespace: NAMESPACE, kind: 'Deployment', name: client },
        peer: { namespace: NAMESPACE, kind: 'Deployment', name: server },
        bytesPerSecondOut: traffic / 4,
        bytesPerSecondIn: traffic / 4,
      });
    }
  }
  return rows;
}

function scaled(share: unknown, round: (value: number) => number): number | undefined {
  if (typeof share !== 'number' || !(share >= 0) || share * WHOLE > Number.MAX_SAFE_INTEGER) return undefined;
  return round(share * WHOLE);
}
