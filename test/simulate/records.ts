import type { ClusterRecord, NodeRecord, PodRecord } from '../../scheduler/cluster/model.ts';
import type { TrafficRow } from '../../scheduler/cluster/traffic.ts';

/** Records in few words, for tests that name what they are about. */
export function node(name: string, given: Partial<NodeRecord> = {}): NodeRecord {
  return {
    type: 'node',
    name,
    uid: name,
    addresses: [],
    podCidrs: [],
    zone: undefined,
    region: undefined,
    allocatable: { milliCpu: 4000, memoryBytes: 8e9, pods: 110 },
    ...given,
  };
}

/** A pod of namespace shop; `owner` is "Kind/name". */
export function pod(name: string, owner: string | undefined, given: Partial<PodRecord> = {}): PodRecord {
  const [kind, ownerName] = owner?.split('/') ?? [];
  return {
    type: 'pod',
    uid: `uid-${name}`,
    namespace: 'shop',
    name,
    node: undefined,
    addresses: [],
    hostNetwork: false,
    phase: given.node === undefined ? 'Pending' : 'Running',
    owner: kind === undefined ? undefined : { kind, name: ownerName!, uid: '' },
    labels: {},
    requests: { milliCpu: 100, memoryBytes: 1e8, pods: 1 },
    mirror: false,
    ...given,
  };
}

export function service(name: string, selector: Record<string, string>): ClusterRecord {
  return { type: 'service', namespace: 'shop', name, uid: name, addresses: [], selector };
}

/** Traffic between "Kind/name" and "Kind/name" of namespace shop. */
export function traffic(client: string, peer: string, out: number, back = 0): TrafficRow {
  const ref = (text: string) => {
    const [kind, ...name] = text.split('/');
    return { namespace: kind === 'External' ? '' : 'shop', kind: kind!, name: name.join('/') };
  };
  return { line: 1, client: ref(client), peer: ref(peer), bytesPerSecondOut: out, bytesPerSecondIn: back };
}
