import type { PlacementProblem } from '../placement/problem.ts';
import { Choices } from './choices.ts';
import type { ReplicaCounts } from './placement-plan.ts';
import { ReplicaMatrix, spread } from './replica-matrix.ts';
import type { Random } from './random.ts';
import { roomOf, type Room } from './room.ts';
import type { Traffic } from './traffic.ts';
import type { ZoneRoom } from './zone-room.ts';

/** Utilisation of a link above which a plan takes it for overloaded. */
export const MOST_LINK_USE = 0.75;
/** What a byte beyond that is worth in bytes that stay on their node: more than any that could be had for it. */
export const OVERLOAD = 10;

const CHANGING = ['unplaced', 'freeCpu', 'freeMemory', 'freePods', 'usedTx', 'usedRx'] as const;

/**
 * Where the replicas stand, and what moving some changes. Room may be overdrawn between
 * two moves; isOverdrawn tells.
 */
export class PlanState {
  readonly traffic: Traffic;
  readonly room: Room;
  readonly nodeCount: number;
  readonly choices: Choices;
  readonly matrix: ReplicaMatrix;
  /** spread() of traffic.peer. */
  readonly peerSpread: Int32Array;
  /** Per workload: R, 1/R, the cap, and what a replica asks for. */
  readonly replicas: Int32Array;
  readonly inverse: Float64Array;
  readonly cap: Int32Array;
  readonly cpu: Float64Array;
  readonly memory: Float64Array;
  /** Replicas that stand nowhere. */
  readonly unplaced: Int32Array;
  readonly freeCpu: Float64Array;
  readonly freeMemory: Float64Array;
  readonly freePods: Int32Array;
  /** Whether any link is known; flows are shares of all traffic. */
  readonly hasLinks: boolean;
  /** What a replica sends and receives, wherever its peers are. */
  readonly tx: Float64Array;
  readonly rx: Float64Array;
  /** What of a node's link is for the problem's replicas, and what they send and receive over it. */
  readonly linkTx: Float64Array;
  readonly linkRx: Float64Array;
  readonly usedTx: Float64Array;
  readonly usedRx: Float64Array;
  /** What a byte beyond a link's room costs in bytes that stay on their node. */
  overloadWeight = OVERLOAD;
  /** Where set, moves keep to it. */
  zones: ZoneRoom | undefined;

  constructor(
    problem: PlacementProblem,
    traffic: Traffic,
    room: Room = roomOf(problem),
    choices = new Choices(problem),
  ) {
    this.traffic = traffic;
    this.room = room;
    this.nodeCount = problem.nodeCount;
    this.choices = choices;
    this.replicas = problem.replicas;
    this.matrix = new ReplicaMatrix(problem.nodeCount, problem.replicas);
    this.peerSpread = traffic.peer.map(spread);
    this.inverse = Float64Array.from(problem.replicas, (replicas) => (replicas > 0 ? 1 / replicas : 0));
    this.cap = problem.cap;
    this.cpu = room.cpu;
    this.memory = room.memory;
    this.unplaced = problem.replicas.slice();
    this.freeCpu = room.nodeCpu.slice();
    this.freeMemory = room.nodeMemory.slice();
    this.freePods = room.nodePods.slice();
    const { links } = problem;
    this.hasLinks = links !== undefined && traffic.total > 0;
    const none = new Float64Array(0);
    const share = (of: Float64Array | undefined): Float64Array => of?.map((bytes) => bytes / traffic.total) ?? none;
    const linkRoom = (fixed: Float64Array | undefined): Float64Array =>
      fixed?.map((bytes, n) => (MOST_LINK_USE * links!.nodeLink[n]! - bytes) / traffic.total) ?? none;
    this.tx = share(links?.tx);
    this.rx = share(links?.rx);
    this.linkTx = linkRoom(links?.nodeTx);
    this.linkRx = linkRoom(links?.nodeRx);
    this.usedTx = new Float64Array(this.linkTx.length);
    this.usedRx = new Float64Array(this.linkRx.length);
  }

  /** Takes over where the replicas of another state of the problem stand. */
  copyFrom(other: PlanState): void {
    this.matrix.copyFrom(other.matrix);
    for (const column of CHANGING) this[column].set(other[column]);
    if (other.zones !== undefined) this.zones?.copyFrom(other.zones);
  }

  /** A node that hosts c, each as likely as the others; -1: none does. */
  anyHost(c: number, random: Random): number {
    const { hostStart, hostCount, hosts } = this.matrix;
    const count = hostCount[c]!;
    return count === 0 ? -1 : hosts[hostStart[c]! + random.below(count)]!;
  }

  /** How many replicas of c fit on n besides what stands there, at most `most`. */
  roomFor(c: number, n: number, most: number): number {
    if (!this.choices.has(c, n)) return 0;
    let k = Math.min(most, this.freePods[n]!, this.cap[c]! - this.matrix.get(n, c));
    if (k * this.cpu[c]! > this.freeCpu[n]!) k = Math.floor(this.freeCpu[n]! / this.cpu[c]!);
    if (k * this.memory[c]! > this.freeMemory[n]!) k = Math.floor(this.freeMemory[n]! / this.memory[c]!);
    return k;
  }

  fits(c: number, n: number): boolean {
    return (
      this.choices.has(c, n) &&
      this.freePods[n]! > 0 &&
      this.cpu[c]! <= this.freeCpu[n]! &&
      this.memory[c]! <= this.freeMemory[n]! &&
      this.matrix.get(n, c) < this.cap[c]!
    );
  }

  isOverdrawn(n: number): boolean {
    return this.freePods[n]! < 0 || this.freeCpu[n]! < 0 || this.freeMemory[n]! < 0;
  }

  /** How many replicas of c have to leave n, 1 or more, until it is no longer overdrawn; more than there are if they are too few. */
  overdrawnBy(c: number, n: number): number {
    const cpu = this.cpu[c]! > 0 ? -this.freeCpu[n]! / this.cpu[c]! : 0;
    const memory = this.memory[c]! > 0 ? -this.freeMemory[n]! / this.memory[c]! : 0;
    return Math.max(1, Math.ceil(Math.max(cpu, memory, -this.freePods[n]!)));
  }

  /**
   * Traffic of c that is local on n with `high` replicas there, less that with `low`: sum over peers of
   * w * (min(high/R_c, x_bn/R_b) - min(low/R_c, x_bn/R_b)).
   */
  between(c: number, n: number, low: number, high: number): number {
    const { start, peer, weight } = this.traffic;
    const { inverse, peerSpread } = this;
    const { cells } = this.matrix;
    const base = this.matrix.base[n]!;
    const mask = this.matrix.mask[n]!;
    const from = low * inverse[c]!;
    const most = (high - low) * inverse[c]!;
    const end = start[c + 1]!;
    let sum = 0;
    for (let e = start[c]!; e < end; e++) {
      const b = peer[e]!;
      let i = peerSpread[e]! & mask;
      let key = cells[2 * (base + i)]!;
      // Below 0: an empty cell.
      while (key !== b && key >= 0) {
        i = (i + 1) & mask;
        key = cells[2 * (base + i)]!;
      }
      if (key < 0) continue;
      const more = cells[2 * (base + i) + 1]! * inverse[b]! - from;
      if (more > 0) sum += weight[e]! * (more < most ? more : most);
    }
    return sum;
  }

  /** What one more replica of c on n would gain. */
  gain(c: number, n: number): number {
    const x = this.matrix.get(n, c);
    return this.between(c, n, x, x + 1);
  }

  /** What taking one replica of c from n would lose. */
  loss(c: number, n: number): number {
    const x = this.matrix.get(n, c);
    return this.between(c, n, x - 1, x);
  }

  /**
   * What k replicas more of c on n (below 0: fewer), by which `local` more of the traffic stays there, cost in overloaded
   * links, as a share of all traffic; below 0: they relieve one.
   */
  linkCost(c: number, n: number, k: number, local: number): number {
    if (!this.hasLinks) return 0;
    const tx = this.usedTx[n]! + k * this.tx[c]! - local - this.linkTx[n]!;
    const rx = this.usedRx[n]! + k * this.rx[c]! - local - this.linkRx[n]!;
    return this.overloadWeight * (Math.max(0, tx, rx) - this.overload(n));
  }

  /** What goes over n's link beyond what it should carry. */
  overload(n: number): number {
    return Math.max(0, this.usedTx[n]! - this.linkTx[n]!, this.usedRx[n]! - this.linkRx[n]!);
  }

  overloadCost(n: number): number {
    return this.hasLinks ? this.overloadWeight * this.overload(n) : 0;
  }

  /** @param local what between() says of it */
  put(c: number, n: number, k: number, local?: number): void {
    if (this.hasLinks) {
      const x = this.matrix.get(n, c);
      const more = local ?? this.between(c, n, x, x + k);
      this.usedTx[n]! += k * this.tx[c]! - more;
      this.usedRx[n]! += k * this.rx[c]! - more;
    }
    this.matrix.add(n, c, k);
    this.zones?.add(c, n, k);
    this.freeCpu[n]! -= k * this.cpu[c]!;
    this.freeMemory[n]! -= k * this.memory[c]!;
    this.freePods[n]! -= k;
    this.unplaced[c]! -= k;
  }

  /** All of a matrix, whatever the room. */
  putAll({ targetStart, targetNode, targetCount }: ReplicaCounts): void {
    for (let w = 0; w + 1 < targetStart.length; w++) {
      for (let i = targetStart[w]!; i < targetStart[w + 1]!; i++) this.put(w, targetNode[i]!, targetCount[i]!);
    }
  }

  take(c: number, n: number, k: number, local?: number): void {
    if (this.hasLinks) {
      const x = this.matrix.get(n, c);
      const less = local ?? this.between(c, n, x - k, x);
      this.usedTx[n]! -= k * this.tx[c]! - less;
      this.usedRx[n]! -= k * this.rx[c]! - less;
    }
    this.matrix.remove(n, c, k);
    this.zones?.add(c, n, -k);
    this.freeCpu[n]! += k * this.cpu[c]!;
    this.freeMemory[n]! += k * this.memory[c]!;
    this.freePods[n]! += k;
    this.unplaced[c]! += k;
  }

  /** Whether all that stands on n may stand on m, and the other way round. */
  mayExchange(n: number, m: number): boolean {
    const { choices, matrix } = this;
    if (this.zones?.areAlike(n, m) === false) return false;
    if (choices.nodeKind[n] === choices.nodeKind[m]) return true;
    const isWelcome = (c: number): boolean => choices.has(c, n) && choices.has(c, m);
    return matrix.workloadsOn(n).every(isWelcome) && matrix.workloadsOn(m).every(isWelcome);
  }

  /** All that stands on n goes to m, and the other way round, whatever the room; local shares stay as they are. */
  exchange(n: number, m: number): void {
    this.matrix.exchange(n, m);
    const { freeCpu, freeMemory, freePods, room, usedTx, usedRx } = this;
    const cpu = room.nodeCpu[n]! - freeCpu[n]! - (room.nodeCpu[m]! - freeCpu[m]!);
    freeCpu[n]! += cpu;
    freeCpu[m]! -= cpu;
    const memory = room.nodeMemory[n]! - freeMemory[n]! - (room.nodeMemory[m]! - freeMemory[m]!);
    freeMemory[n]! += memory;
    freeMemory[m]! -= memory;
    const pods = room.nodePods[n]! - freePods[n]! - (room.nodePods[m]! - freePods[m]!);
    freePods[n]! += pods;
    freePods[m]! -= pods;
    if (!this.hasLinks) return;
    for (const used of [usedTx, usedRx]) [used[n], used[m]] = [used[m]!, used[n]!];
  }

  /** What there is to gain more of: the local share less what overloaded links cost. */
  value(): number {
    let overload = 0;
    if (this.hasLinks) for (let n = 0; n < this.nodeCount; n++) overload += this.overload(n);
    return this.localShare() - this.overloadWeight * overload;
  }

  /** Balanced-local share of the traffic between communicating workloads, 0..1, summed anew. */
  localShare(): number {
    const { edgeA, edgeB, edgeWeight } = this.traffic;
    const { hostStart, hostCount, hosts } = this.matrix;
    let sum = 0;
    for (let e = 0; e < edgeA.length; e++) {
      const inOrder = hostCount[edgeA[e]!]! < hostCount[edgeB[e]!]!;
      const a = inOrder ? edgeA[e]! : edgeB[e]!;
      const b = inOrder ? edgeB[e]! : edgeA[e]!;
      let local = 0;
      for (let i = hostStart[a]!; i < hostStart[a]! + hostCount[a]!; i++) {
        const n = hosts[i]!;
        local += Math.min(this.matrix.get(n, a) * this.inverse[a]!, this.matrix.get(n, b) * this.inverse[b]!);
      }
      sum += edgeWeight[e]! * local;
    }
    return sum;
  }
}
