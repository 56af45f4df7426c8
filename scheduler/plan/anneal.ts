import { AliasTable } from './alias-table.ts';
import type { Random } from './random.ts';
import { EMPTY } from './replica-matrix.ts';
import type { PlanState } from './state.ts';

export interface AnnealOptions {
  readonly iterations: number;
  /** As shares of all traffic. */
  readonly hot: number;
  readonly cold: number;
  readonly edgePower?: number;
  readonly edgeFloor?: number;
  readonly bundleShare?: number;
  readonly mostBundle?: number;
  readonly mostEjected?: number;
  readonly k1?: number;
  readonly k2?: number;
  readonly anyNode?: number;
  readonly toSource?: number;
  readonly toPeer?: number;
  readonly jBits?: number;
  readonly bandLow?: number;
  readonly bandHigh?: number;
  readonly rep?: number;
  readonly band?: number;
  readonly stages?: number;
  readonly tm?: number;
  readonly tn?: number;
  readonly tv?: number;
}

const NOWHERE = -1;
const CHUNK = 256;
const PROGRESS_EVERY = 1024 * CHUNK;

export class Annealer {
  readonly #state: PlanState;
  readonly #random: Random;
  #edges: AliasTable;
  /** What was moved since the last decision: workload, from, to, replicas. */
  readonly #journal = new Int32Array(4 * 4096);
  #moves = 0;
  readonly #o: Required<AnnealOptions>;
  stats = { single: 0, singleOk: 0, bundle: 0, bundleOk: 0, eject: 0, ejectFail: 0, ejectOk: 0 };

  constructor(state: PlanState, random: Random, options: AnnealOptions) {
    this.#state = state;
    this.#random = random;
    this.#o = {
      edgePower: 0.5,
      edgeFloor: 0.002,
      bundleShare: 0.6,
      mostBundle: 64,
      mostEjected: 6,
      k1: 0.6,
      k2: 0.9,
      anyNode: 0.3,
      toSource: 0.3,
      toPeer: 0.8,
      jBits: 4,
      bandLow: 1,
      bandHigh: 0.3,
      rep: 0.5,
      band: 1,
      stages: 64,
      tm: 1,
      tn: 1,
      tv: 1,
      ...options,
    };
    this.#edges = this.#table(options.hot);
  }

  /** @returns by how much the local share changed */
  run(progress: (done: number) => void = () => {}): number {
    const { iterations, hot, cold, bundleShare } = this.#o;
    const random = this.#random;
    const cooling = (cold / hot) ** (CHUNK / iterations);
    let temperature = hot;
    let share = 0;
    let stage = 0;
    for (let done = 0; done < iterations; done += CHUNK) {
      if (done >= (stage * iterations) / this.#o.stages) {
        stage++;
        this.#edges = this.#table(temperature);
      }
      if (done % PROGRESS_EVERY === 0) progress(done);
      for (let i = Math.min(CHUNK, iterations - done); i > 0; i--) {
        const edge = this.#edges.draw(random);
        const least = temperature * Math.log(random.unit() + 1e-12);
        share += random.unit() < bundleShare ? this.#bundle(edge, least) : this.#single(edge, least);
      }
      temperature *= cooling;
    }
    return share;
  }

  #table(temperature: number): AliasTable {
    const { edgeA, edgeB, edgeWeight } = this.#state.traffic;
    const { replicas } = this.#state;
    if (this.#o.band === 0) return new AliasTable(edgeWeight.map((w) => w ** this.#o.edgePower + this.#o.edgeFloor));
    return new AliasTable(
      edgeWeight.map((w, e) => {
        const most = Math.max(replicas[edgeA[e]!]!, replicas[edgeB[e]!]!);
        const ratio = (this.#o.band * w) / most / temperature;
        return most ** this.#o.rep * (ratio < 1 ? ratio ** this.#o.bandLow : ratio ** -this.#o.bandHigh);
      }),
    );
  }

  #shift(c: number, from: number, to: number, k: number): number {
    const state = this.#state;
    const { matrix } = state;
    const journal = this.#journal;
    const at = 4 * this.#moves++;
    journal[at] = c;
    journal[at + 1] = from;
    journal[at + 2] = to;
    journal[at + 3] = k;
    let delta = 0;
    if (from >= 0) {
      const x = matrix.get(from, c);
      delta -= state.between(c, from, x - k, x);
      state.take(c, from, k);
    }
    if (to >= 0) {
      const x = matrix.get(to, c);
      delta += state.between(c, to, x, x + k);
      state.put(c, to, k);
    }
    return delta;
  }

  #takeBack(): number {
    const state = this.#state;
    const journal = this.#journal;
    while (this.#moves > 0) {
      const at = 4 * --this.#moves;
      const c = journal[at]!;
      const k = journal[at + 3]!;
      if (journal[at + 2]! >= 0) state.take(c, journal[at + 2]!, k);
      if (journal[at + 1]! >= 0) state.put(c, journal[at + 1]!, k);
    }
    return 0;
  }

  #single(edge: number, least: number): number {
    this.stats.single++;
    const state = this.#state;
    const random = this.#random;
    const { edgeA, edgeB } = state.traffic;
    let a = edgeA[edge]!;
    let b = edgeB[edge]!;
    if ((random.bits() & 1) === 0) [a, b] = [b, a];
    let n = state.anyHost(b, random);
    if (this.#o.tn > 1 && n >= 0 && state.matrix.hostCount[b]! > 1) {
      let x = state.matrix.get(n, a);
      let most = state.between(a, n, x, x + 1);
      for (let i = 1; i < this.#o.tn; i++) {
        const other = state.anyHost(b, random);
        x = state.matrix.get(other, a);
        const g = state.between(a, other, x, x + 1);
        if (g > most) {
          most = g;
          n = other;
        }
      }
    }
    const waiting = state.unplaced[a]!;
    const m = waiting > 0 ? NOWHERE : this.#leastLoss(a, this.#o.tm);
    if (n < 0 || n === m || (m < 0 && waiting === 0)) return 0;
    if (m < 0) least = -Infinity;
    const xm = m < 0 ? waiting : state.matrix.get(m, a);
    const xn = state.matrix.get(n, a);
    const most = Math.min(xm, state.cap[a]! - xn);
    if (most <= 0) return 0;
    let k = 1;
    if (most > 1) {
      const u = random.unit();
      if (u > this.#o.k2) k = 1 + random.below(most);
      else if (u > this.#o.k1) {
        const want = Math.round(state.matrix.get(n, b) * state.inverse[b]! * state.replicas[a]!) - xn;
        k = Math.min(most, Math.max(1, want));
      }
    }
    if (
      k <= state.freePods[n]! &&
      k * state.cpu[a]! <= state.freeCpu[n]! &&
      k * state.memory[a]! <= state.freeMemory[n]!
    ) {
      const delta = state.between(a, n, xn, xn + k) - (m < 0 ? 0 : state.between(a, m, xm - k, xm));
      if (delta < least) return 0;
      if (m >= 0) state.take(a, m, k);
      state.put(a, n, k);
      this.stats.singleOk++;
      return delta;
    }
    this.stats.eject++;
    this.#moves = 0;
    const delta = this.#makeRoom(n, m, a, b, this.#shift(a, m, n, k));
    if (!(delta >= least)) {
      if (delta !== delta) this.stats.ejectFail++;
      return this.#takeBack();
    }
    this.stats.ejectOk++;
    return delta;
  }

  #leastLoss(c: number, tries: number): number {
    const state = this.#state;
    let m = state.anyHost(c, this.#random);
    if (tries < 2 || m < 0 || state.matrix.hostCount[c]! < 2) return m;
    let x = state.matrix.get(m, c);
    let least = state.between(c, m, x - 1, x);
    for (let i = 1; i < tries; i++) {
      const other = state.anyHost(c, this.#random);
      x = state.matrix.get(other, c);
      const loss = state.between(c, other, x - 1, x);
      if (loss < least) {
        least = loss;
        m = other;
      }
    }
    return m;
  }

  /** Sends others away until n is no longer overdrawn. NaN: it cannot be done that way. */
  #makeRoom(n: number, source: number, a: number, b: number, delta: number): number {
    const state = this.#state;
    const random = this.#random;
    const { matrix } = state;
    let left = this.#o.mostEjected;
    let tries = 8 * left * this.#o.tv;
    while (state.isOverdrawn(n)) {
      if (left-- === 0) return NaN;
      const base = matrix.base[n]!;
      const width = matrix.mask[n]! + 1;
      let c = EMPTY;
      let x = 0;
      do {
        if (tries-- === 0) return NaN;
        const cell = 2 * (base + random.below(width));
        c = matrix.cells[cell]!;
        x = matrix.cells[cell + 1]!;
      } while (c === EMPTY || c === a || c === b);
      if (this.#o.tv > 1) {
        let least = state.between(c, n, x - 1, x);
        for (let i = 1; i < this.#o.tv; i++) {
          let d = EMPTY;
          let y = 0;
          do {
            if (tries-- === 0) return NaN;
            const cell = 2 * (base + random.below(width));
            d = matrix.cells[cell]!;
            y = matrix.cells[cell + 1]!;
          } while (d === EMPTY || d === a || d === b);
          const loss = state.between(d, n, y - 1, y);
          if (loss < least) {
            least = loss;
            c = d;
            x = y;
          }
        }
      }
      let k = 1;
      if (x > 1) {
        const lacking = Math.max(
          -state.freeCpu[n]! / state.cpu[c]!,
          -state.freeMemory[n]! / state.memory[c]!,
          -state.freePods[n]!,
        );
        k = lacking >= x ? x : lacking > 1 ? Math.ceil(lacking) : 1;
      }
      const to = this.#refuge(c, n, source);
      if (to < 0) return NaN;
      if (k > 1) k = Math.max(1, state.roomFor(c, to, k));
      delta += this.#shift(c, n, to, k);
    }
    return delta;
  }

  #refuge(c: number, n: number, source: number): number {
    const state = this.#state;
    const random = this.#random;
    const { start, peer } = state.traffic;
    const kind = random.unit();
    if (kind < this.#o.toSource && source >= 0 && source !== n && state.fits(c, source)) return source;
    if (kind < this.#o.toPeer) {
      const degree = start[c + 1]! - start[c]!;
      for (let t = 0; t < 3; t++) {
        const to = state.anyHost(peer[start[c]! + random.below(degree)]!, random);
        if (to >= 0 && to !== n && state.fits(c, to)) return to;
      }
    }
    for (let t = 0; t < 8; t++) {
      const to = random.below(state.nodeCount);
      if (to !== n && state.fits(c, to)) return to;
    }
    return NOWHERE;
  }

  #bundle(edge: number, least: number): number {
    this.stats.bundle++;
    const state = this.#state;
    const random = this.#random;
    const { edgeA, edgeB } = state.traffic;
    let a = edgeA[edge]!;
    let b = edgeB[edge]!;
    if ((random.bits() & 1) === 0) [a, b] = [b, a];
    const ra = state.replicas[a]!;
    const rb = state.replicas[b]!;
    const n =
      random.unit() < this.#o.anyNode
        ? random.below(state.nodeCount)
        : state.anyHost((random.bits() & 1) === 0 ? a : b, random);
    if (n < 0) return 0;
    const xa = state.matrix.get(n, a);
    const xb = state.matrix.get(n, b);
    const tb = Math.min(xb + (1 << random.below(this.#o.jBits)), state.cap[b]!, rb);
    const ta = Math.min(Math.max(Math.floor((tb * ra) / rb + random.unit()), xa), state.cap[a]!, ra);
    const ka = ta - xa;
    const kb = tb - xb;
    if (ka + kb === 0 || ka + kb > this.#o.mostBundle) return 0;
    this.#moves = 0;
    const source = state.anyHost(kb > 0 ? b : a, random);
    let delta = this.#gather(b, kb, n, source);
    delta += this.#gather(a, ka, n, source);
    if (!(delta === delta)) return this.#takeBack();
    delta = this.#makeRoom(n, source, a, b, delta);
    if (!(delta >= least)) return this.#takeBack();
    this.stats.bundleOk++;
    return delta;
  }

  /** Brings k more replicas of c to n, those on `source` first. NaN: there are not so many. */
  #gather(c: number, k: number, n: number, source: number): number {
    if (k <= 0) return 0;
    const state = this.#state;
    const { matrix } = state;
    let delta = 0;
    if (source >= 0 && source !== n) {
      const x = Math.min(k, matrix.get(source, c));
      if (x > 0) {
        delta += this.#shift(c, source, n, x);
        k -= x;
      }
    }
    while (k > 0) {
      const m = this.#leastLoss(c, this.#o.tm);
      if (m < 0) return NaN;
      if (m === n) {
        if (matrix.hostCount[c] === 1) return NaN;
        continue;
      }
      const x = Math.min(k, matrix.get(m, c));
      delta += this.#shift(c, m, n, x);
      k -= x;
    }
    return delta;
  }
}
