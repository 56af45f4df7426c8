import { shuffle } from '../../lib/shuffle.ts';
import { AliasTable } from '../../scheduler/plan/alias-table.ts';
import { Random } from '../../scheduler/plan/random.ts';
import type { PlacementProblem } from '../../scheduler/placement/problem.ts';

const HOT = 4e-3;
const COLD = 8e-6;

/** Utilisation of a link up to which nothing is lost, and what a byte beyond that costs in bytes that stay on their node. */
const MOST_LINK_USE = 0.8;
const OVERLOAD = 10;

/**
 * The solver of placement-study.md §3 as it stands there, for comparison: greedy start in random order, 58 % single
 * pods to a node of a peer (sending up to 4 others away at random), 39 % bundles of matched shares, 3 % ruin and
 * recreate; edges by w^0.5 + 0.002, geometric cooling. Dense counts, pods one by one. It keeps to the nodes where a
 * workload may stand, and pays for overloaded links; workloads without traffic are no part of it.
 */
export class StudyAnnealing {
  readonly #problem: PlacementProblem;
  readonly #random: Random;
  readonly #edges: AliasTable;
  readonly #workloads: number;
  readonly #counts: Uint16Array;
  readonly #start: Int32Array;
  readonly #peer: Int32Array;
  readonly #weight: Float64Array;
  readonly #podStart: Int32Array;
  readonly #podWorkload: Int32Array;
  readonly #podNode: Int32Array;
  readonly #podSlot: Int32Array;
  readonly #onNode: number[][];
  readonly #cpu: Float64Array;
  readonly #memory: Float64Array;
  readonly #pods: Int32Array;
  /** By node, shares of all traffic: what may still be sent and received. */
  readonly #freeTx: Float64Array | undefined;
  readonly #freeRx: Float64Array | undefined;
  readonly #total: number;
  readonly #journal: number[] = [];

  constructor(problem: PlacementProblem, seed: number) {
    const { nodeCount, workloadCount, replicas, edgeA, edgeB, edgeWeight } = problem;
    this.#problem = problem;
    this.#random = new Random(seed, 99);
    this.#workloads = workloadCount;
    let total = 0;
    for (const weight of edgeWeight) total += weight;
    const weights = edgeWeight.map((weight) => weight / total);
    this.#edges = new AliasTable(weights.map((weight) => weight ** 0.5 + 0.002));
    this.#counts = new Uint16Array(nodeCount * workloadCount);
    this.#start = new Int32Array(workloadCount + 1);
    for (const ends of [edgeA, edgeB]) for (const w of ends) this.#start[w + 1]!++;
    for (let w = 0; w < workloadCount; w++) this.#start[w + 1]! += this.#start[w]!;
    const at = this.#start.slice();
    this.#peer = new Int32Array(2 * edgeA.length);
    this.#weight = new Float64Array(2 * edgeA.length);
    for (let e = 0; e < edgeA.length; e++) {
      for (const [a, b] of [
        [edgeA[e]!, edgeB[e]!],
        [edgeB[e]!, edgeA[e]!],
      ] as const) {
        this.#peer[at[a]!] = b;
        this.#weight[at[a]!++] = weights[e]!;
      }
    }
    const talks = (w: number): boolean => this.#start[w] !== this.#start[w + 1];
    this.#podStart = new Int32Array(workloadCount + 1);
    for (let w = 0; w < workloadCount; w++) this.#podStart[w + 1] = this.#podStart[w]! + (talks(w) ? replicas[w]! : 0);
    const podCount = this.#podStart[workloadCount]!;
    this.#podWorkload = new Int32Array(podCount);
    for (let w = 0; w < workloadCount; w++) this.#podWorkload.fill(w, this.#podStart[w], this.#podStart[w + 1]);
    this.#podNode = new Int32Array(podCount).fill(-1);
    this.#podSlot = new Int32Array(podCount);
    this.#onNode = Array.from({ length: nodeCount }, () => []);
    this.#cpu = problem.nodeMilliCpu.slice();
    this.#memory = problem.nodeMemoryBytes.slice();
    this.#pods = problem.nodePods.slice();
    this.#total = total;
    const { links } = problem;
    const free = (used: Float64Array | undefined): Float64Array | undefined =>
      used?.map((bytes, n) => (MOST_LINK_USE * links!.nodeLink[n]! - bytes) / total);
    this.#freeTx = free(links?.nodeTx);
    this.#freeRx = free(links?.nodeRx);
    this.#greedy();
  }

  /** @returns local share, 0..1 */
  run(iterations: number): number {
    const cooling = (COLD / HOT) ** (1 / iterations);
    let temperature = HOT;
    for (let i = 0; i < iterations; i++, temperature *= cooling) {
      const least = temperature * Math.log(this.#random.unit() + Number.MIN_VALUE);
      const edge = this.#edges.draw(this.#random);
      const kind = this.#random.unit();
      this.#journal.length = 0;
      const delta = kind < 0.58 ? this.#single(edge) : kind < 0.97 ? this.#bundle(edge) : this.#ruin(edge);
      if (!(delta >= least)) this.#takeBack();
    }
    return this.share();
  }

  share(): number {
    const { edgeA, edgeB, edgeWeight, replicas, nodeCount } = this.#problem;
    let local = 0;
    let total = 0;
    for (let e = 0; e < edgeA.length; e++) {
      total += edgeWeight[e]!;
      for (let n = 0; n < nodeCount; n++) {
        const a = this.#counts[n * this.#workloads + edgeA[e]!]! / replicas[edgeA[e]!]!;
        if (a === 0) continue;
        local += edgeWeight[e]! * Math.min(a, this.#counts[n * this.#workloads + edgeB[e]!]! / replicas[edgeB[e]!]!);
      }
    }
    return local / total;
  }

  #greedy(): void {
    const order = Array.from(this.#podNode.keys());
    shuffle(order, this.#random);
    for (const p of order) this.#put(p, this.#best(this.#podWorkload[p]!));
  }

  /** Of the nodes with room the one that gains most; all alike: a random one. */
  #best(w: number): number {
    let best = -1;
    let most = -1;
    for (let n = 0; n < this.#problem.nodeCount; n++) {
      if (!this.#fits(w, n)) continue;
      const gain = this.#marginal(w, n, this.#counts[n * this.#workloads + w]!) * (0.9 + 0.2 * this.#random.unit());
      const value = gain + 1e-12 * this.#random.unit();
      if (value <= most) continue;
      most = value;
      best = n;
    }
    return best;
  }

  #single(edge: number): number {
    const [a, b] = this.#ends(edge);
    const n = this.#podNode[this.#podOf(b)]!;
    const p = this.#podOf(a);
    if (n < 0 || n === this.#podNode[p] || this.#counts[n * this.#workloads + a]! >= this.#problem.cap[a]!) return NaN;
    if (!this.#mayStand(a, n)) return NaN;
    return this.#move(p, n, a, b);
  }

  #bundle(edge: number): number {
    const { replicas, cap, nodeCount } = this.#problem;
    const [a, b] = this.#ends(edge);
    const n = this.#random.unit() < 0.5 ? this.#podNode[this.#podOf(b)]! : this.#random.below(nodeCount);
    if (n < 0 || !this.#mayStand(a, n) || !this.#mayStand(b, n)) return NaN;
    const share = this.#random.unit();
    let delta = 0;
    for (const w of [b, a]) {
      const wanted = Math.min(cap[w]!, Math.max(1, Math.round(share * replicas[w]!)));
      for (let k = wanted - this.#counts[n * this.#workloads + w]!; k > 0; k--) {
        let p = this.#podOf(w);
        for (let tries = 0; this.#podNode[p] === n && tries < 8; tries++) p = this.#podOf(w);
        if (this.#podNode[p] === n) break;
        delta += this.#move(p, n, a, b);
        if (!(delta === delta) || this.#journal.length > 200) return NaN;
      }
    }
    return delta;
  }

  #ruin(edge: number): number {
    const [a, b] = this.#ends(edge);
    const pods = [a, b].flatMap((w) => range(this.#podStart[w]!, this.#podStart[w + 1]!));
    if (pods.length > 60) return NaN;
    let delta = 0;
    for (const p of pods) delta += this.#put(p, -1);
    for (const p of pods) {
      const n = this.#best(this.#podWorkload[p]!);
      if (n < 0) return NaN;
      delta += this.#put(p, n);
    }
    return delta;
  }

  /** Sends up to 4 others away at random where there is no room. */
  #move(p: number, n: number, a: number, b: number): number {
    const w = this.#podWorkload[p]!;
    let delta = 0;
    for (let sent = 0; !this.#fits(w, n); sent++) {
      const others = this.#onNode[n]!;
      if (sent === 4 || others.length === 0) return NaN;
      const q = others[this.#random.below(others.length)]!;
      const v = this.#podWorkload[q]!;
      if (v === a || v === b) return NaN;
      let to = -1;
      for (let tries = 0; tries < 8 && to < 0; tries++) {
        const candidate = this.#random.below(this.#problem.nodeCount);
        if (candidate !== n && this.#fits(v, candidate)) to = candidate;
      }
      if (to < 0) return NaN;
      delta += this.#put(q, to);
    }
    return delta + this.#put(p, n);
  }

  #fits(w: number, n: number): boolean {
    const { milliCpu, memoryBytes, cap } = this.#problem;
    return (
      this.#mayStand(w, n) &&
      this.#pods[n]! > 0 &&
      milliCpu[w]! <= this.#cpu[n]! &&
      memoryBytes[w]! <= this.#memory[n]! &&
      this.#counts[n * this.#workloads + w]! < cap[w]!
    );
  }

  #marginal(w: number, n: number, placed: number): number {
    const { replicas } = this.#problem;
    const step = 1 / replicas[w]!;
    const from = placed * step;
    let sum = 0;
    for (let e = this.#start[w]!; e < this.#start[w + 1]!; e++) {
      const x = this.#counts[n * this.#workloads + this.#peer[e]!]!;
      if (x === 0) continue;
      const more = x / replicas[this.#peer[e]!]! - from;
      if (more > 0) sum += this.#weight[e]! * Math.min(more, step);
    }
    return sum;
  }

  #put(p: number, to: number): number {
    const { milliCpu, memoryBytes } = this.#problem;
    const w = this.#podWorkload[p]!;
    const from = this.#podNode[p]!;
    this.#journal.push(p, from);
    let delta = 0;
    if (from >= 0) {
      const list = this.#onNode[from]!;
      const last = list.pop()!;
      if (last !== p) {
        list[this.#podSlot[p]!] = last;
        this.#podSlot[last] = this.#podSlot[p]!;
      }
      this.#cpu[from]! += milliCpu[w]!;
      this.#memory[from]! += memoryBytes[w]!;
      this.#pods[from]!++;
      const lost = this.#marginal(w, from, --this.#counts[from * this.#workloads + w]!);
      delta -= lost + this.#fillLink(w, from, -1, -lost);
    }
    this.#podNode[p] = to;
    if (to < 0) return delta;
    this.#podSlot[p] = this.#onNode[to]!.push(p) - 1;
    this.#cpu[to]! -= milliCpu[w]!;
    this.#memory[to]! -= memoryBytes[w]!;
    this.#pods[to]!--;
    const gained = this.#marginal(w, to, this.#counts[to * this.#workloads + w]!++);
    return delta + gained - this.#fillLink(w, to, 1, gained);
  }

  /** @returns what that costs */
  #fillLink(w: number, n: number, sign: 1 | -1, local: number): number {
    const [freeTx, freeRx] = [this.#freeTx, this.#freeRx];
    if (freeTx === undefined || freeRx === undefined) return 0;
    const { tx, rx } = this.#problem.links!;
    const before = Math.max(0, -freeTx[n]!, -freeRx[n]!);
    freeTx[n]! += local - (sign * tx[w]!) / this.#total;
    freeRx[n]! += local - (sign * rx[w]!) / this.#total;
    return OVERLOAD * (Math.max(0, -freeTx[n]!, -freeRx[n]!) - before);
  }

  #mayStand(w: number, n: number): boolean {
    const { choices } = this.#problem;
    const choice = choices?.of[w] ?? -1;
    return choice < 0 || choices!.allowed[choice]![n] === 1;
  }

  #takeBack(): void {
    const done = this.#journal.splice(0);
    for (let i = done.length - 2; i >= 0; i -= 2) this.#put(done[i]!, done[i + 1]!);
    this.#journal.length = 0;
  }

  #ends(edge: number): readonly [number, number] {
    const { edgeA, edgeB } = this.#problem;
    const ends = [edgeA[edge]!, edgeB[edge]!] as const;
    return (this.#random.bits() & 1) === 0 ? ends : [ends[1], ends[0]];
  }

  #podOf(w: number): number {
    return this.#podStart[w]! + this.#random.below(this.#podStart[w + 1]! - this.#podStart[w]!);
  }
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}
