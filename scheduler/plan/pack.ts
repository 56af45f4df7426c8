import { MaxHeap } from './heap.ts';
import type { Sizes } from './sizes.ts';
import type { PlanState } from './state.ts';

/**
 * Places what is still unplaced (silent workloads, and others that found no room) in the first of these ways by which most finds room:
 * spread over the emptiest nodes; what does not fit that way packed as tightly as possible beforehand; all packed tightly. What is left
 * then is let in by moving others aside. Largest replicas first.
 */
export function packRest(state: PlanState, sizes: Sizes): void {
  const order = Array.from(state.unplaced.keys())
    .filter((w) => state.unplaced[w]! > 0)
    .sort((a, b) => sizes.replica(b) - sizes.replica(a) || a - b);
  const all = new Set(order);
  let best = tryPacking(state, order, sizes, new Set());
  for (const tight of best.left.size === 0 ? [] : [best.left, all]) {
    const other = tryPacking(state, order, sizes, tight);
    if (other.placed.length > best.placed.length) best = other;
  }
  for (const [w, n] of best.placed) state.put(w, n, 1);
  const search = { visitsLeft: MOST_VISITS };
  for (const w of order) {
    while (state.unplaced[w]! > 0 && makeRoomFor(state, w, sizes, search));
  }
}

/** @returns where replicas would go, and workloads of which some find no room; the state is as before */
function tryPacking(
  state: PlanState,
  order: readonly number[],
  sizes: Sizes,
  tight: ReadonlySet<number>,
): { readonly placed: readonly (readonly [w: number, n: number])[]; readonly left: ReadonlySet<number> } {
  const placed: [w: number, n: number][] = [];
  for (const w of order) if (tight.has(w)) packTightly(state, w, sizes, placed);
  spread(
    state,
    order.filter((w) => !tight.has(w)),
    sizes,
    placed,
  );
  const left = new Set(order.filter((w) => state.unplaced[w]! > 0));
  for (const [w, n] of placed) state.take(w, n, 1);
  return { placed, left };
}

function packTightly(state: PlanState, w: number, sizes: Sizes, placed: [w: number, n: number][]): void {
  while (state.unplaced[w]! > 0) {
    const n = fullest(state, w, sizes, -1);
    if (n < 0) return;
    state.put(w, n, 1);
    placed.push([w, n]);
  }
}

/** One replica of a workload to a node, the emptiest nodes first, and only then a second one. */
function spread(state: PlanState, order: readonly number[], sizes: Sizes, placed: [w: number, n: number][]): void {
  const nodes = new MaxHeap();
  for (let n = 0; n < state.nodeCount; n++) nodes.push(n, sizes.free(n));
  const seen: number[] = [];
  for (const w of order) {
    for (let before = -1; state.unplaced[w]! > 0 && state.unplaced[w] !== before;) {
      before = state.unplaced[w]!;
      for (let n = nodes.pop(); n !== undefined; n = state.unplaced[w]! > 0 ? nodes.pop() : undefined) {
        seen.push(n);
        if (!state.fits(w, n)) continue;
        state.put(w, n, 1);
        placed.push([w, n]);
      }
      for (const n of seen) nodes.push(n, sizes.free(n));
      seen.length = 0;
    }
  }
}

/** The node with least room of those where w fits, `except` left aside; -1: none. */
function fullest(state: PlanState, w: number, sizes: Sizes, except: number): number {
  let best = -1;
  let least = Infinity;
  for (let n = 0; n < state.nodeCount; n++) {
    if (n === except || !state.fits(w, n)) continue;
    const free = sizes.free(n);
    if (free < least) {
      least = free;
      best = n;
    }
  }
  return best;
}

/** Nodes looked at, so that a cluster where much does not fit costs no more than seconds. */
const MOST_VISITS = 50_000_000;
/** Nodes that are tried for one replica, those that lack least first, and replicas moved away from one. */
const NODES_TRIED = 16;
const MOST_MOVED = 8;

interface Search {
  visitsLeft: number;
}

function makeRoomFor(state: PlanState, w: number, sizes: Sizes, search: Search): boolean {
  const candidates: number[] = [];
  for (let n = 0; n < state.nodeCount; n++) {
    if (state.choices.has(w, n) && state.matrix.get(n, w) < state.cap[w]!) candidates.push(n);
  }
  candidates.sort((a, b) => sizes.free(b) - sizes.free(a) || a - b);
  return candidates.slice(0, NODES_TRIED).some((n) => search.visitsLeft > 0 && clear(state, w, n, sizes, search));
}

/** Moves others away from n until w fits there, and puts it there; if that fails, all is as before. */
function clear(state: PlanState, w: number, n: number, sizes: Sizes, search: Search): boolean {
  const moved: [workload: number, to: number][] = [];
  while (!state.fits(w, n) && moved.length < MOST_MOVED) {
    const move = cheapestMove(state, w, n, sizes, search);
    if (move === undefined) break;
    state.take(move[0], n, 1);
    state.put(move[0], move[1], 1);
    moved.push(move);
  }
  if (state.fits(w, n)) {
    state.put(w, n, 1);
    return true;
  }
  for (const [c, to] of moved.reverse()) {
    state.take(c, to, 1);
    state.put(c, n, 1);
  }
  return false;
}

/** Of the replicas that alone make enough room the one with least traffic there; if none does, the largest. */
function cheapestMove(
  state: PlanState,
  w: number,
  n: number,
  sizes: Sizes,
  search: Search,
): [workload: number, to: number] | undefined {
  let best: [number, number] | undefined;
  let bestValue = -Infinity;
  for (const c of state.matrix.workloadsOn(n)) {
    if (c === w) continue;
    const isEnough =
      state.cpu[w]! <= state.freeCpu[n]! + state.cpu[c]! && state.memory[w]! <= state.freeMemory[n]! + state.memory[c]!;
    const x = state.matrix.get(n, c);
    // Lost traffic is at most 1, so that what is not enough comes after all that is.
    const value = isEnough ? -state.between(c, n, x - 1, x) : sizes.replica(c) - 1e9;
    if (value <= bestValue) continue;
    search.visitsLeft -= state.nodeCount;
    const to = fullest(state, c, sizes, n);
    if (to < 0) continue;
    bestValue = value;
    best = [c, to];
  }
  return best;
}
