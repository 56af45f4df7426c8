import { anneal } from './anneal.ts';
import { placeAsPlanned, placeCommunities, placeGreedily } from './first-placement.ts';
import type { ReplicaCounts } from './placement-plan.ts';
import { packRest } from './pack.ts';
import { Random } from './random.ts';
import { Sizes } from './sizes.ts';
import type { PlanState } from './state.ts';
import { worthOfReplica } from './temperatures.ts';
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
const COLD = 0.99;
/** Of the proposals of a rung, for each heat in the race. */
const RACE = 0.08;
/** From one rung to the next, and how many there are below the one that is worth while. */
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
  const starts = startsOf(empty, replicasThatTalk(blank) > MANY_REPLICAS, seed, start);
  let best: Outcome = starts[0]!;
  let bestState: PlanState | undefined;
  if (blank.traffic.edgeA.length > 0) {
    const cold = worthOfReplica(blank, COLD);
    let done = 0;
    const attempt = (from: Start, heat: number, proposals: number, stream: number): Outcome => {
      const state = from.make();
      const hot = worthOfReplica(blank, heat);
      const options = { iterations: proposals, hot, cold: Math.min(cold, hot / 20) };
      anneal(state, new Random(seed, stream), options, (made) => progress(done + made));
      done += proposals;
      const ended = outcome(state);
      if (isBetter(ended, best)) {
        best = ended;
        bestState = state;
      }
      return ended;
    };
    for (const [rung, proposals] of rungs(iterations, worthwhile).entries()) {
      const stream = rung * STREAMS;
      const each = Math.floor(proposals * RACE);
      const race = HEATS.map((heat, i) => ({ heat, ...attempt(starts[0]!, heat, each, stream + i) }));
      const { heat } = race.reduce((first, other) => (isBetter(other, first) ? other : first));
      attempt(starts[0]!, heat, proposals - each * HEATS.length, stream + HEATS.length);
    }
  }
  return bestState ?? starts[0]!.make();
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

interface Outcome {
  readonly unplaced: number;
  readonly value: number;
}

/** Made anew where it is needed, rather than kept in memory. */
interface Start extends Outcome {
  readonly make: () => PlanState;
}

/** Best first. */
function startsOf(empty: () => PlanState, many: boolean, seed: number, earlier: ReplicaCounts | undefined): Start[] {
  const makes: ((state: PlanState) => void)[] = [];
  if (earlier !== undefined) makes.push((state) => placeAsPlanned(state, earlier));
  for (const most of many ? FEW_SIZES : SIZES) makes.push((state) => placeCommunities(state, { most, fill: 1 }));
  for (const [i, order] of many ? [] : GREEDY_ORDERS.entries()) {
    makes.push((state) => placeGreedily(state, order, new Random(seed, -1 - i)));
  }
  return makes
    .map((place): Start => {
      const make = (): PlanState => {
        const state = empty();
        place(state);
        packRest(state, new Sizes(state));
        return state;
      };
      return { make, ...outcome(make()) };
    })
    .sort((a, b) => a.unplaced - b.unplaced || b.value - a.value);
}

function outcome(state: PlanState): Outcome {
  let unplaced = 0;
  for (const count of state.unplaced) unplaced += count;
  return { unplaced, value: state.value() };
}

function isBetter(a: Outcome, b: Outcome): boolean {
  return a.unplaced < b.unplaced || (a.unplaced === b.unplaced && a.value > b.value);
}

function replicasThatTalk({ replicas, traffic }: PlanState): number {
  let sum = 0;
  for (const [w, count] of replicas.entries()) if (!isSilent(traffic, w)) sum += count;
  return sum;
}
