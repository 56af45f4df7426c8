import { shuffle } from '../../lib/shuffle.ts';
import type { ClusterRecord, Resources, WorkloadRef } from '../../scheduler/cluster/model.ts';
import { plainController, plainPod } from '../../scheduler/cluster/plain-records.ts';
import type { TrafficRow } from '../../scheduler/cluster/traffic.ts';
import type { SimulatedCluster } from '../../scheduler/simulate/cluster.ts';
import { clusterOf } from '../../scheduler/simulate/load.ts';
import { randomOf, seedWords, type Random } from '../../scheduler/simulate/random.ts';

/** A made-up cluster that has nothing of M3 (simulate/generate has): how workloads talk, how many replicas, how full. */
export interface ClusterShape {
  readonly nodes: number;
  /** 0: nodes have none. */
  readonly zones: number;
  readonly seed: number;
  /** Share of all CPU that pods ask for. */
  readonly fill: number;
  /**
   * apps: groups of 4 to 12, four of ten pairs talk; tree: each with one that came before; hub: a twentieth are talked to by
   * all; random: two pairs a workload.
   */
  readonly graph: 'apps' | 'tree' | 'hub' | 'random';
  /** Drawn from, each as likely. */
  readonly replicas: readonly number[];
  /** even: within a factor of ten; log-normal, sigma 1.5; pareto, alpha 1.2. */
  readonly traffic: 'even' | 'log-normal' | 'pareto';
  /** Drawn from, thousandths. */
  readonly milliCpu?: readonly number[];
}

const CORES = [4, 8, 16];
const GIB_PER_CORE = 4;
const MEBIBYTES = [32, 64, 128, 256, 512, 1024];
const MILLI_CPU = [50, 100, 200, 250, 500, 1000];
const MEAN_BYTES_PER_SECOND = 200_000;

interface Workload {
  readonly ref: WorkloadRef;
  readonly replicas: number;
  readonly requests: Resources;
}

/** The same shape gives the same cluster. No pod stands anywhere yet. */
export function shapedCluster(shape: ClusterShape): SimulatedCluster {
  const random = randomOf(seedWords(shape.seed), 3);
  const cores = Array.from({ length: shape.nodes }, () => oneOf(CORES, random));
  const workloads = drawWorkloads(shape, 1000 * cores.reduce((a, b) => a + b, 0), random);
  const rate = (): number => MEAN_BYTES_PER_SECOND * drawTraffic(shape.traffic, random);
  const traffic = drawPairs(shape.graph, workloads.length, random).map(([a, b], i): TrafficRow => ({
    line: i + 2,
    client: workloads[a]!.ref,
    peer: workloads[b]!.ref,
    bytesPerSecondOut: rate(),
    bytesPerSecondIn: rate(),
  }));
  const records = [
    ...cores.map((of, n) => nodeRecord(n, of, shape.zones === 0 ? undefined : random.below(shape.zones))),
    ...workloads.flatMap(workloadRecords),
  ];
  return clusterOf(records, traffic, { maxReplicaShare: 0.5, hasUnits: true });
}

function drawWorkloads(shape: ClusterShape, milliCpuOfAll: number, random: Random): Workload[] {
  const workloads: Workload[] = [];
  for (let used = 0; used < shape.fill * milliCpuOfAll;) {
    const replicas = oneOf(shape.replicas, random);
    const milliCpu = oneOf(shape.milliCpu ?? MILLI_CPU, random);
    const name = `w${String(workloads.length)}`;
    workloads.push({
      ref: { namespace: 'shop', kind: random.unit() < 0.15 ? 'StatefulSet' : 'Deployment', name },
      replicas,
      requests: { milliCpu, memoryBytes: oneOf(MEBIBYTES, random) * 2 ** 20, pods: 1 },
    });
    used += replicas * milliCpu;
  }
  return workloads;
}

function drawPairs(graph: ClusterShape['graph'], count: number, random: Random): (readonly [number, number])[] {
  const all = Array.from({ length: count }, (_, w) => w);
  switch (graph) {
    case 'apps': {
      shuffle(all, random);
      const apps: number[][] = [];
      while (all.length > 0) apps.push(all.splice(0, 4 + random.below(9)));
      const pairs = apps.flatMap((app) => app.flatMap((a, i) => app.slice(i + 1).map((b) => [a, b] as const)));
      return pairs.filter(() => random.unit() < 0.4);
    }
    case 'tree':
      return all.slice(1).map((w) => [Math.floor(w * random.unit() ** 2), w] as const);
    case 'hub': {
      const hubs = Math.max(2, Math.floor(count / 20));
      return all.slice(hubs).flatMap((w) => {
        const peer = hubs + random.below(count - hubs);
        const more = random.unit() < 0.4 && peer !== w ? [[w, peer] as const] : [];
        return [[w, random.below(hubs)] as const, ...more];
      });
    }
    case 'random':
      return Array.from({ length: 2 * count }, () => [random.below(count), random.below(count)] as const).filter(
        ([a, b]) => a !== b,
      );
  }
}

/** Of the mean, roughly. */
function drawTraffic(kind: ClusterShape['traffic'], random: Random): number {
  switch (kind) {
    case 'even':
      return 0.18 + 1.64 * random.unit();
    case 'log-normal': {
      // Box-Muller.
      const normal = Math.sqrt(-2 * Math.log(1 - random.unit())) * Math.cos(2 * Math.PI * random.unit());
      return 0.33 * Math.exp(1.5 * normal);
    }
    case 'pareto':
      return 0.3 * (1 - random.unit()) ** (-1 / 1.2);
  }
}

function oneOf<T>(values: readonly T[], random: Random): T {
  return values[random.below(values.length)]!;
}

function nodeRecord(n: number, cores: number, zone: number | undefined): ClusterRecord {
  const name = `node-${String(n).padStart(4, '0')}`;
  return {
    type: 'node',
    name,
    uid: `Node/${name}`,
    addresses: [],
    podCidrs: [],
    zone: zone === undefined ? undefined : `zone-${String(zone)}`,
    region: zone === undefined ? undefined : 'region',
    allocatable: { milliCpu: 1000 * cores, memoryBytes: cores * GIB_PER_CORE * 2 ** 30, pods: 110 },
  };
}

function workloadRecords({ ref: { kind, namespace, name }, replicas, requests }: Workload): ClusterRecord[] {
  const set = kind === 'Deployment' ? `${name}-5d4f8c7b9` : name;
  const owner = { kind: kind === 'Deployment' ? 'ReplicaSet' : kind, name: set, uid: '' };
  const records: ClusterRecord[] = [plainController(kind, namespace, name, replicas)];
  if (kind === 'Deployment') {
    records.push({ ...plainController('ReplicaSet', namespace, set, replicas), owner: { kind, name, uid: '' } });
  }
  for (let i = 0; i < replicas; i++) {
    records.push(plainPod(namespace, `${set}-${String(i)}`, undefined, owner, requests));
  }
  return records;
}
