import { describe, expect, it } from 'vitest';
import type { ClusterRecord } from '../../scheduler/cluster/model.ts';
import { ClusterState } from '../../scheduler/cluster/state.ts';
import { liveProblem } from '../../scheduler/plan/live-problem.ts';
import { generateCluster } from '../../scheduler/simulate/generate/generate.ts';
import { clusterOf } from '../../scheduler/simulate/load.ts';

/** Some nodes tainted or better avoided, some with SSDs that some pods want, all with links. */
function restricted(record: ClusterRecord, i: number): ClusterRecord {
  if (record.type === 'pod') {
    const wantsSsd = record.owner?.name.endsWith('3') === true;
    const nodeChoice = { selector: { disk: 'ssd' }, terms: undefined, tolerations: [] };
    return wantsSsd ? { ...record, nodeChoice } : record;
  }
  if (record.type !== 'node') return record;
  return {
    ...record,
    linkMbps: i % 2 === 0 ? 1_000 : 10_000,
    labels: { ...record.labels, ...(i % 3 === 0 ? { disk: 'ssd' } : {}) },
    ...(i % 5 === 2 ? { taints: [{ key: 'dedicated', value: '', effect: 'NoSchedule' }] } : {}),
    ...(i % 7 === 3 ? { taints: [{ key: 'old', value: '', effect: 'PreferNoSchedule' }] } : {}),
  };
}

describe('liveProblem', () => {
  it('is the problem that the simulator has of the same cluster', () => {
    const { records: plain, traffic } = generateCluster({ nodes: 20, seed: 3, trafficSkew: 0.5 });
    const records = plain.map((record, i) => restricted(record, i));
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
    const nodesOf = ({ choices, nodeCount }: typeof problem, w: number): number[] => {
      const choice = choices!.of[w]!;
      return choice < 0 ? new Array<number>(nodeCount).fill(1) : [...choices!.allowed[choice]!];
    };
    for (const [w, key] of own.entries()) {
      expect(nodesOf(problem, w)).toEqual(nodesOf(simulated.problem, indexOf.get(key)!));
    }
    expect(new Set(own.map((_, w) => nodesOf(problem, w).join(''))).size).toBeGreaterThan(1);
    expect(problem.choices!.allowed.every((nodes) => nodes.includes(0) && nodes.includes(1))).toBe(true);
    const [links, known] = [problem.links!, simulated.problem.links!];
    expect(links.nodeLink).toEqual(known.nodeLink);
    for (const column of ['tx', 'rx'] as const) {
      for (const [w, key] of own.entries()) expect(links[column][w]).toBe(known[column][indexOf.get(key)!]);
    }
    const standing = [...live.standing.targetCount].reduce((sum, count) => sum + count, 0);
    expect(standing).toBe(simulated.pods.home.filter((n) => n >= 0).length);
  });
});
