import type { PlacementView } from './view.ts';

type PlacedColumns = Pick<PlacementView, 'placedStart' | 'placedEnd' | 'placedNode' | 'placedCount'>;

/** Placed replicas of a workload on a node. */
export function placedOn(
  { placedStart, placedEnd, placedNode, placedCount }: PlacedColumns,
  workload: number,
  node: number,
): number {
  let low = placedStart[workload]!;
  let high = placedEnd[workload]!;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (placedNode[middle]! < node) low = middle + 1;
    else high = middle;
  }
  return low < placedEnd[workload]! && placedNode[low] === node ? placedCount[low]! : 0;
}
