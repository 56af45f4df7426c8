/** A candidate that got a score above 0. */
export interface Ranked {
  readonly node: number;
  /** Whole number, 1..scoreRange. */
  readonly score: number;
  /** The unrounded value in steps of 1e-9: finer than the score, coarser than float noise. */
  readonly fineValue: number;
  readonly tie: number;
}

/** Above this many, sorting all is cheaper than inserting into a sorted list. */
const MAX_INSERTED = 64;

/**
 * The best `count` in order: greater value first, then smaller tie hash, then smaller index.
 * Does not depend on the order in which they are offered.
 */
export class Ranking {
  readonly #count: number;
  readonly #best: Ranked[] = [];

  constructor(count: number) {
    this.#count = count;
  }

  /** false: no candidate of this value can get in any more, with this tie hash if one is given. */
  admits(fineValue: number, tie = 0): boolean {
    if (this.#count > MAX_INSERTED || this.#best.length < this.#count) return true;
    const last = this.#best.at(-1)!;
    return fineValue > last.fineValue || (fineValue === last.fineValue && tie <= last.tie);
  }

  offer(candidate: Ranked): void {
    const best = this.#best;
    if (this.#count > MAX_INSERTED) {
      best.push(candidate);
      return;
    }
    if (best.length === this.#count && compare(candidate, best.at(-1)!) >= 0) return;
    let at = best.length;
    while (at > 0 && compare(candidate, best[at - 1]!) < 0) at--;
    best.splice(at, 0, candidate);
    if (best.length > this.#count) best.pop();
  }

  result(): Ranked[] {
    return this.#count > MAX_INSERTED ? this.#best.sort(compare).slice(0, this.#count) : this.#best;
  }
}

function compare(a: Ranked, b: Ranked): number {
  return b.fineValue - a.fineValue || a.tie - b.tie || a.node - b.node;
}
