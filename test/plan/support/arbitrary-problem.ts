import fc from 'fast-check';
import type { PlacementProblem } from '../../../scheduler/placement/problem.ts';

export interface ProblemBounds {
  readonly nodes: number;
  readonly workloads: number;
  readonly replicas: number;
  readonly edges: number;
  /** true: requests are small beside the room, so that everything fits. */
  readonly ample?: boolean;
}

/** Small problems of all sorts: tight and roomy, whole and real quantities, with and without zones, also empty ones. */
export function arbitraryProblem(bounds: ProblemBounds): fc.Arbitrary<PlacementProblem> {
  return fc
    .record({
      nodes: fc.integer({ min: 1, max: bounds.nodes }),
      workloads: fc.integer({ min: 0, max: bounds.workloads }),
      isWhole: fc.boolean(),
      cap: fc.constantFrom(0.34, 0.5, 1),
    })
    .chain(({ nodes, workloads, isWhole, cap }) => {
      const quantity = (min: number, max: number): fc.Arbitrary<number> =>
        isWhole ? fc.integer({ min, max }) : fc.double({ min, max, noNaN: true }).map((value) => value / 3);
      const list = <T>(of: fc.Arbitrary<T>, length: number): fc.Arbitrary<T[]> =>
        fc.array(of, { minLength: length, maxLength: length });
      const room = bounds.ample === true ? 1_000_000 : 30;
      return fc
        .record({
          nodeMilliCpu: list(quantity(bounds.ample === true ? room : 0, room), nodes),
          nodeMemoryBytes: list(quantity(bounds.ample === true ? room : 0, room), nodes),
          nodePods: list(
            fc.integer({ min: bounds.ample === true ? 1_000 : 0, max: bounds.ample === true ? 1_000 : 12 }),
            nodes,
          ),
          nodeZone: list(fc.integer({ min: -1, max: 2 }), nodes),
          replicas: list(fc.integer({ min: 0, max: bounds.replicas }), workloads),
          milliCpu: list(quantity(0, 10), workloads),
          memoryBytes: list(quantity(0, 10), workloads),
          edges: fc.array(
            fc.record({
              a: fc.nat({ max: Math.max(0, workloads - 1) }),
              b: fc.nat({ max: Math.max(0, workloads - 1) }),
              weight: fc.double({ min: 1e-3, max: 1e3, noNaN: true }),
            }),
            { maxLength: bounds.edges },
          ),
        })
        .map(({ edges, replicas, ...columns }): PlacementProblem => {
          const pairs = new Map<string, number[]>();
          for (const { a, b, weight } of edges)
            if (a !== b) pairs.set(`${Math.min(a, b)},${Math.max(a, b)}`, [Math.min(a, b), Math.max(a, b), weight]);
          const kept = [...pairs.values()];
          return {
            nodeCount: nodes,
            workloadCount: workloads,
            nodeMilliCpu: Float64Array.from(columns.nodeMilliCpu),
            nodeMemoryBytes: Float64Array.from(columns.nodeMemoryBytes),
            nodePods: Int32Array.from(columns.nodePods),
            nodeZone: Int32Array.from(columns.nodeZone),
            nodeRegion: new Int32Array(nodes).fill(-1),
            replicas: Int32Array.from(replicas),
            milliCpu: Float64Array.from(columns.milliCpu),
            memoryBytes: Float64Array.from(columns.memoryBytes),
            cap: Int32Array.from(replicas, (count) => Math.max(1, Math.ceil(cap * count))),
            edgeA: Int32Array.from(kept, (edge) => edge[0]!),
            edgeB: Int32Array.from(kept, (edge) => edge[1]!),
            edgeWeight: Float64Array.from(kept, (edge) => edge[2]!),
          };
        });
    });
}
