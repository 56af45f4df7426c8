import { describe, expect, it } from 'vitest';
import type { Order } from '../../scheduler/simulate/arrivals.ts';
import type { SimulatedCluster } from '../../scheduler/simulate/cluster.ts';
import type { PolicyName } from '../../scheduler/simulate/policies/index.ts';
import { simulate } from '../../scheduler/simulate/simulate.ts';
import { shapedCluster, type ClusterShape } from '../support/shaped-cluster.ts';

/** Small ones of bench/online-quality.ts, which has more and 20 orders each. */
const SHAPES: readonly ClusterShape[] = [
  { nodes: 8, zones: 3, seed: 1, fill: 0.85, graph: 'apps', replicas: [2, 3, 5, 8], traffic: 'log-normal' },
  { nodes: 8, zones: 0, seed: 2, fill: 0.93, graph: 'tree', replicas: [1, 2, 4], traffic: 'log-normal' },
  { nodes: 12, zones: 3, seed: 4, fill: 0.9, graph: 'random', replicas: [1, 2, 3, 6, 12], traffic: 'pareto' },
  { nodes: 20, zones: 2, seed: 7, fill: 0.75, graph: 'hub', replicas: [1, 1, 2, 3, 15], traffic: 'pareto' },
];
const SEEDS = 4;

describe('local traffic without a plan, on clusters unlike M3', () => {
  it.each<[string, Order, ClusterShape]>(
    SHAPES.flatMap((shape) =>
      (['random', 'rollout'] as const).map((order): [string, Order, ClusterShape] => [
        `${shape.graph} on ${String(shape.nodes)} nodes`,
        order,
        shape,
      ]),
    ),
  )('%s, %s order: more than any baseline has', (_, order, shape) => {
    const cluster = shapedCluster(shape);
    const netloom = localShare(cluster, 'netloom', order);
    for (const baseline of ['default', 'netmarks', 'networkoverhead', 'min-marginal', 'look-ahead'] as const) {
      expect(netloom, baseline).toBeGreaterThan(localShare(cluster, baseline, order));
    }
  });

  it('leaves no more pods without a place than look-ahead does', () => {
    const [full] = SHAPES.filter((shape) => shape.fill > 0.92);
    const cluster = shapedCluster(full!);
    const unplaced = (policy: PolicyName): number => run(cluster, policy, 'random').mean.unplaced;
    expect(unplaced('netloom')).toBeLessThanOrEqual(unplaced('look-ahead'));
  });
});

function localShare(cluster: SimulatedCluster, policy: PolicyName, order: Order): number {
  return run(cluster, policy, order).mean.localShare.node;
}

function run(cluster: SimulatedCluster, policy: PolicyName, order: Order) {
  return simulate(cluster, { policy, order, firstSeed: 0, seeds: SEEDS, defaultModel: 'kube', routing: 'balanced' });
}
