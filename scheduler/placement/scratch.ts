import { LevelTallies, type GainTallies } from './gains.ts';
import { LookAhead } from './look-ahead.ts';
import { Tally } from './tally.ts';

/** Working memory of a call, reused by the next: at 65,000 nodes a fresh one would be megabytes for the collector. */
export class Scratch implements GainTallies {
  readonly own = new LevelTallies();
  readonly gains = new LevelTallies();
  readonly lookAhead = new LookAhead();
  /** Replicas of the workload that the plan wants, by node. */
  readonly wanted = new Tally();
  readonly seen = new Tally();
  values = new Float64Array(0);
}
