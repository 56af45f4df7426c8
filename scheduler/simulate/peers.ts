import type { SimulatedCluster } from './cluster.ts';

/**
 * Who talks with whom, both ways: entries start[w] .. start[w+1]-1 of `peer` (ascending) and `weight`; V_w in
 * `total`.
 */
export interface Peers {
  readonly start: Int32Array;
  readonly peer: Int32Array;
  readonly weight: Float64Array;
  readonly total: Float64Array;
}

export function peersOf(cluster: SimulatedCluster): Peers {
  const { pairs } = cluster.traffic;
  const count = cluster.workloads.length;
  const start = new Int32Array(count + 1);
  for (const { a, b } of pairs) {
    start[a + 1]!++;
    start[b + 1]!++;
  }
  for (let w = 0; w < count; w++) start[w + 1]! += start[w]!;
  const next = start.slice();
  const peer = new Int32Array(2 * pairs.length);
  const weight = new Float64Array(2 * pairs.length);
  const total = new Float64Array(count);
  const add = (w: number, other: number, traffic: number): void => {
    const at = next[w]!++;
    peer[at] = other;
    weight[at] = traffic;
    total[w]! += traffic;
  };
  // Pairs are in order of a, then b: for each workload first the peers below it, then those above.
  for (const pair of pairs) add(pair.b, pair.a, pair.weight);
  for (const pair of pairs) add(pair.a, pair.b, pair.weight);
  return { start, peer, weight, total };
}
