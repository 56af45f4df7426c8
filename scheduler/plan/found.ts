import type { PlanState } from './state.ts';

/** A state and how good it is: fewest replicas unplaced first, then the greatest value. */
export interface Found {
  readonly state: PlanState;
  readonly unplaced: number;
  readonly value: number;
}

export function foundIn(state: PlanState): Found {
  return { state, unplaced: unplacedIn(state), value: state.value() };
}

export function unplacedIn({ unplaced }: PlanState): number {
  return unplaced.reduce((sum, replicas) => sum + replicas, 0);
}

export function isBetter(a: Found, b: Found): boolean {
  return a.unplaced < b.unplaced || (a.unplaced === b.unplaced && a.value > b.value);
}
