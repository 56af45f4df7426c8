import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadCluster } from '../../scheduler/simulate/load.ts';
import type { SimulatedCluster } from '../../scheduler/simulate/cluster.ts';
import type { Order } from '../../scheduler/simulate/arrivals.ts';
import type { PolicyName } from '../../scheduler/simulate/policies/index.ts';
import { currentOutcome, simulate, type DefaultModel, type Simulation } from '../../scheduler/simulate/simulate.ts';
import { readSnapshot } from '../../scheduler/cluster/snapshot-file.ts';
import { exampleData } from '../support/example-data.ts';

const data = exampleData('M3.json');

describe.skipIf('missing' in data)('M3', () => {
  let path: string;
  let cluster: SimulatedCluster;
  beforeAll(async () => {
    path = join((data as { folder: string }).folder, 'M3.json');
    cluster = await loadCluster({ snapshot: path, traffic: undefined }, { maxReplicaShare: 0.5 });
  });

  it('is read as nodes, one Deployment a service, pods where they run, and traffic without a unit', async () => {
    const { records, traffic, summary } = await readSnapshot(path);
    expect(summary).toMatchObject({
      form: 'dataset',
      nodes: 96,
      pods: 3485,
      controllers: 547,
      unusable: [],
      repeated: 0,
    });
    expect(traffic).toHaveLength(2 * 344);
    expect(records.get('pod/default/Container0')).toMatchObject({
      node: '0.0.0.0',
      owner: { kind: 'Deployment', name: 'Service0' },
      phase: 'Running',
    });
    expect(cluster.hasUnits).toBe(false);
    expect(cluster.traffic.total).toBeCloseTo(1, 12);
    expect(cluster.traffic.pairs).toHaveLength(344);
  });

  it('keeps within capacity in whole numbers what the data put there', () => {
    const { problem, pods } = cluster;
    const milliCpu = new Float64Array(problem.nodeCount);
    for (let p = 0; p < pods.count; p++) milliCpu[pods.home[p]!]! += pods.milliCpu[p]!;
    const fullest = Math.max(...milliCpu.map((used, n) => used / problem.nodeMilliCpu[n]!));
    expect(fullest).toBeLessThanOrEqual(1);
    expect(fullest).toBeCloseTo(0.999, 3);
  });

  it('has the local shares of the study as it is', () => {
    const percent = (share: number): number => Number((100 * share).toFixed(1));
    const { localShare, routedShare, spread, unplaced } = currentOutcome(cluster, 'random');
    expect([percent(localShare.node), percent(routedShare.node), unplaced]).toEqual([7, 1.4, 0]);
    expect(percent(currentOutcome(cluster, 'same-node').routedShare.node)).toBe(19.3);
    expect(spread.mean).toBeCloseTo(0.306, 3);
  });

  // Means of the study over 20 orders; those of 6 lie within two and a half of their standard errors.
  it.each<[PolicyName, Order, DefaultModel, number, number]>([
    ['default', 'random', 'study', 6.6, 1],
    ['default', 'random', 'kube', 6.6, 1],
    ['default', 'rollout', 'study', 7.4, 1.2],
    ['product', 'random', 'study', 32, 2],
    ['min-marginal', 'random', 'study', 59.4, 3],
    ['min-marginal', 'random', 'kube', 59.4, 3],
    ['min-marginal', 'rollout', 'study', 38.7, 7],
    ['look-ahead', 'random', 'study', 62.8, 2.5],
    ['look-ahead', 'rollout', 'study', 45, 7],
  ])('%s, %s order, %s model: about %d %%', (policy, order, defaultModel, percent, tolerance) => {
    const { mean } = run(policy, order, defaultModel);
    expect(Math.abs(100 * mean.localShare.node - percent)).toBeLessThan(tolerance);
    expect(mean.unplaced).toBe(0);
  });

  it('is better off with Netloom than with any baseline', () => {
    const shareOf = (policy: PolicyName): number => run(policy, 'random', 'kube').mean.localShare.node;
    const netloom = shareOf('netloom');
    for (const baseline of ['default', 'netmarks', 'networkoverhead', 'product'] as const) {
      expect(netloom).toBeGreaterThan(shareOf(baseline) + 0.05);
    }
  });

  it('keeps four fifths on the nodes with a plan, in whichever order pods arrive', () => {
    for (const order of ['random', 'rollout'] as const) {
      const plan = { policy: 'netloom-plan', order, defaultModel: 'study', firstSeed: 0, seeds: 1 } as const;
      const { mean } = simulate(cluster, { ...plan, routing: 'balanced', planIterations: 400_000 });
      expect(mean.localShare.node).toBeGreaterThan(0.75);
      expect(mean.unplaced).toBe(0);
    }
  });

  function run(policy: PolicyName, order: Order, defaultModel: DefaultModel): Simulation {
    return simulate(cluster, { policy, order, defaultModel, firstSeed: 0, seeds: 6, routing: 'balanced' });
  }
});
