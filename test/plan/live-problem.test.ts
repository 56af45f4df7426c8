import { describe, expect, it } from 'vitest';
import { ClusterState } from '../../scheduler/cluster/state.ts';
import { liveProblem } from '../../scheduler/plan/live-problem.ts';
import { generateCluster } from '../../scheduler/simulate/generate/generate.ts';
import { clusterOf } from '../../scheduler/simulate/load.ts';

describe('liveProblem', () => {
  it('is the problem that the simulator has of the same cluster', () => {
    const { records, traffic } = generateCluster({ nodes: 20, seed: 3, trafficSkew: 0.5 });
    const simulated = clusterOf(records, traffic, { maxReplicaShare: 0.5, hasUnits: true });
    const state = new ClusterState();
    state.apply(records.map((record) => ({ op: 'upsert', record }) as const).reverse());
    const { view } = simulated;
    const live = liveProblem(
      state,
      {
        ...view,
        names: view.names.workloads,
        nodeNames: view.names.nodes,
      },
      0.5,
    );
    expect(live.nodes).toEqual(simulated.nodes);
    const own = simulated.workloads.flatMap((key, w) => (simulated.problem.replicas[w]! > 0 ? [key] : []));
    expect(live.workloads).toEqual(own);
    const { problem } = live;
    const indexOf = new Map(simulated.workloads.map((key, w) => [key, w]));
    for (const column of ['nodeMilliCpu', 'nodeMemoryBytes', 'nodePods', 'nodeZone'] as const) {
      expect([...problem[column]]).toEqual([...simulated.problem[column]]);
    }
    for (const column of ['replicas', 'milliCpu', 'memoryBytes', 'cap'] as const) {
      expect([...problem[column]]).toEqual(own.map((key) => simulated.problem[column][indexOf.get(key)!]));
    }
    const pairsOf = (given: typeof problem, names: readonly string[]): Map<string, number> =>
      new Map(
        [...given.edgeWeight].map((weight, e) => [`${names[given.edgeA[e]!]} ${names[given.edgeB[e]!]}`, weight]),
      );
    const [found, wanted] = [pairsOf(problem, live.workloads), pairsOf(simulated.problem, simulated.workloads)];
    expect([...found.keys()].sort()).toEqual([...wanted.keys()].sort());
    for (const [pair, weight] of wanted) expect(found.get(pair)! / weight).toBeCloseTo(1, 6);
    const standing = [...live.standing.targetCount].reduce((sum, count) => sum + count, 0);
    expect(standing).toBe(simulated.pods.home.filter((n) => n >= 0).length);
  });
});
