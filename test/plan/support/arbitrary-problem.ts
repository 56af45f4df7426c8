import fc from 'fast-check';
import type { PlacementProblem } from '../../../scheduler/placement/problem.ts';

export interface ProblemBounds {
  readonly nodes: number;
  readonly workloads: number;
  readonly replicas: number;
  readonly edges: number;
  /** true: requests are small beside the room, so that everything fits. */
  readonly ample?: boolean;
  /** false: no link is known. */
  readonly links?: boolean;
}

/**
 * Small problems of all sorts: tight and roomy, whole and real quantities, with and without zones, nodes that are not for
 * all, and links; also empty ones.
 */
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
          sets: fc.array(list(fc.constantFrom(0, 1, 1), nodes), { maxLength: 2 }),
          choices: list(fc.integer({ min: -1, max: 1 }), workloads),
          links: fc.constantFrom(false, bounds.links !== false),
          nodeLink: list(fc.constantFrom(0, 100, 1_000, Infinity), nodes),
          tx: list(fc.constantFrom(0, 1, 300), workloads),
          rx: list(fc.constantFrom(0, 10, 100), workloads),
        })
        .map(({ edges, replicas, sets, choices, links, ...columns }): PlacementProblem => {
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
            choices: {
              of: Int32Array.from(choices, (choice) => (choice < sets.length ? choice : -1)),
              allowed: sets.map((set) => Uint8Array.from(set)),
            },
            links: links
              ? {
                  nodeLink: Float64Array.from(columns.nodeLink),
                  nodeTx: Float64Array.from(columns.nodeLink, (_, n) => n),
                  nodeRx: new Float64Array(nodes),
                  tx: Float64Array.from(columns.tx),
                  rx: Float64Array.from(columns.rx),
                }
              : undefined,
          };
        });
    });
}
