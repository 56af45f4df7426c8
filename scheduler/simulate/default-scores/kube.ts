import type { SimulatedCluster } from '../cluster.ts';
import type { Moment } from '../moment.ts';
import type { DefaultScores } from './default-scores.ts';

/** pkg/scheduler/apis/config/v1/default_plugins.go */
const WEIGHTS = { fit: 1, balanced: 1, spread: 2, taints: 3 } as const;
/** podtopologyspread's systemDefaultConstraints: what stands behind a count in a host, in a zone. */
const HOST_SKEW = 3;
const ZONE_SKEW = 5;

/**
 * kube-scheduler 1.37 with its default profile, in its own integer arithmetic: NodeResourcesFit (LeastAllocated, with
 * 100m and 200Mi for containers that ask for nothing), NodeResourcesBalancedAllocation (how much the pod improves the
 * balance; 1.35 scored the balance itself), PodTopologySpread with the system's default constraints, TaintToleration.
 * Every feasible node is scored. Not modelled: preferred node affinity, affinity between pods, constraints of the pods'
 * own, image locality, extended resources, volumes. All of these are equal on all nodes where they are
 * not used.
 */
export class KubeScores implements DefaultScores {
  readonly whole = true;
  readonly tieRank: Int32Array;
  readonly #cluster: SimulatedCluster;
  /** What LeastAllocated takes to be requested, by node. */
  readonly #scoredMilliCpu: Float64Array;
  readonly #scoredMemoryBytes: Float64Array;
  /** Matching pods by group: node -> count, and zone + 1 -> count (0: nodes without a zone). */
  readonly #byNode: Map<number, number>[];
  readonly #byZone: Int32Array[];
  readonly #here: Int32Array;
  readonly #spread: Float64Array;
  readonly #zones: number;
  readonly #zoneSeen: Uint32Array;
  #round = 0;

  constructor(cluster: SimulatedCluster) {
    const { nodeCount, nodeZone } = cluster.problem;
    this.#cluster = cluster;
    this.#scoredMilliCpu = new Float64Array(nodeCount);
    this.#scoredMemoryBytes = new Float64Array(nodeCount);
    this.#zones = nodeZone.reduce((most, zone) => Math.max(most, zone + 1), 0) + 1;
    this.#byNode = Array.from({ length: cluster.spread.count }, () => new Map<number, number>());
    this.#byZone = Array.from({ length: cluster.spread.count }, () => new Int32Array(this.#zones));
    this.#here = new Int32Array(nodeCount);
    this.#spread = new Float64Array(nodeCount);
    this.#zoneSeen = new Uint32Array(this.#zones);
    this.tieRank = listOrder(nodeZone);
  }

  reset(): void {
    const { fixedScored, spread } = this.#cluster;
    this.#scoredMilliCpu.set(fixedScored.milliCpu);
    this.#scoredMemoryBytes.set(fixedScored.memoryBytes);
    for (const map of this.#byNode) map.clear();
    for (const zone of this.#byZone) zone.fill(0);
    for (const { group, node } of spread.fixed) this.#count(group, node, 1);
  }

  changed(_moment: Moment, pod: number, node: number, sign: 1 | -1): void {
    const { pods, spread } = this.#cluster;
    this.#scoredMilliCpu[node]! += sign * pods.scoredMilliCpu[pod]!;
    this.#scoredMemoryBytes[node]! += sign * pods.scoredMemoryBytes[pod]!;
    for (const group of spread.memberships[pod]!) this.#count(group, node, sign);
  }

  score(moment: Moment, totals: Float64Array): void {
    const { cluster, pod, candidates, candidateCount, freeMilliCpu, freeMemoryBytes } = moment;
    const { pods, allocatableMilliCpu, allocatableMemoryBytes } = cluster;
    const milliCpu = pods.milliCpu[pod]!;
    const memoryBytes = pods.memoryBytes[pod]!;
    const scoredMilliCpu = pods.scoredMilliCpu[pod]!;
    const scoredMemoryBytes = pods.scoredMemoryBytes[pod]!;
    const bestEffort = milliCpu === 0 && memoryBytes === 0;
    for (let c = 0; c < candidateCount; c++) {
      const n = candidates[c]!;
      const cpu = allocatableMilliCpu[n]!;
      const memory = allocatableMemoryBytes[n]!;
      const fit = leastAllocated(
        this.#scoredMilliCpu[n]! + scoredMilliCpu,
        cpu,
        this.#scoredMemoryBytes[n]! + scoredMemoryBytes,
        memory,
      );
      // PreScore skips pods without requests.
      const balanced = bestEffort
        ? 0
        : balancedAllocation(cpu - freeMilliCpu[n]!, milliCpu, cpu, memory - freeMemoryBytes[n]!, memoryBytes, memory);
      totals[c] = WEIGHTS.fit * fit + WEIGHTS.balanced * balanced;
    }
    const group = cluster.spread.of[pod]!;
    if (group >= 0) this.#addSpread(moment, group, totals);
    const avoided = cluster.nodeClasses.avoided[cluster.nodeClasses.of[pod]!];
    if (avoided !== undefined) takeForTaints(moment, avoided, totals);
  }

  #addSpread(moment: Moment, group: number, totals: Float64Array): void {
    const { candidates, candidateCount, cluster } = moment;
    const { nodeZone } = cluster.problem;
    const byNode = this.#byNode[group]!;
    const byZone = this.#byZone[group]!;
    for (const [node, count] of byNode) this.#here[node] = count;
    const hostWeight = Math.log(candidateCount + 2);
    const zoneWeight = Math.log(this.#zonesAmong(candidates, candidateCount) + 2);
    let most = 0;
    let least = Infinity;
    for (let c = 0; c < candidateCount; c++) {
      const n = candidates[c]!;
      let score = this.#here[n]! * hostWeight + (HOST_SKEW - 1);
      if (nodeZone[n]! >= 0) score += byZone[nodeZone[n]! + 1]! * zoneWeight + (ZONE_SKEW - 1);
      score = Math.round(score);
      this.#spread[c] = score;
      if (score > most) most = score;
      if (score < least) least = score;
    }
    for (let c = 0; c < candidateCount; c++) {
      const score = most === 0 ? 100 : Math.floor((100 * (most + least - this.#spread[c]!)) / most);
      totals[c]! += WEIGHTS.spread * score;
    }
    for (const node of byNode.keys()) this.#here[node] = 0;
  }

  /** How many values of the zone label, of which a missing one is one too. */
  #zonesAmong(candidates: Int32Array, count: number): number {
    const { nodeZone } = this.#cluster.problem;
    const round = ++this.#round;
    let zones = 0;
    for (let c = 0; c < count && zones < this.#zones; c++) {
      const zone = nodeZone[candidates[c]!]! + 1;
      if (this.#zoneSeen[zone] === round) continue;
      this.#zoneSeen[zone] = round;
      zones++;
    }
    return zones;
  }

  #count(group: number, node: number, sign: 1 | -1): void {
    const byNode = this.#byNode[group]!;
    const count = (byNode.get(node) ?? 0) + sign;
    if (count === 0) byNode.delete(node);
    else byNode.set(node, count);
    this.#byZone[group]![this.#cluster.problem.nodeZone[node]! + 1]! += sign;
  }
}

/** taint_toleration.go, DefaultNormalizeScore reversed: what nodes have less than the 100 of those without such taints. */
function takeForTaints({ candidates, candidateCount }: Moment, avoided: Uint8Array, totals: Float64Array): void {
  let most = 0;
  for (let c = 0; c < candidateCount; c++) most = Math.max(most, avoided[candidates[c]!]!);
  if (most === 0) return;
  for (let c = 0; c < candidateCount; c++) {
    totals[c]! -= WEIGHTS.taints * Math.floor((100 * avoided[candidates[c]!]!) / most);
  }
}

/** least_allocated.go: the mean over the resources that the node has. */
export function leastAllocated(cpu: number, cpuOf: number, memory: number, memoryOf: number): number {
  if (cpuOf === 0 && memoryOf === 0) return 0;
  if (memoryOf === 0) return free(cpu, cpuOf);
  if (cpuOf === 0) return free(memory, memoryOf);
  return Math.floor((free(cpu, cpuOf) + free(memory, memoryOf)) / 2);
}

function free(requested: number, capacity: number): number {
  return requested > capacity ? 0 : Math.floor(((capacity - requested) * 100) / capacity);
}

/** balanced_allocation.go, balancedResourceScorer. */
export function balancedAllocation(
  usedCpu: number,
  cpu: number,
  cpuOf: number,
  usedMemory: number,
  memory: number,
  memoryOf: number,
): number {
  const after = balance(usedCpu + cpu, cpuOf, usedMemory + memory, memoryOf);
  const before = balance(usedCpu, cpuOf, usedMemory, memoryOf);
  return 50 + Math.trunc((50 + after - before) / 2);
}

function balance(cpu: number, cpuOf: number, memory: number, memoryOf: number): number {
  if (cpuOf === 0 || memoryOf === 0) return 100;
  const deviation = Math.abs((Math.min(1, cpu / cpuOf) - Math.min(1, memory / memoryOf)) / 2);
  return Math.trunc((1 - deviation) * 100);
}

/**
 * kube-scheduler's list of nodes takes one of each zone in turn (backend/cache/node_tree.go): place of each node in
 * it.
 */
function listOrder(nodeZone: Int32Array): Int32Array {
  const zones = new Map<number, number[]>();
  nodeZone.forEach((zone, n) => zones.set(zone, [...(zones.get(zone) ?? []), n]));
  const rank = new Int32Array(nodeZone.length);
  let at = 0;
  for (let i = 0; at < nodeZone.length; i++) {
    for (const nodes of zones.values()) if (i < nodes.length) rank[nodes[i]!] = at++;
  }
  return rank;
}
