import type { PlacementProblem } from '../placement/problem.ts';
import { Choices } from './choices.ts';

/**
 * The edges that a placement can make local: between two workloads that both have replicas, and a node where both may
 * stand. Weights are shares of all their traffic, so that they sum up to 1.
 */
export interface Traffic {
  /** Of all edges, in the problem's unit. */
  readonly total: number;
  /** Every edge once. */
  readonly edgeA: Int32Array;
  readonly edgeB: Int32Array;
  readonly edgeWeight: Float64Array;
  /** Peers of a workload as a CSR matrix, each edge at both its ends; silent workloads have none. */
  readonly start: Int32Array;
  readonly peer: Int32Array;
  readonly weight: Float64Array;
}

export function trafficOfProblem(problem: PlacementProblem, choices = new Choices(problem)): Traffic {
  const { replicas, workloadCount, ...all } = problem;
  const edges: number[] = [];
  let total = 0;
  for (let e = 0; e < all.edgeA.length; e++) {
    const [a, b, weight] = [all.edgeA[e]!, all.edgeB[e]!, all.edgeWeight[e]!];
    if (a === b || replicas[a]! <= 0 || replicas[b]! <= 0 || !(weight > 0) || weight === Infinity) continue;
    if (!choices.meet(a, b)) continue;
    edges.push(e);
    total += weight;
  }
  const edgeA = Int32Array.from(edges, (e) => all.edgeA[e]!);
  const edgeB = Int32Array.from(edges, (e) => all.edgeB[e]!);
  const edgeWeight = Float64Array.from(edges, (e) => all.edgeWeight[e]! / total);

  const start = new Int32Array(workloadCount + 1);
  for (const ends of [edgeA, edgeB]) for (const w of ends) start[w + 1]!++;
  for (let w = 0; w < workloadCount; w++) start[w + 1]! += start[w]!;
  const at = start.slice();
  const peer = new Int32Array(2 * edges.length);
  const weight = new Float64Array(2 * edges.length);
  for (let e = 0; e < edges.length; e++) {
    const [a, b] = [edgeA[e]!, edgeB[e]!];
    weight[at[a]!] = weight[at[b]!] = edgeWeight[e]!;
    peer[at[a]!++] = b;
    peer[at[b]!++] = a;
  }
  return { total, edgeA, edgeB, edgeWeight, start, peer, weight };
}

export function isSilent({ start }: Traffic, w: number): boolean {
  return start[w] === start[w + 1];
}
