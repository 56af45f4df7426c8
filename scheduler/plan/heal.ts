import { anneal } from './anneal.ts';
import { foundIn, isBetter } from './found.ts';
import type { Random } from './random.ts';
import type { PlanState } from './state.ts';
import { coolingFrom } from './temperatures.ts';

/** Proposals for each replica that was torn from its peers, and the most: no large part of what a large plan takes. */
const PER_REPLICA = 50_000;
const MOST = 500_000;
const MOST_OF_BUDGET = 0.25;
/** Little, for most is good already. */
const HEAT = 0.8;

/**
 * Anneals what is left of a plan after replicas had to move: their peers follow, others take their places.
 * @param empty makes a state where nothing is placed
 * @param moved how many
 * @param budget proposals of the plan
 * @returns what is better then, or `state` as it was
 */
export function healed(
  empty: () => PlanState,
  state: PlanState,
  { random, moved, budget }: { readonly random: Random; readonly moved: number; readonly budget: number },
): PlanState {
  const iterations = Math.floor(Math.min(moved * PER_REPLICA, MOST, MOST_OF_BUDGET * budget));
  if (iterations <= 0 || state.traffic.edgeA.length === 0) return state;
  const other = empty();
  other.copyFrom(state);
  anneal(other, random, { iterations, ...coolingFrom(state, HEAT) });
  return isBetter(foundIn(other), foundIn(state)) ? other : state;
}
