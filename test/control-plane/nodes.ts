import { setTimeout as sleep } from 'node:timers/promises';
import type { Api } from './api.ts';

export interface NodeSpec {
  readonly name: string;
  readonly zone?: string;
  readonly region?: string;
  /** Default 16 cores, 64Gi, 110 pods. */
  readonly capacity?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  readonly taints?: readonly NodeTaint[];
}

export interface NodeTaint {
  readonly key: string;
  readonly value?: string;
  readonly effect: string;
}

const CAPACITY = { cpu: '16', memory: '64Gi', pods: '110' };
const AT_ONCE = 8;
const NOT_READY = 'node.kubernetes.io/not-ready';

/** Makes nodes that are Ready without a kubelet, and waits until the controller has taken their not-ready taint off. */
export async function createNodes(api: Api, specs: readonly NodeSpec[]): Promise<void> {
  const left = specs.entries();
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (const [i, spec] of left) await api.call('POST', '/api/v1/nodes', nodeObject(spec, i));
    }),
  );
  const names = new Set(specs.map(({ name }) => name));
  for (let tries = 0; ; tries++) {
    const { items } = await api.call<{ items: NodeObject[] }>('GET', '/api/v1/nodes?resourceVersion=0');
    const tainted = items.filter(
      ({ metadata, spec }) => names.has(metadata.name) && (spec.taints ?? []).some(({ key }) => key === NOT_READY),
    );
    if (tainted.length === 0) return;
    if (tries > 300) throw new Error(`${tainted.length} nodes keep their taints, such as ${tainted[0]!.metadata.name}`);
    await sleep(200);
  }
}

interface NodeObject {
  readonly metadata: { readonly name: string };
  readonly spec: { readonly taints?: readonly NodeTaint[] };
}

function nodeObject({ name, zone, region, capacity, labels, taints }: NodeSpec, index: number): object {
  const amounts = { ...CAPACITY, ...capacity };
  const now = new Date().toISOString();
  const block = `${index >> 8}.${index & 255}`;
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name,
      labels: {
        'kubernetes.io/hostname': name,
        ...(zone === undefined ? {} : { 'topology.kubernetes.io/zone': zone }),
        ...(region === undefined ? {} : { 'topology.kubernetes.io/region': region }),
        ...labels,
      },
    },
    spec: { podCIDR: `10.${64 + (index >> 8)}.${index & 255}.0/24`, taints },
    status: {
      capacity: amounts,
      allocatable: amounts,
      addresses: [
        { type: 'InternalIP', address: `172.16.${block}` },
        { type: 'Hostname', address: name },
      ],
      conditions: [
        {
          type: 'Ready',
          status: 'True',
          reason: 'KubeletReady',
          message: 'written by a test',
          lastHeartbeatTime: now,
          lastTransitionTime: now,
        },
      ],
    },
  };
}
