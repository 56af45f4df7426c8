import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { PlacementProblem } from '../../scheduler/placement/problem.ts';
import { anneal } from '../../scheduler/plan/anneal.ts';
import { heavyEdgeCommunities } from '../../scheduler/plan/communities.ts';
import { placeCommunities } from '../../scheduler/plan/first-placement.ts';
import { Random } from '../../scheduler/plan/random.ts';
import { PlanState } from '../../scheduler/plan/state.ts';
import { trafficOfProblem } from '../../scheduler/plan/traffic.ts';
import { arbitraryProblem } from './support/arbitrary-problem.ts';
import { naiveLocalShare, violations } from './support/naive-plan.ts';

const problems = arbitraryProblem({ nodes: 6, workloads: 9, replicas: 8, edges: 16 });

function dense(problem: PlacementProblem, state: PlanState): number[][] {
  return Array.from({ length: problem.workloadCount }, (_, w) =>
    Array.from({ length: problem.nodeCount }, (_node, n) => state.matrix.get(n, w)),
  );
}

/** Replicas that a peer makes talk, as shares of the traffic that can become local. */
function share(problem: PlacementProblem, state: PlanState): number {
  const { edgeA, edgeB, edgeWeight } = state.traffic;
  return naiveLocalShare({ ...problem, edgeA, edgeB, edgeWeight }, dense(problem, state));
}

describe('anneal', () => {
  it('counts the share by what each move changes as a sum over everything counts it', () => {
    fc.assert(
      fc.property(problems, fc.integer(), fc.constantFrom(1, 30, 2_000), (problem, seed, iterations) => {
        const state = new PlanState(problem, trafficOfProblem(problem));
        placeCommunities(state, { most: 2, fill: 1 });
        const before = share(problem, state);
        expect(state.localShare()).toBeCloseTo(before, 9);
        if (state.traffic.edgeA.length === 0) return;
        const changed = anneal(state, new Random(seed), { iterations, hot: 0.1, cold: 0.001 });
        const after = share(problem, state);
        expect(before + changed).toBeCloseTo(after, 9);
        expect(state.localShare()).toBeCloseTo(after, 9);
      }),
      { numRuns: 200, seed: 1 },
    );
  });

  it('keeps to room and caps, and keeps account of room and of what is unplaced', () => {
    fc.assert(
      fc.property(problems, fc.integer(), (problem, seed) => {
        const state = new PlanState(problem, trafficOfProblem(problem));
        placeCommunities(state, { most: 2, fill: 1 });
        const waiting = [...state.unplaced];
        if (state.traffic.edgeA.length > 0) anneal(state, new Random(seed), { iterations: 500, hot: 1, cold: 0.01 });
        const x = dense(problem, state);
        expect(violations(problem, x)).toEqual([]);
        const { cpu, memory, room } = state;
        for (let n = 0; n < problem.nodeCount; n++) {
          const sum = (of: ArrayLike<number>): number => x.reduce((total, row, w) => total + row[n]! * of[w]!, 0);
          expect(state.freeCpu[n]).toBe(room.nodeCpu[n]! - sum(cpu));
          expect(state.freeMemory[n]).toBe(room.nodeMemory[n]! - sum(memory));
          expect(state.freePods[n]).toBe(problem.nodePods[n]! - x.reduce((total, row) => total + row[n]!, 0));
        }
        for (let w = 0; w < problem.workloadCount; w++) {
          const placed = x[w]!.reduce((total, k) => total + k, 0);
          expect(state.unplaced[w]).toBe(problem.replicas[w]! - placed);
          expect(state.unplaced[w]).toBeLessThanOrEqual(waiting[w]!);
        }
      }),
      { numRuns: 200, seed: 2 },
    );
  });
});

describe('heavyEdgeCommunities', () => {
  /** Merges the heaviest pair that may be merged, looked for anew each time. */
  function naive(problem: PlacementProblem, size: Float64Array, most: number): number[][] {
    const { edgeA, edgeB, edgeWeight } = trafficOfProblem(problem);
    let groups = Array.from({ length: problem.workloadCount }, (_, w) => [w]);
    for (;;) {
      let best: { weight: number; a: number[]; b: number[] } | undefined;
      for (const [i, a] of groups.entries()) {
        for (const b of groups.slice(i + 1)) {
          let weight = 0;
          for (let e = 0; e < edgeA.length; e++) {
            const crosses =
              (a.includes(edgeA[e]!) && b.includes(edgeB[e]!)) || (b.includes(edgeA[e]!) && a.includes(edgeB[e]!));
            if (crosses) weight += edgeWeight[e]!;
          }
          const total = [...a, ...b].reduce((sum, w) => sum + size[w]!, 0);
          if (weight > 0 && total <= most && weight > (best?.weight ?? 0)) best = { weight, a, b };
        }
      }
      if (best === undefined) return groups.filter((group) => group.length > 1);
      const { a, b } = best;
      groups = [...groups.filter((group) => group !== a && group !== b), [...a, ...b].sort((x, y) => x - y)];
    }
  }

  it('merges as a naive twin does', () => {
    fc.assert(
      fc.property(problems, fc.integer({ min: 1, max: 30 }), (problem, most) => {
        // Sizes are whole and weights unlike each other, so that sums are exact and no two pairs are alike.
        const size = Float64Array.from(problem.replicas);
        const distinct = { ...problem, edgeWeight: problem.edgeWeight.map((_, e) => 2 ** e) };
        const sorted = (groups: Iterable<Iterable<number>>): string[] =>
          Array.from(groups, (group) => [...group].join()).sort();
        expect(sorted(heavyEdgeCommunities(trafficOfProblem(distinct), size, most))).toEqual(
          sorted(naive(distinct, size, most)),
        );
      }),
      { numRuns: 200, seed: 1 },
    );
  });
});
