/**
 * x_cn, replicas of workload c on node n, of which few are above 0: a small open-addressing table per node, so that the
 * counts of a workload and all its peers on a node lie side by side, and a list of hosts per workload.
 * Keys are spread by an odd factor, which permutes them modulo a power of two: as long as a node's table is no
 * narrower than there are workloads, each has a cell of its own.
 */
export class ReplicaMatrix {
  /** Two words a cell: workload (below 0: none) and count. */
  cells: Int32Array;
  /** A node's table: 2^k cells from base[n] on, mask 2^k - 1. */
  readonly base: Int32Array;
  readonly mask: Int32Array;
  /** Hosts of c: hostCount[c] entries of hosts from hostStart[c] on, in no order. */
  readonly hostStart: Int32Array;
  readonly hostCount: Int32Array;
  readonly hosts: Int32Array;
  /** Where in hosts a cell's node stands. */
  #hostAt: Int32Array;
  readonly #used: Int32Array;
  #end: number;

  /** @param replicas per workload, on all nodes together at most */
  constructor(nodeCount: number, replicas: Int32Array) {
    this.base = Int32Array.from({ length: nodeCount }, (_, n) => n * FIRST_CELLS);
    this.mask = new Int32Array(nodeCount).fill(FIRST_CELLS - 1);
    this.#end = nodeCount * FIRST_CELLS;
    this.cells = new Int32Array(2 * this.#end).fill(EMPTY);
    this.#hostAt = new Int32Array(this.#end);
    this.#used = new Int32Array(nodeCount);
    this.hostStart = new Int32Array(replicas.length + 1);
    for (let c = 0; c < replicas.length; c++) {
      this.hostStart[c + 1] = this.hostStart[c]! + Math.min(replicas[c]!, nodeCount);
    }
    this.hostCount = new Int32Array(replicas.length);
    this.hosts = new Int32Array(this.hostStart[replicas.length]!);
  }

  /** Of the same problem. */
  copyFrom(other: ReplicaMatrix): void {
    this.cells = other.cells.slice();
    this.#hostAt = other.#hostAt.slice();
    this.#end = other.#end;
    this.#used.set(other.#used);
    for (const column of ['base', 'mask', 'hostCount', 'hosts'] as const) this[column].set(other[column]);
  }

  get(n: number, c: number): number {
    const { cells } = this;
    const base = this.base[n]!;
    const mask = this.mask[n]!;
    for (let i = spread(c) & mask; ; i = (i + 1) & mask) {
      const key = cells[2 * (base + i)]!;
      if (key === c) return cells[2 * (base + i) + 1]!;
      if (key === EMPTY) return 0;
    }
  }

  add(n: number, c: number, k: number): void {
    const mask = this.mask[n]!;
    const base = this.base[n]!;
    const { cells } = this;
    for (let i = spread(c) & mask; ; i = (i + 1) & mask) {
      const key = cells[2 * (base + i)]!;
      if (key === c) {
        cells[2 * (base + i) + 1]! += k;
        return;
      }
      if (key !== EMPTY) continue;
      if (2 * (this.#used[n]! + 1) > mask + 1) {
        this.#widen(n);
        this.add(n, c, k);
        return;
      }
      this.#used[n]!++;
      const at = this.hostStart[c]! + this.hostCount[c]!++;
      this.hosts[at] = n;
      cells[2 * (base + i)] = c;
      cells[2 * (base + i) + 1] = k;
      this.#hostAt[base + i] = at;
      return;
    }
  }

  remove(n: number, c: number, k: number): void {
    const cell = this.#cellOf(n, c);
    if ((this.cells[2 * cell + 1]! -= k) > 0) return;
    const last = this.hosts[this.hostStart[c]! + --this.hostCount[c]!]!;
    const at = this.#hostAt[cell]!;
    this.hosts[at] = last;
    if (last !== n) this.#hostAt[this.#cellOf(last, c)] = at;
    this.#used[n]!--;
    this.#clear(n, cell - this.base[n]!);
  }

  /** What stands on n comes to stand on m, and the other way round. */
  exchange(n: number, m: number): void {
    this.#rename(n, m);
    this.#rename(m, n);
    for (const column of [this.base, this.mask, this.#used]) {
      const value = column[n]!;
      column[n] = column[m]!;
      column[m] = value;
    }
  }

  #rename(n: number, to: number): void {
    const end = this.base[n]! + this.mask[n]!;
    for (let i = this.base[n]!; i <= end; i++) if (this.cells[2 * i] !== EMPTY) this.hosts[this.#hostAt[i]!] = to;
  }

  /** Workloads with replicas on n, ascending. */
  workloadsOn(n: number): Int32Array {
    const own = new Int32Array(this.#used[n]!);
    let found = 0;
    for (let i = this.base[n]!; i <= this.base[n]! + this.mask[n]!; i++) {
      if (this.cells[2 * i] !== EMPTY) own[found++] = this.cells[2 * i]!;
    }
    return own.sort();
  }

  #cellOf(n: number, c: number): number {
    const base = this.base[n]!;
    const mask = this.mask[n]!;
    let i = spread(c) & mask;
    while (this.cells[2 * (base + i)] !== c) i = (i + 1) & mask;
    return base + i;
  }

  /** Empties a cell and closes the gap, as linear probing needs it (Knuth, vol. 3, 6.4, algorithm R). */
  #clear(n: number, hole: number): void {
    const { cells } = this;
    const base = this.base[n]!;
    const mask = this.mask[n]!;
    for (let i = (hole + 1) & mask; ; i = (i + 1) & mask) {
      const key = cells[2 * (base + i)]!;
      if (key === EMPTY) break;
      if (((i - spread(key)) & mask) < ((i - hole) & mask)) continue;
      cells[2 * (base + hole)] = key;
      cells[2 * (base + hole) + 1] = cells[2 * (base + i) + 1]!;
      this.#hostAt[base + hole] = this.#hostAt[base + i]!;
      hole = i;
    }
    cells[2 * (base + hole)] = EMPTY;
  }

  /** Gives n a table of twice the width behind all others. */
  #widen(n: number): void {
    const from = this.base[n]!;
    const oldMask = this.mask[n]!;
    const width = 2 * (oldMask + 1);
    if (this.#end + width > this.#hostAt.length) {
      const cells = new Int32Array(4 * (this.#end + width)).fill(EMPTY);
      cells.set(this.cells);
      const hostAt = new Int32Array(2 * (this.#end + width));
      hostAt.set(this.#hostAt);
      this.cells = cells;
      this.#hostAt = hostAt;
    }
    const to = this.#end;
    this.#end += width;
    const { cells } = this;
    const hostAt = this.#hostAt;
    for (let i = 0; i <= oldMask; i++) {
      const key = cells[2 * (from + i)]!;
      if (key === EMPTY) continue;
      let j = spread(key) & (width - 1);
      while (cells[2 * (to + j)] !== EMPTY) j = (j + 1) & (width - 1);
      cells[2 * (to + j)] = key;
      cells[2 * (to + j) + 1] = cells[2 * (from + i) + 1]!;
      hostAt[to + j] = hostAt[from + i]!;
    }
    this.base[n] = to;
    this.mask[n] = width - 1;
  }
}

const EMPTY = -1;
const FIRST_CELLS = 32;

/** A workload's place in a table, before the mask. */
export function spread(c: number): number {
  return Math.imul(c, 0x9e3779b1);
}
