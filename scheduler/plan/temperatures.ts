import type { PlanState } from './state.ts';

/** Where cooling ends: at what a replica is worth of the edges that carry this share, at most this part of where it began. */
const COLD = 0.99;
const LEAST_FALL = 20;

/** First and last temperature of an annealing that begins at what a replica is worth of the edges that carry `heat` of the traffic. */
export function coolingFrom(state: PlanState, heat: number): { readonly hot: number; readonly cold: number } {
  const hot = worthOfReplica(state, heat);
  return { hot, cold: Math.min(worthOfReplica(state, COLD), hot / LEAST_FALL) };
}

/**
 * The traffic that one matched replica is worth, as a share of all: w / max(R_a, R_b). Exceeded by the edges that carry
 * `share` of the traffic. A temperature of that size lets moves over such edges be undone at times and freezes larger ones.
 */
function worthOfReplica({ traffic, replicas }: PlanState, share: number): number {
  const { edgeA, edgeB, edgeWeight } = traffic;
  const worth = edgeWeight.map((weight, e) => weight / Math.max(replicas[edgeA[e]!]!, replicas[edgeB[e]!]!));
  const order = Array.from(worth.keys()).sort((a, b) => worth[b]! - worth[a]!);
  let sum = 0;
  for (const e of order) {
    sum += edgeWeight[e]!;
    if (sum >= share) return worth[e]!;
  }
  return worth[order.at(-1) ?? 0] ?? 0;
}
