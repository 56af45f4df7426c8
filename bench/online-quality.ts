/**
 * Whether the online score is better than each baseline on clusters that it was not tuned on: the same arrival orders for all
 * policies, and of the differences the mean and the standard error. No baseline may have more on the mean, and of min-marginal
 * and look-ahead none more than half a point and two standard errors on any cluster.
 *
 *   node bench/online-quality.ts [--seeds 20] [--orders random,rollout] [--policy netloom] [CLUSTER...]
 *   node bench/online-quality.ts --snapshot FILE --traffic FILE
 */
import { parseArgs } from 'node:util';
import type { Order } from '../scheduler/simulate/arrivals.ts';
import type { SimulatedCluster } from '../scheduler/simulate/cluster.ts';
import { loadCluster } from '../scheduler/simulate/load.ts';
import type { PolicyName } from '../scheduler/simulate/policies/index.ts';
import { simulate } from '../scheduler/simulate/simulate.ts';
import { shapedCluster, type ClusterShape } from '../test/support/shaped-cluster.ts';
import { mean, standardError } from './support/statistics.ts';

const SHAPES: Readonly<Record<string, ClusterShape>> = {
  'apps-8': { nodes: 8, zones: 3, seed: 1, fill: 0.85, graph: 'apps', replicas: [2, 3, 5, 8], traffic: 'log-normal' },
  'tree-8': { nodes: 8, zones: 0, seed: 2, fill: 0.93, graph: 'tree', replicas: [1, 2, 4], traffic: 'log-normal' },
  'hub-8': { nodes: 8, zones: 2, seed: 3, fill: 0.6, graph: 'hub', replicas: [1, 2, 3, 4], traffic: 'pareto' },
  'random-12': {
    nodes: 12,
    zones: 3,
    seed: 4,
    fill: 0.9,
    graph: 'random',
    replicas: [1, 2, 3, 6, 12],
    traffic: 'pareto',
  },
  'apps-20': { nodes: 20, zones: 3, seed: 5, fill: 0.7, graph: 'apps', replicas: [1, 2, 3, 5, 10], traffic: 'pareto' },
  'tree-20': {
    nodes: 20,
    zones: 1,
    seed: 6,
    fill: 0.8,
    graph: 'tree',
    replicas: [1],
    traffic: 'even',
    milliCpu: [500, 1000, 2000],
  },
  'hub-30': { nodes: 30, zones: 2, seed: 7, fill: 0.75, graph: 'hub', replicas: [1, 1, 2, 3, 15], traffic: 'pareto' },
  'apps-40': { nodes: 40, zones: 0, seed: 8, fill: 0.95, graph: 'apps', replicas: [2, 4, 6], traffic: 'even' },
  'random-60': { nodes: 60, zones: 3, seed: 9, fill: 0.5, graph: 'random', replicas: [2, 3, 4, 5, 6], traffic: 'even' },
  'tree-100': { nodes: 100, zones: 4, seed: 10, fill: 0.65, graph: 'tree', replicas: [2, 3, 4, 30], traffic: 'pareto' },
  'apps-200': {
    nodes: 200,
    zones: 3,
    seed: 11,
    fill: 0.6,
    graph: 'apps',
    replicas: [1, 2, 3, 20],
    traffic: 'log-normal',
  },
};
const BASELINES = ['default', 'netmarks', 'networkoverhead', 'min-marginal', 'look-ahead'] as const;
/** Of these a policy may not stay behind anywhere; the others have less on the mean. */
const STUDIED: readonly PolicyName[] = ['min-marginal', 'look-ahead'];
const SLACK_POINTS = 0.5;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seeds: { type: 'string', default: '20' },
    orders: { type: 'string', default: 'random,rollout' },
    policy: { type: 'string', default: 'netloom' },
    snapshot: { type: 'string' },
    traffic: { type: 'string' },
  },
});
const seeds = Number(values.seeds);
const policy = values.policy as PolicyName;

const rows: Record<string, Record<string, string>> = {};
const figures: Record<string, number> = {};
const behind: string[] = [];
const lead: Record<string, number[]> = Object.fromEntries(BASELINES.map((name) => [name, []]));
for await (const [name, cluster] of clusters()) {
  for (const order of values.orders.split(',') as Order[]) compare(`${name} ${order}`, cluster, order);
}
console.log(`local traffic, percent, of ${policy}, and how much more that is than baselines have, ± standard error`);
console.table(rows);
const means = Object.fromEntries(BASELINES.map((name) => [name, round(mean(lead[name]!))]));
console.log(
  JSON.stringify({
    name: 'online-quality',
    seeds,
    figures,
    baseline: { leadOver: means },
    behind,
    // Points ahead of the better of the studied two, mean over clusters and orders.
    ratio: round(Math.min(...STUDIED.map((name) => means[name]!))),
  }),
);

function compare(name: string, cluster: SimulatedCluster, order: Order): void {
  const [own, unplaced] = shares(cluster, policy, order);
  const row: Record<string, string> = { local: mean(own).toFixed(1) };
  figures[name] = round(mean(own));
  for (const baseline of BASELINES) {
    const [theirs] = shares(cluster, baseline, order);
    const differences = own.map((share, i) => share - theirs[i]!);
    const [more, error] = [mean(differences), standardError(differences)];
    lead[baseline]!.push(more);
    row[baseline] = `${more >= 0 ? '+' : ''}${more.toFixed(1)} ± ${error.toFixed(1)}`;
    const bound = STUDIED.includes(baseline) ? -SLACK_POINTS - 2 * error : 0;
    if (more < bound) behind.push(`${name}: ${baseline}`);
  }
  if (unplaced > 0) row['unplaced'] = unplaced.toFixed(1);
  rows[name] = row;
}

/** Percent of each order, and pods without a place in the mean. */
function shares(cluster: SimulatedCluster, of: PolicyName, order: Order): [number[], number] {
  const options = { order, firstSeed: 0, seeds, defaultModel: 'kube', routing: 'balanced' } as const;
  const run = simulate(cluster, { policy: of, ...options });
  return [run.seeds.map(({ localShare }) => 100 * localShare.node), run.mean.unplaced];
}

async function* clusters(): AsyncGenerator<[string, SimulatedCluster]> {
  if (values.snapshot !== undefined) {
    const files = { snapshot: values.snapshot, traffic: values.traffic };
    yield ['snapshot', await loadCluster(files, { maxReplicaShare: 0.5 })];
    return;
  }
  for (const name of positionals.length > 0 ? positionals : Object.keys(SHAPES)) {
    const shape = SHAPES[name];
    if (shape === undefined) throw new Error(`${name} is none of ${Object.keys(SHAPES).join(', ')}`);
    yield [name, shapedCluster(shape)];
  }
}

function round(x: number): number {
  return Number(x.toFixed(2));
}
