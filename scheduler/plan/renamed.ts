import type { ReplicaCounts } from './placement-plan.ts';

/** The same matrix with what stood on node n on nodeOf[n], a permutation. */
export function renamed({ targetStart, targetNode, targetCount }: ReplicaCounts, nodeOf: Int32Array): ReplicaCounts {
  const nodes = targetNode.map((n) => nodeOf[n]!);
  const counts = new Int32Array(targetCount.length);
  for (let w = 0; w + 1 < targetStart.length; w++) {
    const [from, to] = [targetStart[w]!, targetStart[w + 1]!];
    const order = Array.from({ length: to - from }, (_, i) => from + i).sort((a, b) => nodes[a]! - nodes[b]!);
    for (const [i, entry] of order.entries()) counts[from + i] = targetCount[entry]!;
    nodes.subarray(from, to).sort();
  }
  return { targetStart, targetNode: nodes, targetCount: counts };
}
