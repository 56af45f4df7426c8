import { anneal } from './anneal.ts';
import { placeAsPlanned, placeCommunities, placeGreedily } from './first-placement.ts';
import type { ReplicaCounts } from './placement-plan.ts';
import { foundIn, isBetter, type Found } from './found.ts';
import { packRest } from './pack.ts';
import { Random } from './random.ts';
import { Sizes } from './sizes.ts';
import type { PlanState } from './state.ts';
import { coolingFrom } from './temperatures.ts';
import { isSilent } from './traffic.ts';

export interface SearchOptions {
  readonly seed: number;
  readonly iterations: number;
  /** Proposals that the problem is worth: a rung. */
  readonly worthwhile: number;
  /** An earlier plan. */
  readonly start?: ReplicaCounts | undefined;
}

/** Sizes of communities that are tried, in nodes' worth: which is best depends on how large workloads and their groups are. */
const SIZES = [1, 1.5, 2, 3, 4, 5, 6, 8, 12] as const;
/** The same where each try takes a second. */
const FEW_SIZES = [1.5, 3, 6] as const;
const MANY_REPLICAS = 20_000;
/** Orders of arrival in which a greedy scheduler is followed. */
const GREEDY_ORDERS = ['random', 'rollout'] as const;
/**
 * How hot an attempt begins: at what a matched replica is worth of the edges that carry this share of the traffic. Little
 * heat keeps what is good in the communities, much finds what they do not have. Which is better differs between clusters
 * by 5 % of the share, so a race decides.
 */
const HEATS = [0.1, 0.4, 0.8] as const;
/** What overloaded links cost at first: dear from the start, they would keep the search from what is near. */
const MILD = 0.5;
/** Of the proposals of a rung, for each heat in the race. */
const RACE = 0.08;
/** From one rung to the next, and how many there are below the one that is worth while; those that do not last a proposal a replica are left out. */
const GROWTH = 4;
const RUNGS_BELOW = 6;
/** Random streams that a rung may use. */
const STREAMS = 8;

/**
 * Places all workloads: communities of several sizes or what a greedy scheduler makes, whichever is best, then annealing in
 * rungs, each with four times the proposals of all before. The best that was found counts: fewest replicas unplaced, then the
 * greatest value. With more iterations there are more rungs and the lower ones are the same, so that the plan is never worse.
 * @param empty makes a state where nothing is placed
 */
export function searchPlacement(
  empty: () => PlanState,
  { seed, iterations, worthwhile, start }: SearchOptions,
  progress: (done: number) => void,
): PlanState {
  const blank = empty();
  const talking = replicasThatTalk(blank);
  const first = firstOf(empty, talking > MANY_REPLICAS, seed, start);
  if (blank.traffic.edgeA.length === 0) return first.state;
  let best = first;
  let done = 0;
  const attempt = (heat: number, proposals: number, stream: number): Found => {
    const state = empty();
    state.copyFrom(first.state);
    const options = { iterations: proposals, ...coolingFrom(blank, heat), overload: MILD };
    anneal(state, new Random(seed, stream), options, (made) => progress(done + made));
    done += proposals;
    const found = foundIn(state);
    if (isBetter(found, best)) best = found;
    return found;
  };
  for (const [rung, proposals] of rungs(iterations, worthwhile).entries()) {
    if (proposals < talking) continue;
    const stream = rung * STREAMS;
    const each = Math.floor(proposals * RACE);
    const race = HEATS.map((heat, i) => ({ heat, ...attempt(heat, each, stream + i) }));
    const { heat } = race.reduce((winner, other) => (isBetter(other, winner) ? other : winner));
    attempt(heat, proposals - each * HEATS.length, stream + HEATS.length);
  }
  return best.state;
}

/** Proposals of the rungs, together at most `iterations`, the highest with all others worth while x GROWTH^k. */
function rungs(iterations: number, worthwhile: number): number[] {
  const found: number[] = [];
  let below = 0;
  for (let all = worthwhile / GROWTH ** RUNGS_BELOW; all <= iterations; all *= GROWTH) {
    found.push(Math.floor(all) - below);
    below = Math.floor(all);
  }
  return found;
}

/** The best of the starts. */
function firstOf(empty: () => PlanState, many: boolean, seed: number, earlier: ReplicaCounts | undefined): Found {
  const places: ((state: PlanState) => void)[] = [];
  if (earlier !== undefined) places.push((state) => placeAsPlanned(state, earlier));
  for (const most of many ? FEW_SIZES : SIZES) places.push((state) => placeCommunities(state, { most, fill: 1 }));
  for (const [i, order] of many ? [] : GREEDY_ORDERS.entries()) {
    places.push((state) => placeGreedily(state, order, new Random(seed, -1 - i)));
  }
  let best: Found | undefined;
  for (const place of places) {
    const state = empty();
    place(state);
    packRest(state, new Sizes(state));
    const found = foundIn(state);
    if (best === undefined || isBetter(found, best)) best = found;
  }
  return best!;
}

function replicasThatTalk({ replicas, traffic }: PlanState): number {
  let sum = 0;
  for (const [w, count] of replicas.entries()) if (!isSilent(traffic, w)) sum += count;
  return sum;
}
