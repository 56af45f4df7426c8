/**
 * How much traffic each policy lets stay on its node: policies x orders of arrival, mean and standard deviation over
 * seeds, the same arrival orders for all. Baselines: kube-scheduler alone, NetMARKS-like, NetworkOverhead-like,
 * product.
 *
 *   node bench/placement-policies.ts [--seeds 20] [--model study|kube] [--policies a,b] [--orders random,rollout]
 *       M3 (NETLOOM_DATA or shared/data beside the checkout), and a made-up cluster of other statistics
 *   node bench/placement-policies.ts --snapshot FILE [--traffic FILE] ...
 *   node bench/placement-policies.ts --generate nodes=200,seed=1 ...
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { generateCluster } from '../scheduler/simulate/generate/generate.ts';
import { ORDERS, type Order } from '../scheduler/simulate/arrivals.ts';
import { clusterOf, loadCluster } from '../scheduler/simulate/load.ts';
import { POLICIES, type PolicyName } from '../scheduler/simulate/policies/index.ts';
import type { SimulatedCluster } from '../scheduler/simulate/cluster.ts';
import { simulate, type DefaultModel } from '../scheduler/simulate/simulate.ts';
import { exampleData } from '../test/support/example-data.ts';

const BASELINES: ReadonlySet<string> = new Set(['default', 'netmarks', 'networkoverhead', 'product']);
const CAP = 0.5;

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '20' },
    model: { type: 'string', default: 'study' },
    policies: { type: 'string', default: POLICIES.join(',') },
    orders: { type: 'string', default: 'random,rollout' },
    snapshot: { type: 'string' },
    traffic: { type: 'string' },
    generate: { type: 'string' },
  },
});
const orders = chosen(values.orders, ORDERS);
const policies = chosen(values.policies, POLICIES);
const [model] = chosen(values.model, ['study', 'kube'] as const);

for (const [name, cluster] of await clusters()) measure(name, cluster);

function measure(name: string, cluster: SimulatedCluster): void {
  const seeds = Number(values.seeds);
  console.log(`${name}: ${cluster.nodes.length} nodes, ${cluster.pods.count} pods; ${model} model, ${seeds} seeds`);
  const rows: Record<string, Record<string, string>> = {};
  const figures: Record<string, number> = {};
  const baseline: Record<string, number> = {};
  for (const policy of policies) {
    const row: Record<string, string> = {};
    const from = performance.now();
    for (const order of orders) {
      const { mean, standardDeviation } = run(cluster, policy, order, seeds);
      const percent = 100 * mean.localShare.node;
      row[`${order}, local %`] = `${percent.toFixed(1)} ± ${(100 * standardDeviation.localShare.node).toFixed(1)}`;
      if (cluster.view.names.zones.length > 1) row[`${order}, zone %`] = (100 * mean.localShare.zone).toFixed(1);
      if (mean.unplaced > 0) row[`${order}, unplaced`] = mean.unplaced.toFixed(1);
      (BASELINES.has(policy) ? baseline : figures)[`${policy} ${order}`] = Number(percent.toFixed(2));
    }
    row['ms a seed'] = ((performance.now() - from) / seeds / orders.length).toFixed(0);
    rows[policy] = row;
  }
  console.table(rows);
  const best = (of: Record<string, number>, order: Order): number =>
    Math.max(...policies.map((policy) => of[`${policy} ${order}`] ?? 0));
  console.log(
    JSON.stringify({
      name: 'placement-policies',
      cluster: name,
      model,
      seeds,
      figures,
      baseline,
      // Of the best policy to the best baseline, in the order in which it is smaller.
      ratio: Number(Math.min(...orders.map((order) => best(figures, order) / best(baseline, order))).toFixed(2)),
    }),
  );
}

function run(cluster: SimulatedCluster, policy: PolicyName, order: Order, seeds: number) {
  return simulate(cluster, {
    policy,
    order,
    firstSeed: 0,
    seeds,
    defaultModel: model as DefaultModel,
    routing: 'balanced',
  });
}

async function clusters(): Promise<[string, SimulatedCluster][]> {
  if (values.snapshot !== undefined) {
    const files = { snapshot: values.snapshot, traffic: values.traffic };
    return [[values.snapshot, await loadCluster(files, { maxReplicaShare: CAP })]];
  }
  if (values.generate !== undefined) return [[values.generate, generated(values.generate)]];
  const other = 'nodes=60,seed=5,podsPerNode=25,talking=0.6,trafficSkew=0.7,replicaSkew=0.8,cpu=0.7';
  const all: [string, SimulatedCluster][] = [[other, generated(other)]];
  const data = exampleData('M3.json');
  if ('missing' in data) console.log(data.missing);
  else {
    const files = { snapshot: join(data.folder, 'M3.json'), traffic: undefined };
    all.unshift(['M3', await loadCluster(files, { maxReplicaShare: CAP })]);
  }
  return all;
}

function generated(text: string): SimulatedCluster {
  const options = Object.fromEntries(text.split(',').map((part) => [part.split('=')[0]!, Number(part.split('=')[1])]));
  const { records, traffic } = generateCluster(options);
  return clusterOf(records, traffic, { maxReplicaShare: CAP, hasUnits: true });
}

function chosen<const Name extends string>(text: string, names: readonly Name[]): Name[] {
  return text.split(',').map((part) => {
    const name = names.find((one) => one === part);
    if (name === undefined) throw new Error(`${part} is none of ${names.join(', ')}`);
    return name;
  });
}
