import { describe, expect, it } from 'vitest';
import type { PlacementProblem } from '../../scheduler/placement/problem.ts';
import { countsOf, type LiveProblem } from '../../scheduler/plan/live-problem.ts';
import { countsFor } from '../../scheduler/plan/named-plan.ts';
import { planPlacement } from '../../scheduler/plan/plan.ts';
import { PlanKeeper } from '../../scheduler/plan/plan-keeper.ts';
import { denseCounts } from './support/naive-plan.ts';

/** Pairs of workloads w0-w1, w2-w3, ... of two replicas on nodes of room for four; nothing stands anywhere. */
function pairs(count: number, change: Partial<PlacementProblem> = {}): LiveProblem {
  const nodeCount = count;
  const workloadCount = 2 * count;
  const problem: PlacementProblem = {
    nodeCount,
    workloadCount,
    nodeMilliCpu: new Float64Array(nodeCount).fill(4),
    nodeMemoryBytes: new Float64Array(nodeCount).fill(4),
    nodePods: new Int32Array(nodeCount).fill(4),
    nodeZone: new Int32Array(nodeCount).fill(-1),
    nodeRegion: new Int32Array(nodeCount).fill(-1),
    replicas: new Int32Array(workloadCount).fill(2),
    milliCpu: new Float64Array(workloadCount).fill(1),
    memoryBytes: new Float64Array(workloadCount).fill(1),
    cap: new Int32Array(workloadCount).fill(2),
    edgeA: Int32Array.from({ length: count }, (_, i) => 2 * i),
    edgeB: Int32Array.from({ length: count }, (_, i) => 2 * i + 1),
    edgeWeight: new Float64Array(count).fill(1),
    ...change,
  };
  return {
    problem,
    standing: {
      targetStart: new Int32Array(workloadCount + 1),
      targetNode: new Int32Array(0),
      targetCount: new Int32Array(0),
    },
    nodes: Array.from({ length: nodeCount }, (_, n) => `node-${n}`),
    workloads: Array.from({ length: workloadCount }, (_, w) => `shop/Deployment/w${w}`),
  };
}

const MINUTE = 60_000;
const made = (live: LiveProblem): ReturnType<typeof planPlacement> =>
  planPlacement(live.problem, { seed: 1, iterations: 3_000 });

describe('PlanKeeper', () => {
  it('waits after the start, until traffic has been learned', () => {
    const keeper = new PlanKeeper(undefined, 0);
    expect(keeper.look(pairs(4), 4 * MINUTE).needsPlan).toBe(false);
    expect(keeper.look(pairs(4), 5 * MINUTE).needsPlan).toBe(true);
  });

  it('wants a plan as soon as there is traffic, and then keeps it', () => {
    const keeper = new PlanKeeper(undefined, 0, { firstMs: 0 });
    const silent = pairs(4, {
      edgeA: new Int32Array(0),
      edgeB: new Int32Array(0),
      edgeWeight: new Float64Array(0),
    });
    expect(keeper.look(silent, 0).needsPlan).toBe(false);
    const live = pairs(4);
    expect(keeper.look(live, 0)).toEqual({ needsPlan: true, standingShare: 0 });
    keeper.tried(0);
    const taken = keeper.offer(live, made(live), 0, 1.5)!;
    expect(taken).toMatchObject({ version: 1, computeSeconds: 1.5, localShare: { node: 1 } });
    expect(denseCounts(live.problem, countsFor(live, taken))).toEqual(denseCounts(live.problem, made(live)));
    expect(keeper.look(live, 60 * MINUTE).needsPlan).toBe(false);
    expect(keeper.drift).toMatchObject({ lost: 0, unplanned: 0 });
  });

  it('wants another one when traffic has moved, after a rest', () => {
    const keeper = new PlanKeeper(undefined, 0, { firstMs: 0 });
    const live = pairs(4);
    keeper.tried(0);
    keeper.offer(live, made(live), 0, 1);
    const crossed = pairs(4, { edgeB: Int32Array.of(3, 1, 7, 5).map((b, i) => Math.max(b, 2 * i + 1)) });
    expect(keeper.look(crossed, 5 * MINUTE).needsPlan).toBe(false);
    expect(keeper.look(crossed, 16 * MINUTE).needsPlan).toBe(true);
    expect(keeper.drift!.lost).toBeGreaterThan(0.05);
    const next = keeper.offer(crossed, made(crossed), 16 * MINUTE, 1);
    expect(next?.version).toBe(2);
  });

  it('does not take a plan that is no better, nor ask again for what is not to be had', () => {
    const keeper = new PlanKeeper(undefined, 0, { firstMs: 0 });
    const live = pairs(4);
    keeper.offer(live, made(live), 0, 1);
    // Nobody can be beside anybody any more.
    const narrow = pairs(4, { edgeB: Int32Array.of(3, 5, 7, 7), nodePods: new Int32Array(4).fill(2) });
    expect(keeper.look(narrow, 20 * MINUTE).needsPlan).toBe(true);
    const worse = { ...made(narrow), localShare: { node: keeper.drift!.present.node, zone: 0 } };
    expect(keeper.offer(narrow, worse, 20 * MINUTE, 1)).toBeUndefined();
    expect(keeper.plan?.version).toBe(1);
    expect(keeper.look(narrow, 60 * MINUTE).needsPlan).toBe(false);
  });

  it('wants another one when links are overloaded by it, and takes that for less overload', () => {
    const keeper = new PlanKeeper(undefined, 0, { firstMs: 0 });
    // Room for everything on two nodes, and none of it talks with any other pair.
    const live = pairs(4, {
      nodePods: new Int32Array(4).fill(8),
      nodeMilliCpu: new Float64Array(4).fill(8),
      nodeMemoryBytes: new Float64Array(4).fill(8),
    });
    const stacked = countsOf(
      8,
      Array.from({ length: 8 }, (_, w) => [w, w >> 2, 2]),
    );
    const first = { ...made(live), ...stacked, localShare: { node: 1, zone: 1 } };
    expect(keeper.offer(live, first, 0, 1)?.version).toBe(1);
    expect(keeper.look(live, 20 * MINUTE).needsPlan).toBe(false);
    const links = {
      nodeLink: new Float64Array(4).fill(10),
      nodeTx: new Float64Array(4),
      nodeRx: new Float64Array(4),
      tx: Float64Array.from({ length: 8 }, (_, w) => (w % 2 === 0 ? 3 : 0)),
      rx: new Float64Array(8),
    };
    const busy = { ...live, problem: { ...live.problem, links } };
    expect(keeper.look(busy, 40 * MINUTE).needsPlan).toBe(true);
    const next = made(busy);
    expect(next.linkOverload).toBe(0);
    expect(keeper.offer(busy, next, 40 * MINUTE, 1)?.version).toBe(2);
    expect(keeper.look(busy, 60 * MINUTE).needsPlan).toBe(false);
  });

  it('leaves out what may not be where it was planned', () => {
    const live = pairs(4);
    const keeper = new PlanKeeper(undefined, 0, { firstMs: 0 });
    const plan = keeper.offer(live, made(live), 0, 1)!;
    const allowed = [Uint8Array.of(1, 1, 1, 0)];
    const closed = { ...live, problem: { ...live.problem, choices: { of: new Int32Array(8), allowed } } };
    expect([...countsFor(closed, plan).targetNode]).not.toContain(3);
    expect(keeper.look(closed, 20 * MINUTE).needsPlan).toBe(true);
  });

  it('goes on with the plan of an earlier run', () => {
    const live = pairs(4);
    const first = new PlanKeeper(undefined, 0, { firstMs: 0 });
    const plan = first.offer(live, made(live), 0, 1);
    const second = new PlanKeeper(plan, 0, { firstMs: 0 });
    expect(second.look(live, MINUTE).needsPlan).toBe(false);
    // A node is gone, and what was planned for it.
    const fewer = { ...live, nodes: ['node-0', 'node-1', 'node-2', 'new-node'] };
    expect(second.look(fewer, MINUTE).needsPlan).toBe(true);
    expect(second.drift?.unplanned).toBeCloseTo(0.25, 12);
  });
});
