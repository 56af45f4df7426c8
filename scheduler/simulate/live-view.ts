import { forgetDomains } from '../placement/domain-counts.ts';
import { addedLinkUse } from '../placement/link-use.ts';
import type { Scarcities, Scarcity } from '../placement/scarcity.ts';
import { moveReserved, reservedRoom } from '../placement/target.ts';
import { LiveClaims, type Room } from './live-claims.ts';
import type { PlacementTarget, PlacementView } from '../placement/view.ts';

/** A plan's target without what follows from it. */
export type TargetColumns = Pick<PlacementTarget, 'version' | 'start' | 'node' | 'count'>;

/** Columns that change with every pod. */
const CHANGING = [
  'placedEnd',
  'placedNode',
  'placedCount',
  'toCome',
  'freeMilliCpu',
  'freeMemoryBytes',
  'freePods',
  'nodeTx',
  'nodeRx',
] as const;

/**
 * A view whose placed replicas change in place, so that a pod costs what its workload's row costs and not what the
 * cluster does. A row has room for every node that it can come to; what is not used lies behind placedEnd.
 */
export class LiveView {
  readonly view: PlacementView;
  readonly #scarcities: Scarcities;
  readonly #claims: LiveClaims;
  readonly #first: Pick<PlacementView, (typeof CHANGING)[number]>;

  /** @param base keeps as it is; rows get room for view.replicas more entries, at most one for each node */
  constructor(base: PlacementView, target?: TargetColumns) {
    const placed = roomyRows(base);
    const { toCome, freeMilliCpu, freeMemoryBytes, freePods, nodeTx, nodeRx } = base;
    this.#first = { ...placed, toCome, freeMilliCpu, freeMemoryBytes, freePods, nodeTx, nodeRx };
    const view = {
      ...base,
      placedStart: placed.placedStart,
      placedEnd: placed.placedEnd.slice(),
      placedNode: placed.placedNode.slice(),
      placedCount: placed.placedCount.slice(),
      toCome: toCome.slice(),
      freeMilliCpu: freeMilliCpu.slice(),
      freeMemoryBytes: freeMemoryBytes.slice(),
      freePods: freePods.slice(),
      nodeTx: nodeTx.slice(),
      nodeRx: nodeRx.slice(),
    };
    this.#scarcities = base.scarcities;
    this.#claims = new LiveClaims(view, base.claims.maxReplicaShare);
    this.view = {
      ...view,
      scarcities: copyOf(base.scarcities),
      claims: this.#claims.claims,
      target: target === undefined ? undefined : { ...target, ...reservedRoom(view, target) },
    };
  }

  /** The view with what follows from many columns brought up to date: whoever scores with it asks for it here. */
  forScoring(): PlacementView {
    this.#claims.refresh();
    return this.view;
  }

  /** Back to what the base had. */
  reset(): void {
    const { view } = this;
    for (const column of CHANGING) view[column].set(this.#first[column]);
    Object.assign(view.scarcities.milliCpu, this.#scarcities.milliCpu);
    Object.assign(view.scarcities.memoryBytes, this.#scarcities.memoryBytes);
    for (let w = 0; w < view.workloadCount; w++) forgetDomains(view, w);
    this.#claims.reset();
    if (view.target === undefined) return;
    const { reservedMilliCpu, reservedMemoryBytes, reservedPods } = reservedRoom(view, view.target);
    view.target.reservedMilliCpu.set(reservedMilliCpu);
    view.target.reservedMemoryBytes.set(reservedMemoryBytes);
    view.target.reservedPods.set(reservedPods);
  }

  place(workload: number, node: number): void {
    this.#fillLink(workload, node, 1);
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
    this.#moved(workload, node, placedCount[at]! - 1, placedCount[at]!);
  }

  remove(workload: number, node: number): void {
    const { placedEnd, placedNode, placedCount } = this.view;
    const end = placedEnd[workload]!;
    const at = this.#find(workload, node);
    if (at >= end || placedNode[at] !== node) {
      throw new RangeError(`workload ${String(workload)} has no replica on node ${String(node)}`);
    }
    const after = --placedCount[at]!;
    if (after === 0) {
      placedNode.copyWithin(at, at + 1, end);
      placedCount.copyWithin(at, at + 1, end);
      placedEnd[workload] = end - 1;
    }
    this.#moved(workload, node, after + 1, after);
    this.#fillLink(workload, node, -1);
  }

  /** What is left of a node; of what it does not say, nothing is known. */
  setRoom(node: number, milliCpu: number, memoryBytes: number, pods: number): void {
    const { freeMilliCpu, freeMemoryBytes, freePods, scarcities } = this.view;
    const before = this.#roomOn(node);
    setFree(freeMilliCpu, node, milliCpu, scarcities.milliCpu);
    setFree(freeMemoryBytes, node, memoryBytes, scarcities.memoryBytes);
    if (freePods[node] !== Infinity) freePods[node] = Math.max(0, pods);
    this.#claims.roomChanged(node, before, this.#roomOn(node));
  }

  #roomOn(node: number): Room {
    const { freeMilliCpu, freeMemoryBytes, freePods } = this.view;
    return { milliCpu: freeMilliCpu[node]!, memoryBytes: freeMemoryBytes[node]!, pods: freePods[node]! };
  }

  /** While the replica that comes or went is not among those placed. */
  #fillLink(workload: number, node: number, sign: 1 | -1): void {
    const { view } = this;
    if (!view.hasLinks) return;
    const { tx, rx } = addedLinkUse(view, workload, node);
    view.nodeTx[node] = Math.max(0, view.nodeTx[node]! + sign * tx);
    view.nodeRx[node] = Math.max(0, view.nodeRx[node]! + sign * rx);
  }

  #moved(workload: number, node: number, before: number, after: number): void {
    const { toCome, milliCpu, memoryBytes, scarcities } = this.view;
    toCome[workload]! += before - after;
    scarcities.milliCpu.toCome += (before - after) * milliCpu[workload]!;
    scarcities.memoryBytes.toCome += (before - after) * memoryBytes[workload]!;
    moveReserved(this.view, workload, node, before, after);
    forgetDomains(this.view, workload);
    this.#claims.moved(workload);
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

function copyOf({ milliCpu, memoryBytes }: Scarcities): Scarcities {
  return { milliCpu: { ...milliCpu }, memoryBytes: { ...memoryBytes } };
}

/** Of what a node does not say, nothing is known. */
function setFree(free: Float64Array, node: number, amount: number, scarcity: Scarcity): void {
  if (free[node] === Infinity) return;
  const left = Math.max(0, amount);
  scarcity.free += left - free[node]!;
  free[node] = left;
}

type PlacedColumns = Pick<PlacementView, 'placedStart' | 'placedEnd' | 'placedNode' | 'placedCount'>;

/** The placed replicas of a view, each row with room for what can still come. */
function roomyRows(base: PlacementView): PlacedColumns {
  const { workloadCount, nodeCount } = base;
  const placedStart = new Int32Array(workloadCount);
  const placedEnd = new Int32Array(workloadCount);
  let size = 0;
  for (let w = 0; w < workloadCount; w++) {
    const placed = base.placedEnd[w]! - base.placedStart[w]!;
    placedStart[w] = size;
    placedEnd[w] = size + placed;
    size += Math.min(nodeCount, placed + base.replicas[w]!);
  }
  const placedNode = new Int32Array(size);
  const placedCount = new Int32Array(size);
  for (let w = 0; w < workloadCount; w++) {
    placedNode.set(base.placedNode.subarray(base.placedStart[w], base.placedEnd[w]), placedStart[w]);
    placedCount.set(base.placedCount.subarray(base.placedStart[w], base.placedEnd[w]), placedStart[w]);
  }
  return { placedStart, placedEnd, placedNode, placedCount };
}
