import { expect, test } from 'vitest';
import type { ClusterRecord } from '../../scheduler/cluster/model.ts';
import { projectObject } from '../../scheduler/cluster/project.ts';
import type { TrafficRow } from '../../scheduler/cluster/traffic.ts';
import { clusterOf } from '../../scheduler/simulate/load.ts';
import { randomOf, seedWords } from '../../scheduler/simulate/random.ts';
import { simulate, type SimulationOptions } from '../../scheduler/simulate/simulate.ts';

/** Links of 1 Gbit/s, bytes per second. */
const LINK = 125e6;
const NODES = 24;
const HOGS = 12;
const SERVICES = 80;
/** Of all traffic, what goes to the outside: all of the hogs', each of which fills 40 % of a link. */
const EXTERNAL = 0.3;

const random = randomOf(seedWords(7), 0);

function deployment(name: string, replicas: number, milliCpu: number): object[] {
  const ownerReferences = [{ kind: 'ReplicaSet', name: `${name}-1`, uid: `rs-${name}`, controller: true }];
  const pods = Array.from({ length: replicas }, (_, i) => ({
    kind: 'Pod',
    metadata: { namespace: 'app', name: `${name}-1-${i}`, uid: `${name}-${i}`, ownerReferences },
    spec: { containers: [{ resources: { requests: { cpu: `${milliCpu}m`, memory: '512Mi' } } }] },
  }));
  const owner = { kind: 'Deployment', name, uid: name, controller: true };
  return [
    { kind: 'Deployment', metadata: { namespace: 'app', name, uid: name }, spec: { replicas } },
    {
      kind: 'ReplicaSet',
      metadata: { namespace: 'app', name: `${name}-1`, uid: `rs-${name}`, ownerReferences: [owner] },
    },
    ...pods,
  ];
}

function row(client: string, kind: string, peer: string, out: number, back: number): TrafficRow {
  const namespace = 'app';
  return {
    client: { namespace, kind: 'Deployment', name: client },
    peer: { namespace: kind === 'External' ? '' : namespace, kind, name: peer },
    bytesPerSecondOut: out,
    bytesPerSecondIn: back,
    line: 1,
  };
}

/** Twelve that fill links to the outside, and applications of three to nine services that talk among themselves. */
function hogsAndApps(): { records: ClusterRecord[]; traffic: TrafficRow[] } {
  const objects: object[] = Array.from({ length: NODES }, (_, i) => ({
    kind: 'Node',
    metadata: { name: `n${i}`, annotations: { 'netloom.io/link-mbps': '1000' } },
    status: { allocatable: { cpu: '16', memory: '64Gi', pods: '110' } },
  }));
  const traffic: TrafficRow[] = [];
  for (let h = 0; h < HOGS; h++) {
    objects.push(...deployment(`hog-${h}`, 1, 1000));
    traffic.push(row(`hog-${h}`, 'External', '203.0.113.0/24', 0.4 * LINK, 0));
  }
  for (let s = 0; s < SERVICES; s++) {
    objects.push(...deployment(`s${s}`, 1 + random.below(4), 200 + 100 * random.below(8)));
  }
  const pairs: { a: number; b: number; weight: number }[] = [];
  for (let first = 0; first < SERVICES;) {
    const end = Math.min(SERVICES, first + 3 + random.below(7));
    for (let b = first + 1; b < end; b++) {
      pairs.push({ a: first + random.below(b - first), b, weight: 1 + random.below(4) });
    }
    first = end;
  }
  const inside = (HOGS * 0.4 * LINK * (1 - EXTERNAL)) / EXTERNAL;
  const sum = pairs.reduce((total, { weight }) => total + weight, 0);
  for (const { a, b, weight } of pairs) {
    const bytes = (inside * weight) / sum;
    traffic.push(row(`s${a}`, 'Deployment', `s${b}`, 0.3 * bytes, 0.7 * bytes));
  }
  const records = objects.map((object) => {
    const projection = projectObject(object);
    if (projection.outcome !== 'record') throw new Error('no record');
    return projection.record;
  });
  return { records, traffic };
}

test('hogs of bandwidth are kept apart, and the others near each other all the same', () => {
  const { records, traffic } = hogsAndApps();
  const cluster = clusterOf(records, traffic, { maxReplicaShare: 0.5, hasUnits: true });
  expect(cluster.unknownTraffic.count).toBe(0);
  const run = (policy: SimulationOptions['policy'], order: SimulationOptions['order']) =>
    simulate(cluster, { policy, order, firstSeed: 0, seeds: 20, defaultModel: 'kube', routing: 'balanced' });
  const over = ({ seeds }: ReturnType<typeof simulate>): number =>
    seeds.filter(({ linkUse }) => linkUse!.max > 0.8).length;
  const alone = run('default', 'random');
  expect(over(alone)).toBeGreaterThanOrEqual(15);
  for (const order of ['random', 'rollout'] as const) {
    const netloom = run('netloom', order);
    expect(over(netloom)).toBe(0);
    expect(netloom.mean.localShare.node).toBeGreaterThan(alone.mean.localShare.node + 0.3);
    expect(netloom.mean.unplaced).toBe(0);
  }
});
