import type { PlanState } from './state.ts';

/**
 * The traffic that one matched replica is worth, as a share of all: w / max(R_a, R_b). Exceeded by the edges that carry
 * `share` of the traffic. A temperature of that size lets moves over such edges be undone at times and freezes larger ones.
 */
export function worthOfReplica({ traffic, replicas }: PlanState, share: number): number {
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
