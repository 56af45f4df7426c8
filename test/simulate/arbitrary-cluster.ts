import fc from 'fast-check';
import type { ClusterRecord } from '../../scheduler/cluster/model.ts';
import type { TrafficRow } from '../../scheduler/cluster/traffic.ts';

export interface ClusterInput {
  readonly records: readonly ClusterRecord[];
  readonly rows: readonly TrafficRow[];
}

const NAMESPACE = 'shop';
const ZONES = [undefined, 'a', 'b'] as const;

/**
 * Small clusters with what the simulator tells apart: nodes without zone or room, pods of one workload that ask for
 * different amounts, pods that are pending, finished, fixed or on nodes that are not listed, traffic with Services,
 * the outside and nobody.
 */
export const arbitraryCluster: fc.Arbitrary<ClusterInput> = fc
  .record({
    nodes: fc.array(
      fc.record({
        zone: fc.constantFrom(...ZONES),
        milliCpu: fc.constantFrom(0, 500, 1000, 4000),
        memoryBytes: fc.constantFrom(0, 1e9, 8e9),
        pods: fc.constantFrom(1, 3, 110),
        linkMbps: fc.option(fc.constantFrom(100, 1000), { nil: undefined }),
      }),
      { minLength: 1, maxLength: 6 },
    ),
    workloads: fc.array(
      fc.record({
        kind: fc.constantFrom('Deployment', 'StatefulSet', 'DaemonSet', 'Pod', 'Rollout'),
        pods: fc.array(
          fc.record({
            node: fc.option(fc.nat(6), { nil: undefined }),
            milliCpu: fc.constantFrom(0, 0, 100, 300, 900),
            memoryBytes: fc.constantFrom(0, 1e8, 2e9),
            finished: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
            placementOff: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
          }),
          { minLength: 1, maxLength: 6 },
        ),
      }),
      { minLength: 1, maxLength: 6 },
    ),
    traffic: fc.array(
      fc.record({
        client: fc.nat(7),
        server: fc.nat(9),
        out: fc.constantFrom(0, 1, 1e4, 0.1, 7e6),
        back: fc.constantFrom(0, 3, 2e5),
      }),
      { maxLength: 12 },
    ),
  })
  .map(({ nodes, workloads, traffic }) => {
    const records: ClusterRecord[] = nodes.map(({ zone, milliCpu, memoryBytes, pods, linkMbps }, n) => ({
      type: 'node',
      name: `n${n}`,
      uid: `n${n}`,
      addresses: [],
      podCidrs: [],
      zone,
      region: zone === undefined ? undefined : 'r',
      allocatable: { milliCpu, memoryBytes, pods },
      ...(linkMbps === undefined ? {} : { linkMbps }),
    }));
    for (const [w, { kind, pods }] of workloads.entries()) {
      const bare = kind === 'Pod';
      for (const [i, pod] of pods.entries()) {
        records.push({
          type: 'pod',
          uid: `uid-${w}-${i}`,
          namespace: NAMESPACE,
          name: bare ? `w${w}-${i}` : `w${w}-pod-${i}`,
          node: pod.node === undefined ? undefined : `n${pod.node}`,
          addresses: [],
          hostNetwork: false,
          phase: pod.finished ? 'Succeeded' : pod.node === undefined ? 'Pending' : 'Running',
          owner: bare ? undefined : { kind, name: `w${w}`, uid: '' },
          labels: { app: `w${w}` },
          requests: { milliCpu: pod.milliCpu, memoryBytes: pod.memoryBytes, pods: 1 },
          mirror: false,
          ...(pod.placementOff ? { placementOff: true as const } : {}),
        });
      }
    }
    records.push({
      type: 'service',
      namespace: NAMESPACE,
      name: 'front',
      uid: 'front',
      addresses: [],
      selector: { app: 'w0' },
    });
    const end = (w: number): { namespace: string; kind: string; name: string } => {
      if (w === 7) return { namespace: '', kind: 'External', name: '0.0.0.0/0' };
      if (w === 8) return { namespace: NAMESPACE, kind: 'Service', name: 'front' };
      if (w === 9) return { namespace: NAMESPACE, kind: 'Deployment', name: 'nobody' };
      const kind = workloads[w]?.kind ?? 'Deployment';
      return { namespace: NAMESPACE, kind, name: kind === 'Pod' ? `w${w}-0` : `w${w}` };
    };
    const rows = traffic.map(({ client, server, out, back }, i) => ({
      line: i + 2,
      client: end(client),
      peer: end(server),
      bytesPerSecondOut: out,
      bytesPerSecondIn: back,
    }));
    return { records, rows };
  });
