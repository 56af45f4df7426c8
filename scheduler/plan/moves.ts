import type { Random } from './random.ts';
import type { PlanState } from './state.ts';

/** In place of a node: the replicas that stand nowhere yet. In the journal in place of a workload: an exchange of nodes. */
const NOWHERE = -1;
const EXCHANGED = -1;
const NOBODY = -1;

/** Replicas that a bundle moves at most, and evictions that make room for a move at most. */
const MOST_IN_BUNDLE = 64;
const MOST_EVICTED = 8;
/** Nodes tried as a refuge: hosts of peers, then any, of which so many are enough where one is found. */
const PEERS_TRIED = 3;
const NODES_TRIED = 8;
const NODES_ENOUGH = 4;

/**
 * The moves of the annealing, each proposed for an edge and taken back at once if it loses more than `-least`. A move may
 * overdraw a node, which then evicts others: first to where the move came from, so that swaps come by themselves.
 * @returns (all moves) by how much PlanState.value() changed; 0 where nothing was done
 */
export class Moves {
  readonly #state: PlanState;
  readonly #random: Random;
  /** What was done since the last decision: workload, from, to, replicas. */
  readonly #journal = new Int32Array(4 * 1024);
  #entries = 0;
  /** Of one replica, as the last choice of a node found it. */
  #gain = 0;
  #loss = 0;

  constructor(state: PlanState, random: Random) {
    this.#state = state;
    this.#random = random;
  }

  /** Some replicas of one end to a node that hosts the other. */
  single(edge: number, least: number): number {
    const state = this.#state;
    const random = this.#random;
    const { edgeA, edgeB } = state.traffic;
    const isTurned = (random.bits() & 1) === 0;
    const a = isTurned ? edgeB[edge]! : edgeA[edge]!;
    const b = isTurned ? edgeA[edge]! : edgeB[edge]!;
    const n = this.#greatestGain(a, b);
    const waiting = state.unplaced[a]!;
    const m = waiting > 0 ? NOWHERE : this.#leastLoss(a);
    if (n < 0 || n === m || (m < 0 && waiting === 0) || !state.choices.has(a, n)) return 0;
    // Replicas without a place come in at any price.
    if (m < 0) least = -Infinity;
    const standing = m < 0 ? waiting : state.matrix.get(m, a);
    const present = state.matrix.get(n, a);
    const k = this.#portion(a, b, n, present, Math.min(standing, state.cap[a]! - present));
    if (k <= 0) return 0;
    if (state.roomFor(a, n, k) === k) {
      const zones = state.zones;
      if (zones?.isBeyond(a, n, k) === true && (m < 0 || !zones.areAlike(n, m))) return 0;
      let [gain, loss] = [this.#gain, m < 0 ? 0 : this.#loss];
      if (k > 1) {
        gain = state.between(a, n, present, present + k);
        loss = m < 0 ? 0 : state.between(a, m, standing - k, standing);
      }
      let delta = gain - loss;
      if (state.hasLinks) delta -= state.linkCost(a, n, k, gain) + (m < 0 ? 0 : state.linkCost(a, m, -k, -loss));
      if (delta < least) return 0;
      if (m >= 0) state.take(a, m, k, loss);
      state.put(a, n, k, gain);
      return delta;
    }
    this.#entries = 0;
    return this.#decide(this.#evict(n, m, a, b, this.#shift(a, m, n, k)), least);
  }

  /** Replicas of both ends to one node, so that their shares there match. */
  bundle(edge: number, least: number): number {
    const state = this.#state;
    const random = this.#random;
    const { edgeA, edgeB } = state.traffic;
    const isTurned = (random.bits() & 1) === 0;
    const a = isTurned ? edgeB[edge]! : edgeA[edge]!;
    const b = isTurned ? edgeA[edge]! : edgeB[edge]!;
    const ofA = state.replicas[a]!;
    const ofB = state.replicas[b]!;
    const isElsewhere = random.unit() < 0.1;
    const n = isElsewhere ? state.choices.any(a, random) : state.anyHost((random.bits() & 1) === 0 ? a : b, random);
    if (n < 0 || !state.choices.has(a, n) || !state.choices.has(b, n)) return 0;
    const xa = state.matrix.get(n, a);
    const xb = state.matrix.get(n, b);
    const wantedB = Math.min(xb + (1 << random.below(4)), state.cap[b]!, ofB);
    const matching = Math.floor((wantedB * ofA) / ofB + random.unit());
    const wantedA = Math.min(Math.max(matching, xa), state.cap[a]!, ofA);
    const moreA = wantedA - xa;
    const moreB = Math.max(0, wantedB - xb);
    if (moreA + moreB <= 0 || moreA + moreB > MOST_IN_BUNDLE) return 0;
    this.#entries = 0;
    const source = state.anyHost(moreB > 0 ? b : a, random);
    const delta = this.#gather(b, moreB, n, source) + this.#gather(a, moreA, n, source);
    return this.#decide(delta === delta ? this.#evict(n, source, a, b, delta) : NaN, least);
  }

  /** Exchanges all that stands on a host of one end and on a node of unlike room, so that what is crowded gets space. */
  exchange(edge: number, least: number): number {
    const state = this.#state;
    const random = this.#random;
    const { nodeCpu, nodeMemory, nodePods } = state.room;
    const { edgeA, edgeB } = state.traffic;
    const n = state.anyHost((random.bits() & 1) === 0 ? edgeA[edge]! : edgeB[edge]!, random);
    const m = random.below(state.nodeCount);
    if (n < 0 || n === m) return 0;
    if (nodeCpu[n] === nodeCpu[m] && nodeMemory[n] === nodeMemory[m] && nodePods[n] === nodePods[m]) return 0;
    if (!state.mayExchange(n, m)) return 0;
    this.#entries = 0;
    this.#note(EXCHANGED, n, m, 0);
    const before = state.overloadCost(n) + state.overloadCost(m);
    state.exchange(n, m);
    const relieved = before - state.overloadCost(n) - state.overloadCost(m);
    const delta = this.#evict(n, m, NOBODY, NOBODY, relieved);
    return this.#decide(this.#evict(m, n, NOBODY, NOBODY, delta), least);
  }

  /** A replica of a hog of bandwidth from a link that it overloads to any node. */
  relieve(c: number, least: number): number {
    const state = this.#state;
    const m = state.anyHost(c, this.#random);
    if (m < 0 || state.overload(m) === 0) return 0;
    const n = state.choices.any(c, this.#random);
    if (n < 0 || n === m || state.overload(n) > 0 || state.matrix.get(n, c) >= state.cap[c]!) return 0;
    this.#entries = 0;
    return this.#decide(this.#evict(n, m, c, NOBODY, this.#shift(c, m, n, 1)), least);
  }

  /** Of two hosts of b the one where a gains more; the gain in #gain. */
  #greatestGain(a: number, b: number): number {
    const state = this.#state;
    const n = state.anyHost(b, this.#random);
    if (n < 0) return n;
    this.#gain = state.gain(a, n);
    if (state.matrix.hostCount[b]! < 2) return n;
    const m = state.anyHost(b, this.#random);
    if (m === n) return n;
    const gain = state.gain(a, m);
    if (gain <= this.#gain) return n;
    this.#gain = gain;
    return m;
  }

  /** Of two hosts of c the one where it loses less; the loss in #loss. */
  #leastLoss(c: number): number {
    const state = this.#state;
    const n = state.anyHost(c, this.#random);
    if (n < 0) return n;
    this.#loss = state.loss(c, n);
    if (state.matrix.hostCount[c]! < 2) return n;
    const m = state.anyHost(c, this.#random);
    if (m === n) return n;
    const loss = state.loss(c, m);
    if (loss >= this.#loss) return n;
    this.#loss = loss;
    return m;
  }

  /** One replica, or as many as match b's share on n, or any number. */
  #portion(a: number, b: number, n: number, present: number, most: number): number {
    if (most <= 1) return most;
    const kind = this.#random.unit();
    if (kind < 0.6) return 1;
    if (kind > 0.9) return 1 + this.#random.below(most);
    const state = this.#state;
    const matching = Math.round(state.matrix.get(n, b) * state.inverse[b]! * state.replicas[a]!);
    return Math.min(most, Math.max(1, matching - present));
  }

  /** Brings k more replicas of c to n, those on `source` first. NaN: there are not so many. */
  #gather(c: number, k: number, n: number, source: number): number {
    const state = this.#state;
    const { matrix } = state;
    let delta = 0;
    if (k > 0 && source >= 0 && source !== n) {
      const x = Math.min(k, matrix.get(source, c));
      if (x > 0) delta += this.#shift(c, source, n, x);
      k -= x;
    }
    while (k > 0) {
      const m = this.#leastLoss(c);
      if (m === n) {
        if (matrix.hostCount[c] === 1) return NaN;
        continue;
      }
      if (m < 0) return NaN;
      const x = Math.min(k, matrix.get(m, c));
      delta += this.#shift(c, m, n, x);
      k -= x;
    }
    return delta;
  }

  /** Sends others than a and b away until n is no longer overdrawn. NaN: that does not work out. */
  #evict(n: number, source: number, a: number, b: number, delta: number): number {
    const state = this.#state;
    const { matrix } = state;
    for (let left = MOST_EVICTED; state.isOverdrawn(n); left--) {
      if (left === 0) return NaN;
      const c = this.#victim(n, a, b);
      if (c === NOBODY) return NaN;
      const to = this.#refuge(c, n, source);
      if (to < 0) return NaN;
      const k = Math.min(matrix.get(n, c), state.overdrawnBy(c, n));
      delta += this.#shift(c, n, to, k > 1 ? Math.max(1, state.roomFor(c, to, k)) : 1);
    }
    return delta;
  }

  #victim(n: number, a: number, b: number): number {
    const { matrix } = this.#state;
    const base = matrix.base[n]!;
    const width = matrix.mask[n]! + 1;
    for (let tries = 8 * MOST_EVICTED; tries > 0; tries--) {
      const c = matrix.cells[2 * (base + this.#random.below(width))]!;
      if (c >= 0 && c !== a && c !== b) return c;
    }
    return NOBODY;
  }

  /** Of some nodes with room for one replica of c where it gains most: where the others came from, beside peers, any. */
  #refuge(c: number, n: number, source: number): number {
    const state = this.#state;
    const random = this.#random;
    const { start, peer } = state.traffic;
    let best = NOWHERE;
    let most = -Infinity;
    const look = (to: number): void => {
      if (to < 0 || to === n || to === best || !state.fits(c, to)) return;
      const gain = state.gain(c, to);
      if (gain <= most) return;
      most = gain;
      best = to;
    };
    look(source);
    const degree = start[c + 1]! - start[c]!;
    if (degree > 0) {
      for (let tries = PEERS_TRIED; tries > 0; tries--) {
        look(state.anyHost(peer[start[c]! + random.below(degree)]!, random));
      }
    }
    for (let tried = 1; tried <= NODES_TRIED; tried++) {
      look(state.choices.any(c, random));
      if (best >= 0 && tried >= NODES_ENOUGH) break;
    }
    return best;
  }

  #shift(c: number, from: number, to: number, k: number): number {
    const state = this.#state;
    const { matrix } = state;
    this.#note(c, from, to, k);
    let delta = 0;
    if (from >= 0) {
      const x = matrix.get(from, c);
      const loss = state.between(c, from, x - k, x);
      delta -= loss + state.linkCost(c, from, -k, -loss);
      state.take(c, from, k, loss);
    }
    const x = matrix.get(to, c);
    const gain = state.between(c, to, x, x + k);
    delta += gain - state.linkCost(c, to, k, gain);
    state.put(c, to, k, gain);
    return delta;
  }

  #note(c: number, from: number, to: number, k: number): void {
    const at = 4 * this.#entries++;
    this.#journal[at] = c;
    this.#journal[at + 1] = from;
    this.#journal[at + 2] = to;
    this.#journal[at + 3] = k;
  }

  #isBeyondZones(): boolean {
    const { zones } = this.#state;
    if (zones === undefined) return false;
    for (let at = 0; at < 4 * this.#entries; at += 4) {
      const c = this.#journal[at]!;
      if (c !== EXCHANGED && zones.isBeyond(c, this.#journal[at + 2]!)) return true;
    }
    return false;
  }

  /** Lets stand what was done, or takes it back. */
  #decide(delta: number, least: number): number {
    if (delta >= least && !this.#isBeyondZones()) return delta;
    const state = this.#state;
    const journal = this.#journal;
    while (this.#entries > 0) {
      const at = 4 * --this.#entries;
      const c = journal[at]!;
      const from = journal[at + 1]!;
      const to = journal[at + 2]!;
      const k = journal[at + 3]!;
      if (c === EXCHANGED) {
        state.exchange(from, to);
        continue;
      }
      state.take(c, to, k);
      if (from >= 0) state.put(c, from, k);
    }
    return 0;
  }
}
