import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { PlacementProblem } from '../../scheduler/placement/problem.ts';
import { planPlacement } from '../../scheduler/plan/plan.ts';
import { Random } from '../../scheduler/plan/random.ts';
import { renamed } from '../../scheduler/plan/renamed.ts';
import { trafficOfProblem } from '../../scheduler/plan/traffic.ts';
import { exchangeZones } from '../../scheduler/plan/zone-exchange.ts';
import { arbitraryProblem } from './support/arbitrary-problem.ts';
import { denseCounts, naiveLocalShare, violations } from './support/naive-plan.ts';

const problems = arbitraryProblem({ nodes: 8, workloads: 8, replicas: 6, edges: 12 });
const zoneOf =
  (problem: PlacementProblem) =>
  (n: number): number =>
    problem.nodeZone[n]! < 0 ? 100 + n : problem.nodeZone[n]!;

/** Replicas beyond the cap of their zone, in all zones. */
function excess(problem: PlacementProblem, x: readonly number[][], cap: Int32Array): number {
  let sum = 0;
  for (const [w, row] of x.entries()) {
    const perZone = new Map<number, number>();
    for (const [n, k] of row.entries()) {
      if (problem.nodeZone[n]! >= 0) perZone.set(problem.nodeZone[n]!, (perZone.get(problem.nodeZone[n]!) ?? 0) + k);
    }
    for (const k of perZone.values()) sum += Math.max(0, k - cap[w]!);
  }
  return sum;
}

describe('exchangeZones', () => {
  it('leaves the node-local share and all capacity as they are', () => {
    fc.assert(
      fc.property(problems, fc.integer(), (problem, seed) => {
        const traffic = trafficOfProblem(problem);
        const counts = planPlacement(problem, { seed: 1, iterations: 200 });
        const options = { iterations: 400, zoneCap: problem.replicas, random: new Random(seed) };
        const nodeOf = exchangeZones(problem, traffic, counts, options);
        expect([...nodeOf].sort((a, b) => a - b)).toEqual([...nodeOf.keys()]);
        const [x, y] = [denseCounts(problem, counts), denseCounts(problem, renamed(counts, nodeOf))];
        expect(violations(problem, y)).toEqual([]);
        expect(naiveLocalShare(problem, y)).toBeCloseTo(naiveLocalShare(problem, x), 9);
      }),
      { numRuns: 200, seed: 1 },
    );
  });

  /** Pairs that fill a node each; every two pairs talk. Equal nodes alternate between two zones. */
  const apps: PlacementProblem = {
    nodeCount: 8,
    workloadCount: 16,
    nodeMilliCpu: new Float64Array(8).fill(4),
    nodeMemoryBytes: new Float64Array(8).fill(4),
    nodePods: new Int32Array(8).fill(4),
    nodeZone: Int32Array.from({ length: 8 }, (_, n) => n % 2),
    nodeRegion: new Int32Array(8),
    replicas: new Int32Array(16).fill(1),
    milliCpu: new Float64Array(16).fill(2),
    memoryBytes: new Float64Array(16).fill(1),
    cap: new Int32Array(16).fill(1),
    edgeA: Int32Array.from({ length: 12 }, (_, e) => (e < 8 ? 2 * e : 4 * (e - 8))),
    edgeB: Int32Array.from({ length: 12 }, (_, e) => (e < 8 ? 2 * e + 1 : 4 * (e - 8) + 2)),
    edgeWeight: Float64Array.from({ length: 12 }, (_, e) => (e < 8 ? 10 : 1)),
  };

  it('brings what talks between nodes into one zone', () => {
    const plan = planPlacement(apps, { seed: 1, iterations: 20_000 });
    const x = denseCounts(apps, plan);
    expect(naiveLocalShare(apps, x)).toBeCloseTo(80 / 84, 9);
    expect(naiveLocalShare(apps, x, zoneOf(apps))).toBeCloseTo(1, 9);
  });

  it('keeps to the cap of a zone where nodes can be exchanged', () => {
    // Two replicas of each now, one a node.
    const doubled = { ...apps, replicas: new Int32Array(16).fill(2), milliCpu: new Float64Array(16).fill(1) };
    const free = denseCounts(doubled, planPlacement(doubled, { seed: 1, iterations: 20_000 }));
    const zoneCap = new Int32Array(16).fill(1);
    const capped = denseCounts(doubled, planPlacement(doubled, { seed: 1, iterations: 20_000, zoneCap }));
    expect(naiveLocalShare(doubled, capped)).toBeCloseTo(naiveLocalShare(doubled, free), 9);
    expect(excess(doubled, free, zoneCap)).toBeGreaterThan(0);
    expect(excess(doubled, capped, zoneCap)).toBe(0);
  });
});
