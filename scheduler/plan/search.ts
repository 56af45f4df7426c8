import { anneal } from './anneal.ts';
import { placeCommunities } from './first-placement.ts';
import { Random } from './random.ts';
import type { PlanState } from './state.ts';
import { worthOfReplica } from './temperatures.ts';
import { isSilent } from './traffic.ts';

export interface SearchOptions {
  readonly seed: number;
  readonly iterations: number;
}

/** Sizes of communities that are tried, in nodes' worth: which is best depends on how large workloads and their groups are. */
const SIZES = [1, 1.5, 2, 3, 4, 5, 6, 8, 12] as const;
/** The same where each try takes a second. */
const FEW_SIZES = [1.5, 3, 6] as const;
const MANY_REPLICAS = 20_000;
/**
 * How hot an attempt begins: at what a matched replica is worth of the edges that carry this share of the traffic. Little
 * heat keeps what is good in the communities, much finds what they do not have. Which is better differs between clusters
 * by 5 % of the share, so a race decides.
 */
const HEATS = [0.1, 0.4, 0.8] as const;
const COLD = 0.99;
/** Of the proposals, for each heat in the race. */
const RACE = 0.08;
/** Proposals for each communicating replica that make an attempt of its own worth while, and attempts at most. */
const PER_ATTEMPT = 150;
const MOST_ATTEMPTS = 4;

/**
 * Places the communicating workloads: communities of several sizes, then annealing in one attempt or several, each from
 * other communities and with another heat. The best attempt counts: fewest replicas unplaced, then most local traffic.
 * @param empty makes a state where nothing is placed
 */
export function searchPlacement(
  empty: () => PlanState,
  { seed, iterations }: SearchOptions,
  progress: (done: number) => void,
): PlanState {
  const blank = empty();
  const talking = replicasThatTalk(blank);
  const starts = startsOf(empty, talking > MANY_REPLICAS ? FEW_SIZES : SIZES);
  if (iterations === 0 || blank.traffic.edgeA.length === 0) return placed(empty, starts[0]!.size);

  const cold = worthOfReplica(blank, COLD);
  let best: Outcome = starts[0]!;
  let bestState: PlanState | undefined;
  let done = 0;
  const attempt = (size: number, heat: number, proposals: number, stream: number): Outcome => {
    const state = placed(empty, size);
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

  const race = HEATS.map((heat, i) => ({ heat, ...attempt(starts[0]!.size, heat, Math.floor(iterations * RACE), i) }));
  const winner = race.reduce((first, other) => (isBetter(other, first) ? other : first));
  const left = iterations - done;
  const attempts = Math.min(MOST_ATTEMPTS, Math.max(1, Math.floor(left / (PER_ATTEMPT * talking))));
  for (let i = 0; i < attempts; i++) {
    const proposals = Math.floor((left * (i + 1)) / attempts) - Math.floor((left * i) / attempts);
    attempt(starts[i % starts.length]!.size, winner.heat, proposals, HEATS.length + i);
  }
  return bestState ?? placed(empty, starts[0]!.size);
}

interface Outcome {
  readonly unplaced: number;
  readonly share: number;
}

interface Start extends Outcome {
  readonly size: number;
}

/** Best first. Communities are placed anew where they are needed, rather than kept in memory. */
function startsOf(empty: () => PlanState, sizes: readonly number[]): Start[] {
  return sizes
    .map((size) => ({ size, ...outcome(placed(empty, size)) }))
    .sort((a, b) => a.unplaced - b.unplaced || b.share - a.share || a.size - b.size);
}

function placed(empty: () => PlanState, size: number): PlanState {
  const state = empty();
  placeCommunities(state, { most: size, fill: 1 });
  return state;
}

function outcome(state: PlanState): Outcome {
  let unplaced = 0;
  for (const [w, count] of state.unplaced.entries()) if (!isSilent(state.traffic, w)) unplaced += count;
  return { unplaced, share: state.localShare() };
}

function isBetter(a: Outcome, b: Outcome): boolean {
  return a.unplaced < b.unplaced || (a.unplaced === b.unplaced && a.share > b.share);
}

function replicasThatTalk({ replicas, traffic }: PlanState): number {
  let sum = 0;
  for (const [w, count] of replicas.entries()) if (!isSilent(traffic, w)) sum += count;
  return sum;
}
