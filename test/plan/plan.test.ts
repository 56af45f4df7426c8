import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planPlacement } from '../../scheduler/plan/plan.ts';
import { MOST_LINK_USE } from '../../scheduler/plan/state.ts';
import { trafficOfProblem } from '../../scheduler/plan/traffic.ts';
import { arbitraryProblem } from './support/arbitrary-problem.ts';
import {
  bruteForce,
  denseCounts,
  isAllowed,
  naiveLocalShare,
  naiveOverload,
  violations,
} from './support/naive-plan.ts';

const problems = arbitraryProblem({ nodes: 6, workloads: 8, replicas: 7, edges: 14 });
const options = fc.record({ seed: fc.integer(), iterations: fc.constantFrom(0, 1, 300, 3_000) });

describe('planPlacement', () => {
  it('breaks no capacity and no cap, and accounts for every replica', () => {
    fc.assert(
      fc.property(problems, options, (problem, given) => {
        const plan = planPlacement(problem, given);
        const x = denseCounts(problem, plan);
        expect(violations(problem, x)).toEqual([]);
        const missing = new Map(plan.unplaced.map(({ workload, replicas }) => [workload, replicas]));
        for (let w = 0; w < problem.workloadCount; w++) {
          const placed = x[w]!.reduce((sum, k) => sum + k, 0);
          expect(placed + (missing.get(w) ?? 0)).toBe(problem.replicas[w]);
        }
      }),
      { numRuns: 300, seed: 1 },
    );
  });

  it('tells the local shares that a naive sum gives, by node and by zone', () => {
    fc.assert(
      fc.property(problems, options, (problem, given) => {
        const plan = planPlacement(problem, given);
        const x = denseCounts(problem, plan);
        const zoneOf = (n: number): number => (problem.nodeZone[n]! < 0 ? 100 + n : problem.nodeZone[n]!);
        expect(plan.localShare.node).toBeCloseTo(naiveLocalShare(problem, x), 9);
        expect(plan.localShare.zone).toBeCloseTo(naiveLocalShare(problem, x, zoneOf), 9);
      }),
      { numRuns: 200, seed: 2 },
    );
  });

  it('gives the same bytes for the same problem and seed', () => {
    fc.assert(
      fc.property(problems, options, (problem, given) => {
        expect(planPlacement(problem, given)).toEqual(planPlacement(problem, given));
      }),
      { numRuns: 100, seed: 3 },
    );
  });

  it('is never worse for more proposals, nor than the plan that it starts from', () => {
    const ample = arbitraryProblem({ nodes: 6, workloads: 8, replicas: 7, edges: 14, ample: true, links: false });
    fc.assert(
      fc.property(ample, fc.integer(), (problem, seed) => {
        const plans = [0, 500, 2_000, 9_000].map((iterations) => planPlacement(problem, { seed, iterations }));
        for (const [i, plan] of plans.slice(1).entries()) {
          expect(plan.localShare.node).toBeGreaterThanOrEqual(plans[i]!.localShare.node - 1e-12);
        }
        const start = plans.at(-1)!;
        const next = planPlacement(problem, { seed: seed + 1, iterations: 500, start });
        expect(next.localShare.node).toBeGreaterThanOrEqual(start.localShare.node - 1e-12);
      }),
      { numRuns: 100, seed: 6 },
    );
  });

  it('tells how far it overloads links as a naive sum does', () => {
    fc.assert(
      fc.property(problems, options, (problem, given) => {
        const plan = planPlacement(problem, given);
        const speed = problem.links?.nodeLink;
        const beyond = naiveOverload(problem, denseCounts(problem, plan), MOST_LINK_USE);
        if (trafficOfProblem(problem).total === 0) return;
        const sum = beyond.reduce((total, bytes, n) => total + (speed?.[n] === 0 ? 0 : bytes / (speed?.[n] ?? 1)), 0);
        expect(plan.linkOverload).toBeCloseTo(sum, 6);
      }),
      { numRuns: 200, seed: 7 },
    );
  });

  it('places everything where there is room for everything', () => {
    const ample = arbitraryProblem({ nodes: 6, workloads: 8, replicas: 7, edges: 14, ample: true });
    fc.assert(
      fc.property(ample, options, (problem, given) => {
        const { unplaced } = planPlacement(problem, given);
        for (const { workload, replicas } of unplaced) {
          const nodes = Array.from({ length: problem.nodeCount }, (_, n) => n);
          const room = problem.cap[workload]! * nodes.filter((n) => isAllowed(problem, workload, n)).length;
          expect(replicas).toBe(problem.replicas[workload]! - room);
        }
      }),
      { numRuns: 200, seed: 4 },
    );
  });

  it('finds the best of all placements where these can be enumerated', () => {
    const tiny = arbitraryProblem({ nodes: 3, workloads: 4, replicas: 3, edges: 6, links: false });
    let compared = 0;
    let [found, possible] = [0, 0];
    fc.assert(
      fc.property(tiny, fc.integer(), (problem, seed) => {
        const plan = planPlacement(problem, { seed, iterations: 3_000 });
        const best = bruteForce(problem);
        const unplaced = plan.unplaced.reduce((sum, { replicas }) => sum + replicas, 0);
        const placed = problem.replicas.reduce((sum, count) => sum + count, 0) - unplaced;
        expect(placed).toBeLessThanOrEqual(best.placed);
        // Of a cluster that is too small for all, which replicas stay out is not the plan's to choose.
        if (unplaced > 0) return;
        compared++;
        found += plan.localShare.node;
        possible += best.share;
        expect(plan.localShare.node).toBeGreaterThanOrEqual(best.share * 0.9 - 1e-9);
      }),
      { numRuns: 200, seed: 5 },
    );
    expect(compared).toBeGreaterThan(50);
    expect(found / possible).toBeGreaterThan(0.99);
  });
});
