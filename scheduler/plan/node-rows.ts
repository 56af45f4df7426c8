import type { ReplicaCounts } from './placement-plan.ts';

/** The same matrix by node: entries start[n] .. start[n+1]-1, workloads ascending. */
export interface NodeRows {
  readonly start: Int32Array;
  readonly workload: Int32Array;
  readonly count: Int32Array;
}

export function rowsByNode(nodeCount: number, { targetStart, targetNode, targetCount }: ReplicaCounts): NodeRows {
  const start = new Int32Array(nodeCount + 1);
  for (const n of targetNode) start[n + 1]!++;
  for (let n = 0; n < nodeCount; n++) start[n + 1]! += start[n]!;
  const at = start.slice();
  const workload = new Int32Array(targetNode.length);
  const count = new Int32Array(targetNode.length);
  for (let w = 0; w + 1 < targetStart.length; w++) {
    for (let i = targetStart[w]!; i < targetStart[w + 1]!; i++) {
      const to = at[targetNode[i]!]!++;
      workload[to] = w;
      count[to] = targetCount[i]!;
    }
  }
  return { start, workload, count };
}

/** sum over workloads of min(counts of row n, counts of row m). */
export function overlapOf(rows: NodeRows, n: number, others: NodeRows, m: number): number {
  let i = rows.start[n]!;
  let j = others.start[m]!;
  let sum = 0;
  while (i < rows.start[n + 1]! && j < others.start[m + 1]!) {
    const difference = rows.workload[i]! - others.workload[j]!;
    if (difference === 0) sum += Math.min(rows.count[i]!, others.count[j]!);
    if (difference <= 0) i++;
    if (difference >= 0) j++;
  }
  return sum;
}
