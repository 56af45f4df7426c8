import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planDrift } from '../../scheduler/plan/drift.ts';
import { planPlacement } from '../../scheduler/plan/plan.ts';
import { relabel } from '../../scheduler/plan/relabel.ts';
import { arbitraryProblem } from './support/arbitrary-problem.ts';
import { denseCounts, naiveLocalShare, violations } from './support/naive-plan.ts';
import type { PlacementProblem } from '../../scheduler/placement/problem.ts';

/** Many nodes of one size, as in a node group. */
function alike(problem: PlacementProblem): PlacementProblem {
  const same = <T extends Float64Array | Int32Array>(column: T): T => column.map(() => column[0]!) as T;
  return {
    ...problem,
    nodeMilliCpu: same(problem.nodeMilliCpu),
    nodeMemoryBytes: same(problem.nodeMemoryBytes),
    nodePods: same(problem.nodePods),
    nodeZone: problem.nodeZone.map((_, n) => n % 2),
    links: problem.links && { ...problem.links, nodeLink: same(problem.links.nodeLink) },
  };
}

const problems = arbitraryProblem({ nodes: 6, workloads: 7, replicas: 6, edges: 10 });

function overlap(problem: PlacementProblem, x: readonly number[][], y: readonly number[][]): number {
  let sum = 0;
  for (let w = 0; w < problem.workloadCount; w++) {
    for (let n = 0; n < problem.nodeCount; n++) sum += Math.min(x[w]![n]!, y[w]![n]!);
  }
  return sum;
}

describe('relabel', () => {
  it('keeps local shares and capacity, and never has less in place', () => {
    fc.assert(
      fc.property(problems, fc.boolean(), (given, isAlike) => {
        const problem = isAlike ? alike(given) : given;
        const standing = planPlacement(problem, { seed: 1, iterations: 0 });
        const target = planPlacement(problem, { seed: 2, iterations: 500 });
        const renamed = relabel(problem, target, standing);
        const [x, y, there] = [target, renamed, standing].map((counts) => denseCounts(problem, counts));
        expect(violations(problem, y!)).toEqual([]);
        expect(naiveLocalShare(problem, y!)).toBeCloseTo(naiveLocalShare(problem, x!), 9);
        const zoneOf = (n: number): number => problem.nodeZone[n]!;
        expect(naiveLocalShare(problem, y!, zoneOf)).toBeCloseTo(naiveLocalShare(problem, x!, zoneOf), 9);
        expect(overlap(problem, y!, there!)).toBeGreaterThanOrEqual(overlap(problem, x!, there!));
        for (let w = 0; w < problem.workloadCount; w++) {
          const nodes = [...renamed.targetNode.subarray(renamed.targetStart[w], renamed.targetStart[w + 1])];
          expect(nodes).toEqual([...nodes].sort((a, b) => a - b));
        }
      }),
      { numRuns: 200, seed: 1 },
    );
  });

  it('finds a placement again whose nodes were only exchanged', () => {
    fc.assert(
      fc.property(problems, fc.nat(), (given, turn) => {
        const problem = { ...alike(given), nodeZone: new Int32Array(given.nodeCount), choices: undefined };
        const target = planPlacement(problem, { seed: 2, iterations: 500 });
        const x = denseCounts(problem, target);
        const turned = x.map((row) => row.map((_, n) => row[(n + turn) % problem.nodeCount]!));
        const standing = sparse(turned);
        expect(denseCounts(problem, relabel(problem, target, standing))).toEqual(turned);
      }),
      { numRuns: 100, seed: 2 },
    );
  });
});

function sparse(x: readonly number[][]): { targetStart: Int32Array; targetNode: Int32Array; targetCount: Int32Array } {
  const start = [0];
  const nodes: number[] = [];
  const counts: number[] = [];
  for (const row of x) {
    for (const [n, k] of row.entries()) {
      if (k === 0) continue;
      nodes.push(n);
      counts.push(k);
    }
    start.push(nodes.length);
  }
  return {
    targetStart: Int32Array.from(start),
    targetNode: Int32Array.from(nodes),
    targetCount: Int32Array.from(counts),
  };
}

describe('planDrift', () => {
  it('is nothing as long as nothing changed', () => {
    fc.assert(
      fc.property(problems, (problem) => {
        const plan = planPlacement(problem, { seed: 1, iterations: 300 });
        const drift = planDrift(plan, problem);
        expect(drift.lost).toBeCloseTo(0, 12);
        expect(drift.present).toEqual(plan.localShare);
      }),
      { numRuns: 50, seed: 1 },
    );
  });

  it('counts traffic that the plan did not know of, and replicas that have come since', () => {
    const column = (...values: number[]): Float64Array => Float64Array.from(values);
    const problem: PlacementProblem = {
      nodeCount: 2,
      workloadCount: 4,
      nodeMilliCpu: column(4, 4),
      nodeMemoryBytes: column(4, 4),
      nodePods: Int32Array.of(9, 9),
      nodeZone: Int32Array.of(0, 1),
      nodeRegion: Int32Array.of(0, 0),
      replicas: Int32Array.of(2, 2, 2, 2),
      milliCpu: column(1, 1, 1, 1),
      memoryBytes: column(1, 1, 1, 1),
      cap: Int32Array.of(2, 2, 2, 2),
      edgeA: Int32Array.of(0, 2),
      edgeB: Int32Array.of(1, 3),
      edgeWeight: column(1, 1),
    };
    const plan = planPlacement(problem, { seed: 1, iterations: 2_000 });
    expect(plan.localShare.node).toBe(1);
    const moved = { ...problem, edgeA: Int32Array.of(0, 0), edgeB: Int32Array.of(1, 2) };
    const crossing = planDrift(plan, moved);
    const x = denseCounts(problem, plan);
    expect(crossing.present.node).toBeCloseTo(naiveLocalShare(moved, x), 12);
    const grown = { ...problem, replicas: Int32Array.of(4, 2, 2, 2) };
    const drift = planDrift(plan, grown);
    expect(drift.present.node).toBeCloseTo(0.75, 12);
    expect(drift.lost).toBeCloseTo(0.25, 12);
    expect(drift.unplanned).toBeCloseTo(2 / 10, 12);
  });
});
