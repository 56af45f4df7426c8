import type { PlacementProblem } from '../placement/problem.ts';
import { Choices } from './choices.ts';
import { rowsByNode, type NodeRows } from './node-rows.ts';
import type { ReplicaCounts } from './placement-plan.ts';
import type { Random } from './random.ts';
import { roomOf } from './room.ts';
import type { Traffic } from './traffic.ts';

export interface ZoneExchangeOptions {
  /** Pairs of nodes tried. */
  readonly iterations: number;
  /** Most replicas of a workload in one zone. What nodes' contents do not allow to be kept is kept to as far as they do. */
  readonly zoneCap: Int32Array;
  readonly random: Random;
}

/**
 * Brings peers into one zone by exchanging all that stands on two nodes of different zones, wherever each has room for
 * what the other holds: annealing of the zone-local share, to which the node-local share is indifferent. Replicas beyond
 * the zone's cap weigh more than all traffic.
 * @returns for every node where its content goes
 */
export function exchangeZones(
  problem: PlacementProblem,
  traffic: Traffic,
  counts: ReplicaCounts,
  { iterations, zoneCap, random }: ZoneExchangeOptions,
): Int32Array {
  const nodeCount = problem.nodeCount;
  const nodeOf = Int32Array.from({ length: nodeCount }, (_, n) => n);
  const zoneCount = Math.max(0, ...problem.nodeZone) + 1;
  const zoned = Array.from(problem.nodeZone.keys()).filter((n) => problem.nodeZone[n]! >= 0);
  if (zoneCount < 2 || traffic.edgeA.length === 0 || zoned.length < 2) return nodeOf;

  const rows = rowsByNode(nodeCount, counts);
  const zones = new ZoneCounts(problem, traffic, rows, zoneCount, zoneCap);
  const used = usedRoom(problem, rows);
  const { nodeCpu, nodeMemory, nodePods } = roomOf(problem);
  const choices = new Choices(problem);
  const isAllowed = (node: number, content: number): boolean => {
    if (choices.nodeKind[node] === choices.nodeKind[content]) return true;
    for (let i = rows.start[content]!; i < rows.start[content + 1]!; i++) {
      if (!choices.has(rows.workload[i]!, node)) return false;
    }
    return true;
  };
  const link = problem.links?.nodeLink;
  const holds = (node: number, content: number): boolean =>
    used.cpu[content]! <= nodeCpu[node]! &&
    used.memory[content]! <= nodeMemory[node]! &&
    used.pods[content]! <= nodePods[node]! &&
    link?.[node] === link?.[content] &&
    isAllowed(node, content);
  const contentOf = nodeOf.slice();

  const hot = 2 / nodeCount;
  const cooling = (1 / 500) ** (1 / Math.max(1, iterations));
  let temperature = hot;
  for (let i = 0; i < iterations; i++, temperature *= cooling) {
    const m = zoned[random.below(zoned.length)]!;
    const n = zoned[random.below(zoned.length)]!;
    const [from, to] = [problem.nodeZone[m]!, problem.nodeZone[n]!];
    if (from === to) continue;
    const [a, b] = [contentOf[m]!, contentOf[n]!];
    if (!holds(n, a) || !holds(m, b)) continue;
    const least = temperature * Math.log(random.unit() + 1e-12);
    const delta = zones.move(a, from, to) + zones.move(b, to, from);
    if (delta < least) {
      zones.shift(b, from, to);
      zones.shift(a, to, from);
      continue;
    }
    contentOf[m] = b;
    contentOf[n] = a;
  }
  for (let n = 0; n < nodeCount; n++) nodeOf[contentOf[n]!] = n;
  return nodeOf;
}

/** Replicas per workload and zone. */
class ZoneCounts {
  readonly #counts: Int32Array;
  readonly #zoneCount: number;
  readonly #rows: NodeRows;
  readonly #traffic: Traffic;
  readonly #inverse: Float64Array;
  readonly #cap: Int32Array;

  constructor(problem: PlacementProblem, traffic: Traffic, rows: NodeRows, zoneCount: number, cap: Int32Array) {
    this.#cap = cap;
    this.#zoneCount = zoneCount;
    this.#rows = rows;
    this.#traffic = traffic;
    this.#inverse = Float64Array.from(problem.replicas, (count) => (count > 0 ? 1 / count : 0));
    this.#counts = new Int32Array(problem.workloadCount * zoneCount);
    for (let n = 0; n < problem.nodeCount; n++) if (problem.nodeZone[n]! >= 0) this.#add(n, problem.nodeZone[n]!, 1);
  }

  /**
   * Moves what stands on a node from one zone to another.
   * @returns what that changes of the zone-local share, less the replicas that come to be beyond the cap
   */
  move(content: number, from: number, to: number): number {
    const { start, workload, count } = this.#rows;
    let delta = 0;
    for (let i = start[content]!; i < start[content + 1]!; i++) {
      const w = workload[i]!;
      const k = count[i]!;
      const [x, y] = [w * this.#zoneCount + from, w * this.#zoneCount + to];
      const before = this.#excess(w, x) + this.#excess(w, y);
      delta -= this.#between(w, from, this.#counts[x]! - k, this.#counts[x]!);
      this.#counts[x]! -= k;
      delta += this.#between(w, to, this.#counts[y]!, this.#counts[y]! + k);
      this.#counts[y]! += k;
      delta -= this.#excess(w, x) + this.#excess(w, y) - before;
    }
    return delta;
  }

  /** The same without the sum. */
  shift(content: number, from: number, to: number): void {
    this.#add(content, from, -1);
    this.#add(content, to, 1);
  }

  #excess(w: number, at: number): number {
    return Math.max(0, this.#counts[at]! - this.#cap[w]!);
  }

  #add(content: number, zone: number, sign: number): void {
    const { start, workload, count } = this.#rows;
    for (let i = start[content]!; i < start[content + 1]!; i++) {
      this.#counts[workload[i]! * this.#zoneCount + zone]! += sign * count[i]!;
    }
  }

  #between(w: number, zone: number, low: number, high: number): number {
    const { start, peer, weight } = this.#traffic;
    const from = low * this.#inverse[w]!;
    const most = (high - low) * this.#inverse[w]!;
    let sum = 0;
    for (let e = start[w]!; e < start[w + 1]!; e++) {
      const b = peer[e]!;
      const more = this.#counts[b * this.#zoneCount + zone]! * this.#inverse[b]! - from;
      if (more > 0) sum += weight[e]! * Math.min(more, most);
    }
    return sum;
  }
}

function usedRoom(
  problem: PlacementProblem,
  rows: NodeRows,
): { cpu: Float64Array; memory: Float64Array; pods: Int32Array } {
  const { cpu, memory } = roomOf(problem);
  const used = {
    cpu: new Float64Array(problem.nodeCount),
    memory: new Float64Array(problem.nodeCount),
    pods: new Int32Array(problem.nodeCount),
  };
  for (let n = 0; n < problem.nodeCount; n++) {
    for (let i = rows.start[n]!; i < rows.start[n + 1]!; i++) {
      used.cpu[n]! += rows.count[i]! * cpu[rows.workload[i]!]!;
      used.memory[n]! += rows.count[i]! * memory[rows.workload[i]!]!;
      used.pods[n]! += rows.count[i]!;
    }
  }
  return used;
}
