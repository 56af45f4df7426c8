import type { PlacementTarget, PlacementView } from './view.ts';

/** What of a view says how much room a target still needs; a view under construction has it too. */
export type TargetRoom = Pick<
  PlacementView,
  | 'nodeCount'
  | 'workloadCount'
  | 'placedStart'
  | 'placedEnd'
  | 'placedNode'
  | 'placedCount'
  | 'milliCpu'
  | 'memoryBytes'
>;

/** Wanted replicas of a workload on a node. */
export function targetOn({ start, node, count }: PlacementTarget, workload: number, on: number): number {
  let low = start[workload]!;
  let high = start[workload + 1]!;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (node[middle]! < on) low = middle + 1;
    else high = middle;
  }
  return low < start[workload + 1]! && node[low] === on ? count[low]! : 0;
}

/** The reserved room of a target: requests x max(0, wanted - placed), summed by node. */
export function reservedRoom(
  view: TargetRoom,
  target: Pick<PlacementTarget, 'start' | 'node' | 'count'>,
): Pick<PlacementTarget, 'reservedMilliCpu' | 'reservedMemoryBytes' | 'reservedPods'> {
  const reservedMilliCpu = new Float64Array(view.nodeCount);
  const reservedMemoryBytes = new Float64Array(view.nodeCount);
  const reservedPods = new Float64Array(view.nodeCount);
  for (let w = 0; w < view.workloadCount; w++) {
    let p = view.placedStart[w]!;
    const end = view.placedEnd[w]!;
    for (let t = target.start[w]!; t < target.start[w + 1]!; t++) {
      const node = target.node[t]!;
      while (p < end && view.placedNode[p]! < node) p++;
      const placed = p < end && view.placedNode[p] === node ? view.placedCount[p]! : 0;
      const missing = Math.max(0, target.count[t]! - placed);
      reservedMilliCpu[node]! += missing * view.milliCpu[w]!;
      reservedMemoryBytes[node]! += missing * view.memoryBytes[w]!;
      reservedPods[node]! += missing;
    }
  }
  return { reservedMilliCpu, reservedMemoryBytes, reservedPods };
}

/**
 * Keeps the reserved room of a view up to date whose placed replicas are changed in place (the simulator): a workload's
 * replicas on a node went from `before` to `after`.
 */
export function moveReserved(view: PlacementView, workload: number, node: number, before: number, after: number): void {
  const { target } = view;
  if (target === undefined) return;
  const wanted = targetOn(target, workload, node);
  const less = Math.max(0, wanted - before) - Math.max(0, wanted - after);
  target.reservedMilliCpu[node]! -= less * view.milliCpu[workload]!;
  target.reservedMemoryBytes[node]! -= less * view.memoryBytes[workload]!;
  target.reservedPods[node]! -= less;
}
