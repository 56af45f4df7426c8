import { shuffle } from '../../lib/shuffle.ts';
import { heavyEdgeCommunities } from './communities.ts';
import { MaxHeap } from './heap.ts';
import type { ReplicaCounts } from './placement-plan.ts';
import type { Random } from './random.ts';
import { Sizes } from './sizes.ts';
import type { PlanState } from './state.ts';
import { isSilent } from './traffic.ts';

/** How large a community may become, in nodes' worth, and how much of its homes' room it is trusted to fill. */
export interface CommunityShape {
  readonly most: number;
  readonly fill: number;
}

/** A replica that fills this share of a link is one that links are to be spared for. */
const HOG = 0.01;

/**
 * Puts the communicating workloads into an empty state, community by community (placement-study.md §10): the one with
 * most internal traffic takes the emptiest nodes as its homes; its largest workload goes first, each replica to the home
 * where it gains most, with regard to an even share. What finds no room at its homes goes to the emptiest node; what
 * fits nowhere stays unplaced.
 */
export function placeCommunities(state: PlanState, { most, fill }: CommunityShape): void {
  const { traffic, replicas, nodeCount } = state;
  const sizes = new Sizes(state);
  const size = Float64Array.from(replicas, (count, w) => count * sizes.replica(w));
  placeHogs(state);
  const nodes = new MaxHeap();
  for (let n = 0; n < nodeCount; n++) nodes.push(n, sizes.free(n));

  const isMember = new Uint8Array(replicas.length);
  const bySize = (a: number, b: number): number => size[b]! - size[a]! || a - b;
  const place = (members: number[]): void => {
    let demand = 0;
    for (const w of members) demand += size[w]!;
    const homes: number[] = [];
    const others: number[] = [];
    let free = 0;
    while (free * fill < demand && nodes.size > 0 && nodes.topKey! > 0) {
      const n = nodes.pop()!;
      const isHome = members.every((w) => state.choices.has(w, n));
      (isHome ? homes : others).push(n);
      if (isHome) free += sizes.free(n);
    }
    for (const w of members.sort(bySize)) placeAtHomes(state, w, homes, free, sizes);
    for (const n of [...homes, ...others]) nodes.push(n, sizes.free(n));
  };
  for (const members of heavyEdgeCommunities(traffic, size, most)) {
    for (const w of members) isMember[w] = 1;
    place([...members]);
  }
  const alone = Array.from(replicas.keys()).filter((w) => isMember[w] === 0 && !isSilent(traffic, w));
  for (const w of alone.sort(bySize)) place([w]);
  placeRest(state, sizes);
}

function placeAtHomes(state: PlanState, w: number, homes: readonly number[], free: number, sizes: Sizes): void {
  const { matrix, traffic } = state;
  let volume = 0;
  for (let e = traffic.start[w]!; e < traffic.start[w + 1]!; e++) volume += traffic.weight[e]!;
  const total = state.replicas[w]!;
  // Replicas a home is due; what is placed meanwhile makes it less free, which is left aside.
  const due = homes.map((n) => (total * sizes.free(n)) / free);
  for (let left = total; left > 0; left--) {
    let best = -1;
    let bestValue = -Infinity;
    for (const [i, n] of homes.entries()) {
      if (!state.fits(w, n)) continue;
      const x = matrix.get(n, w);
      const gain = (state.between(w, n, x, x + 1) * total) / volume;
      const value = gain + (0.2 * (due[i]! - x)) / total;
      if (value > bestValue) {
        bestValue = value;
        best = n;
      }
    }
    if (best < 0) return;
    state.put(w, best, 1);
  }
}

/** The communicating workloads as a scheduler would place them one by one: each replica where it gains most now. */
export function placeGreedily(state: PlanState, order: 'random' | 'rollout', random: Random): void {
  const sizes = new Sizes(state);
  placeHogs(state);
  const arrivals: number[] = [];
  for (const [w, count] of state.unplaced.entries()) {
    if (isSilent(state.traffic, w)) continue;
    for (let i = order === 'random' ? count : Math.min(count, 1); i > 0; i--) arrivals.push(w);
  }
  shuffle(arrivals, random);
  for (const w of arrivals) placeSome(state, w, order === 'random' ? 1 : state.unplaced[w]!, sizes);
}

/** What of an earlier plan still fits; the rest of the communicating workloads where it gains most. */
export function placeAsPlanned(state: PlanState, { targetStart, targetNode, targetCount }: ReplicaCounts): void {
  for (let w = 0; w + 1 < targetStart.length; w++) {
    if (isSilent(state.traffic, w)) continue;
    for (let i = targetStart[w]!; i < targetStart[w + 1]!; i++) {
      const k = state.roomFor(w, targetNode[i]!, Math.min(targetCount[i]!, state.unplaced[w]!));
      if (k > 0) state.put(w, targetNode[i]!, k);
    }
  }
  placeHogs(state);
  placeRest(state, new Sizes(state));
}

/** Silent workloads that fill links, the largest flows first, each replica to the link that is least used then. */
function placeHogs(state: PlanState): void {
  const { tx, rx, linkTx, linkRx, usedTx, usedRx, traffic, unplaced } = state;
  if (!state.hasLinks) return;
  const flow = (w: number): number => Math.max(tx[w]!, rx[w]!);
  const least = HOG * linkTx.reduce((most, link) => (link < Infinity ? Math.max(most, link) : most), 0);
  const hogs = Array.from(tx.keys()).filter((w) => isSilent(traffic, w) && flow(w) > least);
  const links = new MaxHeap();
  const use = (used: number, room: number): number => (room > 0 ? used / room : Infinity);
  const key = (n: number): number => -Math.max(use(usedTx[n]!, linkTx[n]!), use(usedRx[n]!, linkRx[n]!));
  for (let n = 0; n < state.nodeCount; n++) links.push(n, key(n));
  for (const w of hogs.sort((a, b) => flow(b) - flow(a) || a - b)) {
    for (let isPlaced = true; isPlaced && unplaced[w]! > 0;) {
      const seen: number[] = [];
      isPlaced = false;
      for (let n = links.pop(); n !== undefined; n = isPlaced ? undefined : links.pop()) {
        seen.push(n);
        if (!state.fits(w, n)) continue;
        state.put(w, n, 1);
        isPlaced = true;
      }
      for (const n of seen) links.push(n, key(n));
    }
  }
}

/** First to where peers stand, else spread over the emptiest; the largest replicas first. */
function placeRest(state: PlanState, sizes: Sizes): void {
  const { traffic, unplaced } = state;
  const rest = Array.from(unplaced.keys()).filter((w) => unplaced[w]! > 0 && !isSilent(traffic, w));
  if (rest.length === 0) return;
  for (const w of rest.sort((a, b) => sizes.replica(b) - sizes.replica(a) || a - b)) {
    placeSome(state, w, unplaced[w]!, sizes);
  }
}

/** Replicas one by one to where peers stand, else to the emptiest node. */
function placeSome(state: PlanState, w: number, count: number, sizes: Sizes): void {
  for (let left = count; left > 0; left--) {
    const n = bestHost(state, w) ?? emptiest(state, w, sizes);
    if (n === undefined) return;
    state.put(w, n, 1);
  }
}

function bestHost(state: PlanState, w: number): number | undefined {
  const { traffic, matrix } = state;
  let best: number | undefined;
  let most = 0;
  for (let e = traffic.start[w]!; e < traffic.start[w + 1]!; e++) {
    const b = traffic.peer[e]!;
    const first = matrix.hostStart[b]!;
    for (let i = first; i < first + matrix.hostCount[b]!; i++) {
      const n = matrix.hosts[i]!;
      if (!state.fits(w, n)) continue;
      const x = matrix.get(n, w);
      const gain = state.between(w, n, x, x + 1);
      if (gain > most || (gain === most && best !== undefined && n < best)) {
        most = gain;
        best = n;
      }
    }
  }
  return best;
}

function emptiest(state: PlanState, w: number, sizes: Sizes): number | undefined {
  let best: number | undefined;
  let most = -Infinity;
  for (let n = 0; n < state.nodeCount; n++) {
    if (!state.fits(w, n)) continue;
    const free = sizes.free(n);
    if (free > most) {
      most = free;
      best = n;
    }
  }
  return best;
}
