import { describe, expect, it } from 'vitest';
import { healed } from '../../scheduler/plan/heal.ts';
import { keepToZones } from '../../scheduler/plan/keep-to-zones.ts';
import { planPlacement } from '../../scheduler/plan/plan.ts';
import { Random } from '../../scheduler/plan/random.ts';
import { PlanState } from '../../scheduler/plan/state.ts';
import { trafficOfProblem } from '../../scheduler/plan/traffic.ts';
import { ZoneRoom } from '../../scheduler/plan/zone-room.ts';
import { generateCluster } from '../../scheduler/simulate/generate/generate.ts';
import { clusterOf } from '../../scheduler/simulate/load.ts';

const BUDGET = 400_000;

describe('heal', () => {
  it.each([1, 2, 3])('wins back traffic of replicas torn from their peers, within all caps (cluster %i)', (seed) => {
    const { records, traffic } = generateCluster({ nodes: 16, seed, talking: 0.9, trafficSkew: 0.5, cpu: 0.7 });
    const { problem } = clusterOf(records, traffic, { maxReplicaShare: 0.5, hasUnits: true });
    const zoneCap = problem.replicas.map((count) => Math.max(1, Math.ceil(count / 2)));
    const empty = (): PlanState => {
      const state = new PlanState(problem, trafficOfProblem(problem));
      state.zones = new ZoneRoom(problem.nodeZone, zoneCap);
      return state;
    };
    const torn = empty();
    torn.putAll(planPlacement(problem, { seed, iterations: BUDGET }));
    const whole = torn.localShare();
    const moved = keepToZones(torn);
    expect(moved).toBeGreaterThan(10);
    expect(torn.localShare()).toBeLessThan(whole);

    const state = healed(empty, torn, { random: new Random(seed), moved, budget: BUDGET });
    expect(state.localShare()).toBeGreaterThan(torn.localShare() + (whole - torn.localShare()) / 4);
    expect(excessOf(state, problem.nodeZone, zoneCap)).toBeLessThanOrEqual(excessOf(torn, problem.nodeZone, zoneCap));
    for (let n = 0; n < problem.nodeCount; n++) expect(state.isOverdrawn(n)).toBe(false);
    for (let w = 0; w < problem.workloadCount; w++) {
      for (let n = 0; n < problem.nodeCount; n++) {
        expect(state.matrix.get(n, w)).toBeLessThanOrEqual(problem.cap[w]!);
        if (!state.choices.has(w, n)) expect(state.matrix.get(n, w)).toBe(0);
      }
    }
  });

  it('leaves a plan as it is from which nothing was moved', () => {
    const { records, traffic } = generateCluster({ nodes: 8, seed: 4 });
    const { problem } = clusterOf(records, traffic, { maxReplicaShare: 0.5, hasUnits: true });
    const empty = (): PlanState => new PlanState(problem, trafficOfProblem(problem));
    const state = empty();
    state.putAll(planPlacement(problem, { seed: 1, iterations: 0 }));
    expect(healed(empty, state, { random: new Random(1), moved: 0, budget: BUDGET })).toBe(state);
  });
});

/** Replicas beyond the cap of their zone. */
function excessOf(state: PlanState, nodeZone: Int32Array, zoneCap: Int32Array): number {
  let excess = 0;
  for (const [w, cap] of zoneCap.entries()) {
    const perZone = new Map<number, number>();
    for (const [n, zone] of nodeZone.entries()) {
      if (zone >= 0) perZone.set(zone, (perZone.get(zone) ?? 0) + state.matrix.get(n, w));
    }
    for (const count of perZone.values()) excess += Math.max(0, count - cap);
  }
  return excess;
}
