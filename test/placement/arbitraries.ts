import fc from 'fast-check';
import type { ViewSpec } from '../support/view-fixture.ts';

const ZONES = ['z1', 'z2', 'z3'];

/** Small clusters with everything that the formula tells apart: zones, regions, unknown ones, dead nodes, self edges, empty peers. */
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
            .record({ zone: fc.option(fc.constantFrom(...ZONES), { nil: undefined, freq: 6 }), live: fc.boolean() })
            .map(({ zone, live }) => ({
              name,
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
            })
            .map((w) => ({
              key,
              placed: w.placed,
              replicas: Object.values(w.placed).reduce((a, b) => a + b, 0) + w.more,
              otherBytesPerSecond: w.other,
            })),
        ),
      ),
      edges: fc.array(
        fc.record({
          client: fc.constantFrom(...keys),
          server: fc.constantFrom(...keys),
          bytesPerSecond: fc.constantFrom(0, 10, 40_000, 125_000, 1e6, 7.5e6, 1e9),
          confidence: fc.constantFrom(0, 0.25, 0.6, 1, 1),
        }),
        { maxLength: 14 },
      ),
      hasUnits: fc.boolean(),
    });
  });
