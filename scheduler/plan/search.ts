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
 * heat keeps what is good in the communities, much finds what they do not have; clusters differ in what they need.
 */
const HEATS = [0.6, 0.1, 0.8, 0.3] as const;
/** With few proposals there is no time to repair what heat destroys. */
const HEAT_OF_FEW = 0.8;
const COLD = 0.99;
/** Proposals for each communicating replica that make an attempt of its own worth while. */
const PER_ATTEMPT = 250;
const FEW = 60;

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
  const [first] = starts;
  if (first === undefined || iterations === 0 || blank.traffic.edgeA.length === 0) return first?.state ?? blank;

  const attempts = Math.min(HEATS.length, Math.max(1, Math.floor(iterations / (PER_ATTEMPT * talking))));
  const isFew = iterations < FEW * talking;
  const cold = worthOfReplica(blank, COLD);
  let best = first;
  for (let i = 0; i < attempts; i++) {
    const from = Math.floor((iterations * i) / attempts);
    const share = Math.floor((iterations * (i + 1)) / attempts) - from;
    const hot = worthOfReplica(blank, isFew ? HEAT_OF_FEW : HEATS[i]!);
    // The best start was placed already; others anew, rather than to keep all of them in memory.
    const start = starts[i % starts.length]!;
    const state = i === 0 ? first.state : empty();
    if (i > 0) placeCommunities(state, { most: start.size, fill: 1 });
    const options = { iterations: share, hot, cold: Math.min(cold, hot / 20) };
    anneal(state, new Random(seed, i), options, (done) => progress(from + done));
    const attempt = judged(state, start.size);
    if (i === 0 || isBetter(attempt, best)) best = attempt;
  }
  return best.state;
}

interface Attempt {
  readonly size: number;
  readonly state: PlanState;
  readonly unplaced: number;
  readonly share: number;
}

/** Best first; of all but the best the state is let go. */
function startsOf(empty: () => PlanState, sizes: readonly number[]): Attempt[] {
  const found: Attempt[] = [];
  let best: Attempt | undefined;
  for (const size of sizes) {
    const state = empty();
    placeCommunities(state, { most: size, fill: 1 });
    const attempt = judged(state, size);
    if (best === undefined || isBetter(attempt, best)) best = attempt;
    found.push({ ...attempt, state: best.state });
  }
  found.sort((a, b) => a.unplaced - b.unplaced || b.share - a.share || a.size - b.size);
  return best === undefined ? [] : [best, ...found.filter(({ size }) => size !== best.size)];
}

function judged(state: PlanState, size: number): Attempt {
  let unplaced = 0;
  for (const [w, count] of state.unplaced.entries()) if (!isSilent(state.traffic, w)) unplaced += count;
  return { size, state, unplaced, share: state.localShare() };
}

function isBetter(a: Attempt, b: Attempt): boolean {
  return a.unplaced < b.unplaced || (a.unplaced === b.unplaced && a.share > b.share);
}

function replicasThatTalk({ replicas, traffic }: PlanState): number {
  let sum = 0;
  for (const [w, count] of replicas.entries()) if (!isSilent(traffic, w)) sum += count;
  return sum;
}
