import { describe, expect, it } from 'vitest';
import type { ClusterRecord } from '../../scheduler/cluster/model.ts';
import { placementSettings } from '../../scheduler/placement/index.ts';
import { clusterOf } from '../../scheduler/simulate/load.ts';
import { simulate, type Simulation } from '../../scheduler/simulate/simulate.ts';
import type { PolicyName } from '../../scheduler/simulate/policies/policy.ts';
import { generateCluster } from '../../scheduler/simulate/generate/generate.ts';

const { records, traffic } = generateCluster({ nodes: 12, seed: 5, talking: 1 });

/** Every namespace has a tenant of its own, or all the same. */
function clusterWith(tenantOf: (namespace: string) => string): ReturnType<typeof clusterOf> {
  const names = new Set(records.flatMap((record) => (record.type === 'pod' ? [record.namespace] : [])));
  const namespaces = Array.from(names, (name): ClusterRecord => ({
    type: 'namespace',
    name,
    uid: name,
    placementOff: false,
    tenant: tenantOf(name),
  }));
  const between = traffic.filter((row) => row.client.namespace !== row.peer.namespace);
  expect(between.length).toBeGreaterThan(10);
  return clusterOf([...namespaces, ...records], between, { maxReplicaShare: 0.5, hasUnits: true });
}

function run(cluster: ReturnType<typeof clusterOf>, policy: PolicyName): Simulation {
  const options = { policy, order: 'random', firstSeed: 0, seeds: 1, defaultModel: 'kube', routing: 'random' } as const;
  return simulate(cluster, { ...options, placement: placementSettings({}), planIterations: 2_000 });
}

describe('a simulation of tenants', () => {
  it('draws nobody to another tenant, with a plan or without', () => {
    const cluster = clusterWith((namespace) => namespace);
    expect(cluster.problem.edgeA).toHaveLength(0);
    const alone = run(cluster, 'default');
    expect([...run(cluster, 'netloom').nodeOf]).toEqual([...alone.nodeOf]);
    const shared = clusterWith(() => 'one');
    expect(shared.problem.edgeA.length).toBeGreaterThan(10);
    const free = run(shared, 'netloom').mean.localShare.node;
    expect(free).toBeGreaterThan(alone.mean.localShare.node + 0.1);
    expect(run(cluster, 'netloom-plan').mean.localShare.node).toBeLessThan(free - 0.1);
  });
});
