import { EventEmitter, once } from 'node:events';
import { describe, expect, onTestFinished, test } from 'vitest';
import { silentLogger } from '../../lib/log.ts';
import { ClusterState } from '../../scheduler/cluster/state.ts';
import { liveProblem, type LiveProblem } from '../../scheduler/plan/live-problem.ts';
import { countsFor, type NamedPlan } from '../../scheduler/plan/named-plan.ts';
import { Planner, type PlannerOptions } from '../../scheduler/process/planner.ts';
import { generateCluster } from '../../scheduler/simulate/generate/generate.ts';
import { clusterOf } from '../../scheduler/simulate/load.ts';
import { denseCounts, violations } from '../plan/support/naive-plan.ts';

function clusterOfTwenty(): LiveProblem {
  const { records, traffic } = generateCluster({ nodes: 20, seed: 3 });
  const { view } = clusterOf(records, traffic, { maxReplicaShare: 0.5, hasUnits: true });
  const state = new ClusterState();
  state.apply(records.map((record) => ({ op: 'upsert', record }) as const));
  return liveProblem(state, { ...view, names: view.names.workloads, nodeNames: view.names.nodes }, 0.5);
}

interface Rig {
  readonly planner: Planner;
  readonly plans: NamedPlan[];
  readonly clock: { nowMs: number };
  /** Until the computation that runs has ended. */
  ended(): Promise<void>;
}

function rig(options: Partial<PlannerOptions> = {}, saved?: NamedPlan): Rig {
  const events = new EventEmitter();
  const plans: NamedPlan[] = [];
  const clock = { nowMs: 1_700_000_000_000 };
  const made: Rig = {
    clock,
    plans,
    planner: new Planner(
      { iterations: 5_000, keeper: { firstMs: 0 }, ...options },
      {
        maxZoneReplicaShare: 1,
        logger: silentLogger,
        now: () => clock.nowMs,
        saved,
        onPlan: (plan) => plans.push(plan),
        onEnd: () => events.emit('end'),
      },
    ),
    ended: async () => void (await once(events, 'end')),
  };
  onTestFinished(async () => made.planner.stop());
  return made;
}

describe('Planner', () => {
  test('has a plan made in another thread, as the same thread would have made it, and offers it', async () => {
    const live = clusterOfTwenty();
    const run = rig();
    expect(run.planner.isDue()).toBe(true);
    run.planner.look(() => live);
    expect(run.planner.status()).toMatchObject({ plan: undefined, running: 0, computed: 0 });
    expect(run.planner.isDue()).toBe(false);
    await run.ended();
    const [plan] = run.plans;
    expect(plan).toMatchObject({ version: 1, iterations: 5_000, madeAtMs: run.clock.nowMs });
    expect(violations(live.problem, denseCounts(live.problem, countsFor(live, plan!)))).toEqual([]);
    const status = run.planner.status();
    expect(status).toMatchObject({ plan, running: undefined, computed: 1, taken: 1, failures: 0 });
    expect(plan!.localShare.node).toBeGreaterThan(status.standingShare! + 0.2);

    // Nothing has changed: the plan stays, and is not made again.
    run.clock.nowMs += 3_600_000;
    run.planner.look(() => live);
    expect(run.planner.status().running).toBeUndefined();
    // The sum goes in the order of other nodes.
    expect(run.planner.status().drift).toBeCloseTo(0, 12);
    expect(run.planner.status().targetShare).toBeCloseTo(plan!.localShare.node, 12);

    // After a restart it is there again.
    const second = rig({}, plan);
    expect(second.planner.plan).toBe(plan);
    second.planner.look(() => live);
    expect(second.planner.status()).toMatchObject({ running: undefined, unplanned: 0 });
  });

  test('a computation that fails leaves the plan that there is, and comes again after a rest', async () => {
    const live = clusterOfTwenty();
    const run = rig();
    const broken = { ...live, problem: { ...live.problem, nodePods: undefined as unknown as Int32Array } };
    run.planner.look(() => broken);
    await run.ended();
    expect(run.planner.status()).toMatchObject({ plan: undefined, failures: 1, computed: 0, running: undefined });
    run.clock.nowMs += 600_000;
    run.planner.look(() => live);
    expect(run.planner.status().running).toBeUndefined();
    run.clock.nowMs += 600_000;
    run.planner.look(() => live);
    await run.ended();
    expect(run.plans).toHaveLength(1);
  });
});
