/**
 * Time for the graph: the wall clock, but it never goes back. When the wall clock is set back, graph time goes on from
 * where it was at the wall clock's pace, so that no contribution to an average ever lies in its future.
 */
export class MonotonicClock {
  #lastMs: number;
  #skewMs = 0;
  #stepsBack = 0;

  constructor(lastMs = Number.NEGATIVE_INFINITY) {
    this.#lastMs = lastMs;
  }

  /** Graph time of a reading of the wall clock. */
  at(wallMs: number): number {
    const ms = wallMs + this.#skewMs;
    if (ms >= this.#lastMs) {
      this.#lastMs = ms;
      return ms;
    }
    this.#skewMs += this.#lastMs - ms;
    this.#stepsBack++;
    return this.#lastMs;
  }

  /** Graph time goes on from here at the earliest (state loaded from a store). */
  advanceTo(ms: number): void {
    if (ms > this.#lastMs) this.#lastMs = ms;
  }

  get lastMs(): number {
    return this.#lastMs;
  }

  /** How far graph time is ahead of the wall clock, ms. */
  get skewMs(): number {
    return this.#skewMs;
  }

  get stepsBack(): number {
    return this.#stepsBack;
  }
}
