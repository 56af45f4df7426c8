import type { Moment } from '../moment.ts';

/** kube-scheduler's own scores, as far as they differ between nodes. */
export interface DefaultScores {
  /** Whole numbers, as kube-scheduler adds them up; else ties are a matter of float noise. */
  readonly whole: boolean;
  /** Where kube-scheduler's list has each node: the first of equals wins. undefined: equals are drawn at random. */
  readonly tieRank?: Int32Array;
  /** Sets totals[c] for candidate moment.candidates[c]. */
  score(moment: Moment, totals: Float64Array): void;
  /** A pod was placed (sign 1) or taken away (-1). */
  changed?(moment: Moment, pod: number, node: number, sign: 1 | -1): void;
  reset?(moment: Moment): void;
}
