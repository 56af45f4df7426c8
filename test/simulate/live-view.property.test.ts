import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { scoreNodes, placementSettings } from '../../scheduler/placement/index.ts';
import { LiveView } from '../../scheduler/simulate/live-view.ts';
import { buildView, type ViewSpec } from '../support/view-fixture.ts';

const NODES = ['n0', 'n1', 'n2', 'n3', 'n4'];
const KEYS = ['s/Deployment/a', 's/Deployment/b', 's/Deployment/c'];
const MILLI_CPU = [300, 200, 500];
const NODE_MILLI_CPU = 2_000;
const MAX_PODS = 7;

function roomOn(placed: readonly Readonly<Record<string, number>>[], node: string): { milliCpu: number; pods: number } {
  const counts = placed.map((of) => of[node] ?? 0);
  const used = counts.reduce((sum, count, w) => sum + count * MILLI_CPU[w]!, 0);
  return { milliCpu: Math.max(0, NODE_MILLI_CPU - used), pods: MAX_PODS - counts.reduce((a, b) => a + b, 0) };
}

function spec(placed: readonly Readonly<Record<string, number>>[]): ViewSpec {
  return {
    nodes: NODES.map((name, n) => {
      const { milliCpu, pods } = roomOn(placed, name);
      const room = { name, milliCpu: [NODE_MILLI_CPU, milliCpu] as const, freePods: pods };
      return n === 4 ? room : { ...room, zone: `z${n % 2}`, region: 'r' };
    }),
    workloads: KEYS.map((key, w) => ({ key, replicas: 6, placed: placed[w]!, milliCpu: MILLI_CPU[w]! })),
    edges: [
      { client: KEYS[0]!, server: KEYS[1]!, bytesPerSecond: 1e6 },
      { client: KEYS[1]!, server: KEYS[2]!, bytesPerSecond: 3e6 },
    ],
  };
}

describe('a view that is changed in place', () => {
  it('scores as one that is built anew, whatever was placed and removed', () => {
    const step = fc.record({ workload: fc.nat(2), node: fc.nat(4), place: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const placed: Record<string, number>[] = [{ n1: 1 }, {}, {}];
        const live = new LiveView(buildView(spec(placed)));
        for (const { workload, node, place } of steps) {
          const name = NODES[node]!;
          const counts = placed[workload]!;
          const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
          if (place && total < 6) {
            live.place(workload, node);
            counts[name] = (counts[name] ?? 0) + 1;
          } else if (!place && (counts[name] ?? 0) > 0) {
            live.remove(workload, node);
            if (--counts[name]! === 0) delete counts[name];
          }
          const { milliCpu, pods } = roomOn(placed, name);
          live.setRoom(node, milliCpu, Infinity, pods);
          const fresh = buildView(spec(placed));
          for (let w = 0; w < KEYS.length; w++) {
            const request = { workload: w, podUid: 'u', candidates: [0, 1, 2, 3, 4] };
            expect(scoreNodes(live.forScoring(), request, placementSettings())).toEqual(
              scoreNodes(fresh, request, placementSettings()),
            );
          }
        }
        live.reset();
        const base = buildView(spec([{ n1: 1 }, {}, {}]));
        for (let w = 0; w < KEYS.length; w++) {
          const row = (view: typeof base): unknown[] => [
            ...view.placedNode.subarray(view.placedStart[w], view.placedEnd[w]),
            ...view.placedCount.subarray(view.placedStart[w], view.placedEnd[w]),
          ];
          expect(row(live.view)).toEqual(row(base));
        }
      }),
      { numRuns: 100, seed: 3 },
    );
  });
});
