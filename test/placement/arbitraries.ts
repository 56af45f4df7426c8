import fc from 'fast-check';
import type { ViewSpec } from '../support/view-fixture.ts';

const ZONES = ['z1', 'z2', 'z3'];

const free = (most: number) =>
  fc.option(
    fc.integer({ min: 0, max: most }).map((left) => [most, left] as const),
    { nil: undefined, freq: 4 },
  );

/**
 * Small clusters with everything that the formula tells apart: zones, regions, unknown ones, dead nodes, self edges, empty peers,
 * peers to come, little room.
 */
export const arbitrarySpec: fc.Arbitrary<ViewSpec> = fc
  .record({ nodes: fc.integer({ min: 1, max: 8 }), workloads: fc.integer({ min: 1, max: 6 }) })
  .chain(({ nodes, workloads }) => {
    const nodeNames = Array.from({ length: nodes }, (_, i) => `node-${i}`);
    const keys = Array.from({ length: workloads }, (_, i) => `shop/Deployment/w${i}`);
    const placed = fc.dictionary(fc.constantFrom(...nodeNames), fc.integer({ min: 1, max: 4 }), {
      maxKeys: nodes,
      noNullPrototype: true,
    });
    return fc.record({
      nodes: fc.tuple(
        ...nodeNames.map((name) =>
          fc
            .record({
              zone: fc.option(fc.constantFrom(...ZONES), { nil: undefined, freq: 6 }),
              live: fc.boolean(),
              milliCpu: free(64_000),
              memoryBytes: free(1_000),
              freePods: fc.option(fc.integer({ min: 0, max: 9 }), { nil: undefined }),
              avoided: fc.integer({ min: 0, max: 9 }).map((n) => n === 9),
              link: fc.option(fc.tuple(fc.constant(1e7), fc.nat(1e7), fc.nat(1e7)), { nil: undefined }),
            })
            .map(({ zone, live, milliCpu, memoryBytes, freePods, avoided, link }) => ({
              name,
              avoided,
              ...(link === undefined ? {} : { link }),
              ...(milliCpu === undefined ? {} : { milliCpu }),
              ...(memoryBytes === undefined ? {} : { memoryBytes }),
              ...(freePods === undefined ? {} : { freePods }),
              live: live || name !== 'node-3',
              ...(zone === undefined ? {} : { zone, region: zone === 'z3' ? 'r2' : 'r1' }),
            })),
        ),
      ),
      workloads: fc.tuple(
        ...keys.map((key) =>
          fc
            .record({
              placed,
              more: fc.integer({ min: 0, max: 3 }),
              other: fc.constantFrom(0, 0, 1e5, 3e6),
              milliCpu: fc.constantFrom(0, 100, 900, 7_000),
              memoryBytes: fc.constantFrom(0, 3, 40),
              tx: fc.constantFrom(0, 0, 1e4, 3e5, 4e6),
              rx: fc.constantFrom(0, 0, 1e4, 2e6),
            })
            .map((w) => ({
              key,
              placed: w.placed,
              replicas: Object.values(w.placed).reduce((a, b) => a + b, 0) + w.more,
              otherBytesPerSecond: w.other,
              milliCpu: w.milliCpu,
              memoryBytes: w.memoryBytes,
              tx: w.tx,
              rx: w.rx,
            })),
        ),
      ),
      edges: fc.array(
        fc.record({
          client: fc.constantFrom(...keys),
          server: fc.constantFrom(...keys),
          bytesPerSecond: fc.constantFrom(0, 10, 40_000, 125_000, 1e6, 7.5e6, 1e9),
          confidence: fc.constantFrom(0, 0.25, 0.6, 1, 1),
          routing: fc.constantFrom('random', 'random', 'random', 'same-node', 'same-zone', 'pinned'),
          pins: fc.dictionary(fc.constantFrom(...nodeNames), fc.constantFrom(0.1, 0.25, 0.5), {
            maxKeys: 2,
            noNullPrototype: true,
          }),
        }),
        { maxLength: 14 },
      ),
      hasUnits: fc.boolean(),
    });
  });

/** The same with a plan for some of the workloads. */
export const arbitraryPlannedSpec: fc.Arbitrary<ViewSpec> = arbitrarySpec.chain((spec) =>
  fc
    .array(
      fc.dictionary(fc.constantFrom(...spec.nodes.map((node) => node.name)), fc.integer({ min: 1, max: 3 }), {
        maxKeys: 3,
        noNullPrototype: true,
      }),
      { minLength: spec.workloads.length, maxLength: spec.workloads.length },
    )
    .map((targets) => ({
      ...spec,
      planVersion: 7,
      workloads: spec.workloads.map((workload, w) => ({ ...workload, target: targets[w]! })),
    })),
);

/** Without requests, links and taints: room for everybody everywhere. */
export function roomy(spec: ViewSpec): ViewSpec {
  return {
    ...spec,
    nodes: spec.nodes.map(({ name, live = true, zone, region }) => ({
      name,
      live,
      ...(zone === undefined ? {} : { zone }),
      ...(region === undefined ? {} : { region }),
    })),
    workloads: spec.workloads.map((w) => ({ ...w, milliCpu: 0, memoryBytes: 0 })),
  };
}
