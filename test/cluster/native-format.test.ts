import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { changesBetween } from '../../scheduler/cluster/changes.ts';
import type { ClusterRecord } from '../../scheduler/cluster/model.ts';
import { snapshotChunks } from '../../scheduler/cluster/native-format.ts';
import { projectObject } from '../../scheduler/cluster/project.ts';
import { recordKey } from '../../scheduler/cluster/records.ts';
import { readSnapshot } from '../../scheduler/cluster/snapshot-file.ts';
import { ClusterState } from '../../scheduler/cluster/state.ts';

const text = fc.oneof(
  fc.string({ minLength: 1, unit: 'binary' }),
  fc.constantFrom('a', 'b', '"items":[', '\\"', '__proto__'),
);
const labels = fc.dictionary(text, fc.oneof(text, fc.constant('')), { maxKeys: 4, noNullPrototype: true });
const quantity = fc.constantFrom('250m', '1', '0.1', '64Mi', '99999E', '1n', 7, 1.5, 1e400, 'x', null);
const amounts = fc.record({ cpu: quantity, memory: quantity, pods: quantity }, { requiredKeys: [] });
const address = fc.oneof(fc.ipV4(), fc.ipV6(), fc.constant('none'));
const owners = fc.array(
  fc.record(
    { kind: fc.constantFrom('ReplicaSet', 'Node', 'Rollout'), name: text, controller: fc.boolean(), uid: text },
    { requiredKeys: ['kind', 'name'] },
  ),
  { maxLength: 2 },
);
const metadata = fc.record(
  {
    name: text,
    namespace: text,
    uid: text,
    labels,
    ownerReferences: owners,
    annotations: fc.constantFrom(
      { 'kubernetes.io/config.mirror': 'x' },
      { 'netloom.io/placement': 'off' },
      { 'netloom.io/link-mbps': '1000', 'netloom.io/egress-mbps': '5', 'netloom.io/peers': 'a/b=1Mi/s' },
      { 'kubernetes.io/egress-bandwidth': '10M' },
    ),
  },
  { requiredKeys: ['name', 'namespace'] },
);
/** Objects as an API server could give them, and odder ones. */
const object = fc.oneof(
  fc.record({
    kind: fc.constant('Pod'),
    metadata,
    spec: fc.record(
      {
        nodeName: text,
        hostNetwork: fc.boolean(),
        containers: fc.array(fc.record({ resources: fc.record({ requests: amounts }) }), { maxLength: 2 }),
      },
      { requiredKeys: [] },
    ),
    status: fc.record(
      {
        phase: fc.constantFrom('Pending', 'Running', 'Succeeded', 'Failed', 'Gone'),
        podIP: address,
        podIPs: fc.array(address.map((ip) => ({ ip }))),
        hostIP: fc.ipV4(),
      },
      { requiredKeys: [] },
    ),
  }),
  fc.record({
    kind: fc.constant('Namespace'),
    metadata: fc.record(
      {
        name: text,
        annotations: fc.constantFrom({}, { 'netloom.io/placement': 'off' }),
        labels: fc.constant({ 'netloom.io/tenant': 'blue' }),
      },
      { requiredKeys: ['name'] },
    ),
  }),
  fc.record({
    kind: fc.constant('Node'),
    metadata,
    spec: fc.record({
      podCIDRs: fc.array(fc.tuple(address, fc.nat(40)).map(([ip, bits]) => `${ip}/${bits}`)),
      taints: fc.array(fc.record({ effect: fc.constantFrom('NoSchedule', 'PreferNoSchedule') }), { maxLength: 2 }),
    }),
    status: fc.record({
      addresses: fc.array(address.map((ip) => ({ type: 'InternalIP', address: ip }))),
      allocatable: amounts,
    }),
  }),
  fc.record({
    kind: fc.constant('Service'),
    metadata,
    spec: fc.record(
      {
        clusterIPs: fc.array(address),
        selector: labels,
        trafficDistribution: fc.constantFrom('PreferClose', 'PreferSameNode'),
        internalTrafficPolicy: fc.constantFrom('Local', 'Cluster'),
      },
      { requiredKeys: ['clusterIPs', 'selector'] },
    ),
  }),
  fc.record({
    kind: fc.constantFrom('Deployment', 'ReplicaSet', 'Job', 'CronJob', 'DaemonSet'),
    metadata,
    spec: fc.record(
      {
        replicas: fc.oneof(fc.nat(), fc.constant(1.5)),
        template: fc.record({
          metadata: fc.record({ labels }),
          spec: fc.record({ containers: fc.array(fc.record({ image: text }), { maxLength: 2 }) }),
        }),
      },
      { requiredKeys: [] },
    ),
  }),
);

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'netloom-native-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

function stateOf(records: ReadonlyMap<string, ClusterRecord>): ClusterState {
  const state = new ClusterState();
  state.apply([...changesBetween(new Map(), records)]);
  return state;
}

const byKey = (state: ClusterState): Map<string, ClusterRecord> =>
  new Map(
    [...state.namespaces(), ...state.nodes(), ...state.services(), ...state.controllers(), ...state.pods()].map((r) => [
      recordKey(r),
      r,
    ]),
  );

describe("Netloom's own form", () => {
  it('gives back every state that was written', async () => {
    const file = join(dir, 'snapshot.json');
    await fc.assert(
      fc.asyncProperty(fc.array(object, { maxLength: 30 }), async (objects) => {
        const records = new Map<string, ClusterRecord>();
        for (const value of objects) {
          const projection = projectObject(JSON.parse(JSON.stringify(value)));
          if (projection.outcome === 'record') records.set(recordKey(projection.record), projection.record);
        }
        const before = stateOf(records);
        await writeFile(file, [...snapshotChunks(before)].join(''));
        const { records: read, summary } = await readSnapshot(file);
        const after = stateOf(read);
        expect(byKey(after)).toEqual(byKey(before));
        expect([...after.workloads()].map(({ key }) => key).sort()).toEqual(
          [...before.workloads()].map(({ key }) => key).sort(),
        );
        expect({ ...summary, unusable: [], odd: [] }).toMatchObject({ form: 'netloom', repeated: 0 });
        expect([...summary.unusable, ...summary.odd]).toEqual([]);
        // And once more the same text.
        expect([...snapshotChunks(after)].join('')).toBe([...snapshotChunks(before)].join(''));
      }),
      { numRuns: 200 },
    );
  });
});
