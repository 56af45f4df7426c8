/**
 * Rows of traffic figures, keyed by three integers, in flat arrays: a row's 16 doubles are two cache lines, and its
 * eight integers half of one. (graphology's attributes cost about 1 us an update, this a tenth: bench/graph-record.ts.)
 */

/** Columns of `figures`. Payload bytes; "out" is client -> server. */
export const BYTES_OUT = 0;
export const BYTES_IN = 1;
export const SEGMENTS_OUT = 2;
export const SEGMENTS_IN = 3;
export const RETRANSMITS = 4;
export const CONNECTIONS = 5;
/** Sums S of decay.ts, at the landmark of the row's epoch. */
export const SHORT_OUT = 6;
export const SHORT_IN = 7;
export const LONG_OUT = 8;
export const LONG_IN = 9;
/** Weight of the time that was not observed since FIRST_MS, at the same landmark. */
export const SHORT_GAP = 10;
export const LONG_GAP = 11;
/** Start of the first and end of the last period that booked here, graph time. */
export const FIRST_MS = 12;
export const LAST_MS = 13;
/** Microseconds; 0: not known. */
export const MIN_RTT_US = 14;
export const SMOOTHED_RTT_US = 15;
export const FIGURES = 16;

/** Columns of `ints`. */
export const CLIENT = 0;
export const SERVER = 1;
/** Protocol and family, see edgeCode(). */
export const CODE = 2;
export const EPOCH = 3;
/** Agent (id of its node) whose period ended last here, -1: none. */
export const REPORTER = 4;
/** Row of the workload edge above a pod edge. */
export const PARENT = 5;
/** 1: server's view, 2: client's view, of the last booking. */
export const VIEW = 6;
/** 0: free; bit 0: in use, bit 1: changed since the last save. */
export const STATE = 7;
export const INTS = 8;

export const STATE_USED = 1;
export const STATE_DIRTY = 2;

/** Few server ports are kept per row; 0: none. */
export const PORTS = 8;

const EMPTY = -1;

export class TrafficRows {
  figures: Float64Array;
  ints: Int32Array;
  ports: Uint16Array;
  readonly max: number;
  #capacity: number;
  #used = 0;
  #size = 0;
  readonly #free: number[] = [];
  /** Open addressing with linear probing; holds row numbers. */
  #slots: Int32Array;
  #mask: number;

  constructor(max: number, capacity = 1024) {
    this.max = max;
    this.#capacity = Math.min(Math.max(capacity, 1), Math.max(max, 1));
    this.figures = new Float64Array(this.#capacity * FIGURES);
    this.ints = new Int32Array(this.#capacity * INTS);
    this.ports = new Uint16Array(this.#capacity * PORTS);
    const slots = slotsFor(this.#capacity);
    this.#slots = new Int32Array(slots).fill(EMPTY);
    this.#mask = slots - 1;
  }

  get size(): number {
    return this.#size;
  }

  /** Rows are numbered 0..limit-1; those with STATE 0 are free. */
  get limit(): number {
    return this.#used;
  }

  /** -1: none. */
  find(client: number, server: number, code: number): number {
    const { ints } = this;
    const slots = this.#slots;
    const mask = this.#mask;
    for (let slot = hash(client, server, code) & mask; ; slot = (slot + 1) & mask) {
      const row = slots[slot]!;
      if (row === EMPTY) return -1;
      const at = row * INTS;
      if (ints[at] === client && ints[at + 1] === server && ints[at + 2] === code) return row;
    }
  }

  /** A zeroed row for a key that is not there yet; -1: full. May replace the arrays only if makeRoom() was not called before. */
  insert(client: number, server: number, code: number): number {
    let row = this.#free.pop();
    if (row === undefined) {
      if (this.#used >= this.max) return -1;
      this.makeRoom(1);
      row = this.#used++;
    }
    this.#size++;
    const at = row * INTS;
    this.figures.fill(0, row * FIGURES, (row + 1) * FIGURES);
    this.ports.fill(0, row * PORTS, (row + 1) * PORTS);
    this.ints[at + CLIENT] = client;
    this.ints[at + SERVER] = server;
    this.ints[at + CODE] = code;
    this.ints[at + EPOCH] = 0;
    this.ints[at + REPORTER] = -1;
    this.ints[at + PARENT] = -1;
    this.ints[at + VIEW] = 0;
    this.ints[at + STATE] = STATE_USED;
    this.#link(row);
    return row;
  }

  remove(row: number): void {
    const at = row * INTS;
    const slots = this.#slots;
    const mask = this.#mask;
    let hole = hash(this.ints[at]!, this.ints[at + 1]!, this.ints[at + 2]!) & mask;
    while (slots[hole] !== row) hole = (hole + 1) & mask;
    // Backward shift: no tombstones, so that probes stay short under churn.
    for (let next = (hole + 1) & mask; ; next = (next + 1) & mask) {
      const other = slots[next]!;
      if (other === EMPTY) break;
      const o = other * INTS;
      const home = hash(this.ints[o]!, this.ints[o + 1]!, this.ints[o + 2]!) & mask;
      if (((next - home) & mask) < ((next - hole) & mask)) continue;
      slots[hole] = other;
      hole = next;
    }
    slots[hole] = EMPTY;
    this.ints[at + STATE] = 0;
    this.#free.push(row);
    this.#size--;
  }

  /** After this, `rows` inserts do not replace the arrays. */
  makeRoom(rows: number): void {
    const needed = Math.min(this.#used + Math.max(0, rows - this.#free.length), this.max);
    if (needed <= this.#capacity) return;
    while (this.#capacity < needed) this.#capacity *= 2;
    this.#capacity = Math.min(this.#capacity, this.max);
    const figures = new Float64Array(this.#capacity * FIGURES);
    figures.set(this.figures);
    this.figures = figures;
    const ints = new Int32Array(this.#capacity * INTS);
    ints.set(this.ints);
    this.ints = ints;
    const ports = new Uint16Array(this.#capacity * PORTS);
    ports.set(this.ports);
    this.ports = ports;
    const slots = slotsFor(this.#capacity);
    this.#slots = new Int32Array(slots).fill(EMPTY);
    this.#mask = slots - 1;
    for (let row = 0; row < this.#used; row++) if (this.ints[row * INTS + STATE] !== 0) this.#link(row);
  }

  /** At most `count` rows for which `may` says yes, those unchanged longest first. */
  oldest(count: number, may: (row: number) => boolean): number[] {
    const rows: number[] = [];
    for (let row = 0; row < this.#used; row++) {
      if (this.ints[row * INTS + STATE] !== 0 && may(row)) rows.push(row);
    }
    const last = (row: number): number => this.figures[row * FIGURES + LAST_MS]!;
    rows.sort((a, b) => last(a) - last(b) || a - b);
    return rows.slice(0, count);
  }

  #link(row: number): void {
    const at = row * INTS;
    let slot = hash(this.ints[at]!, this.ints[at + 1]!, this.ints[at + 2]!) & this.#mask;
    while (this.#slots[slot] !== EMPTY) slot = (slot + 1) & this.#mask;
    this.#slots[slot] = row;
  }
}

/** At most half full. */
function slotsFor(capacity: number): number {
  let slots = 16;
  while (slots < capacity * 2) slots *= 2;
  return slots;
}

/** murmur3's mixing steps. */
function hash(a: number, b: number, c: number): number {
  let h = Math.imul(a, 0xcc9e2d51) ^ Math.imul(b, 0x1b873593) ^ Math.imul(c + 1, 0x85ebca6b);
  h ^= h >>> 15;
  h = Math.imul(h, 0xc2b2ae35);
  h ^= h >>> 13;
  return h >>> 0;
}
