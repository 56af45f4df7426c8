import { forgetDomains } from '../placement/domain-counts.ts';
import type { PlacementView } from '../placement/view.ts';

/**
 * A view whose placed replicas change in place, so that a pod costs what its workload's row costs and not what the cluster does.
 * A row has room for every node that it can come to; what is not used lies behind placedEnd.
 */
export class LiveView {
  readonly view: PlacementView;
  readonly #firstEnd: Int32Array;
  readonly #firstNode: Int32Array;
  readonly #firstCount: Int32Array;

  /** @param base keeps as it is; rows get room for view.replicas more entries, at most one for each node */
  constructor(base: PlacementView) {
    const { workloadCount, nodeCount } = base;
    const placedStart = new Int32Array(workloadCount);
    const placedEnd = new Int32Array(workloadCount);
    let size = 0;
    for (let w = 0; w < workloadCount; w++) {
      placedStart[w] = size;
      placedEnd[w] = size + base.placedEnd[w]! - base.placedStart[w]!;
      size += Math.min(nodeCount, base.placedEnd[w]! - base.placedStart[w]! + base.replicas[w]!);
    }
    const placedNode = new Int32Array(size);
    const placedCount = new Int32Array(size);
    for (let w = 0; w < workloadCount; w++) {
      placedNode.set(base.placedNode.subarray(base.placedStart[w]!, base.placedEnd[w]!), placedStart[w]!);
      placedCount.set(base.placedCount.subarray(base.placedStart[w]!, base.placedEnd[w]!), placedStart[w]!);
    }
    this.view = { ...base, placedStart, placedEnd, placedNode, placedCount };
    this.#firstEnd = placedEnd.slice();
    this.#firstNode = placedNode.slice();
    this.#firstCount = placedCount.slice();
  }

  /** Back to what the base had. */
  reset(): void {
    const { placedEnd, placedNode, placedCount, workloadCount } = this.view;
    placedEnd.set(this.#firstEnd);
    placedNode.set(this.#firstNode);
    placedCount.set(this.#firstCount);
    for (let w = 0; w < workloadCount; w++) forgetDomains(this.view, w);
  }

  place(workload: number, node: number): void {
    const { placedStart, placedEnd, placedNode, placedCount } = this.view;
    const end = placedEnd[workload]!;
    const at = this.#find(workload, node);
    if (at < end && placedNode[at] === node) placedCount[at]!++;
    else {
      const next = workload + 1 < placedStart.length ? placedStart[workload + 1]! : placedNode.length;
      if (end >= next) throw new RangeError(`workload ${String(workload)} has no room for another node`);
      placedNode.copyWithin(at + 1, at, end);
      placedCount.copyWithin(at + 1, at, end);
      placedNode[at] = node;
      placedCount[at] = 1;
      placedEnd[workload] = end + 1;
    }
    forgetDomains(this.view, workload);
  }

  remove(workload: number, node: number): void {
    const { placedEnd, placedNode, placedCount } = this.view;
    const end = placedEnd[workload]!;
    const at = this.#find(workload, node);
    if (at >= end || placedNode[at] !== node) {
      throw new RangeError(`workload ${String(workload)} has no replica on node ${String(node)}`);
    }
    placedCount[at]!--;
    if (placedCount[at] === 0) {
      placedNode.copyWithin(at, at + 1, end);
      placedCount.copyWithin(at, at + 1, end);
      placedEnd[workload] = end - 1;
    }
    forgetDomains(this.view, workload);
  }

  /** First entry of the row whose node is not below `node`. */
  #find(workload: number, node: number): number {
    const { placedNode } = this.view;
    let low = this.view.placedStart[workload]!;
    let high = this.view.placedEnd[workload]!;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (placedNode[middle]! < node) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
