/** What is to be done with a report of a given number. */
export type LedgerVerdict =
  /** New: give it to the sink. */
  | { readonly kind: 'book'; readonly missing: number }
  /** The sink has it, but its commit is under way: its acknowledgement will come. */
  | { readonly kind: 'underway' }
  /** Committed before: acknowledge again. */
  | { readonly kind: 'committed' };

/**
 * Which sequence numbers of one node's counters are booked and which of them are committed. Pure. It outlives the
 * stream while commits are under way, so that a report that comes again on the next stream is not booked twice.
 *
 * Invariant: committedSeq <= bookedSeq; what lies between is under way.
 */
export class NodeLedger {
  readonly mapId: string;
  #committedSeq: number;
  #bookedSeq: number;
  #underway = 0;
  #underwayBytes = 0;
  #failures = 0;

  constructor(mapId: string, committedSeq: number) {
    this.mapId = mapId;
    this.#committedSeq = committedSeq;
    this.#bookedSeq = committedSeq;
  }

  get committedSeq(): number {
    return this.#committedSeq;
  }

  /** Commits that neither succeeded nor failed yet. */
  get underway(): number {
    return this.#underway;
  }

  /** Memory of the reports that belong to them, as given to `book`. */
  get underwayBytes(): number {
    return this.#underwayBytes;
  }

  judge(seq: number): LedgerVerdict {
    if (seq <= this.#committedSeq) return { kind: 'committed' };
    if (seq <= this.#bookedSeq) return { kind: 'underway' };
    // A scheduler that knows nothing of these counters cannot miss anything of them.
    return { kind: 'book', missing: this.#bookedSeq === 0 ? 0 : seq - this.#bookedSeq - 1 };
  }

  /** The sink got `seq`, of `bytes` in memory. Exactly one of the two returned functions is to be called later. */
  book(seq: number, bytes: number): { readonly succeed: () => boolean; readonly fail: () => void } {
    this.#bookedSeq = seq;
    this.#underway++;
    this.#underwayBytes += bytes;
    const settle = (): void => {
      this.#underway--;
      this.#underwayBytes -= bytes;
    };
    const failuresBefore = this.#failures;
    return {
      /** False: an earlier report failed meanwhile, so this one must not be acknowledged. */
      succeed: () => {
        settle();
        if (failuresBefore !== this.#failures) return false;
        this.#committedSeq = Math.max(this.#committedSeq, seq);
        return true;
      },
      fail: () => {
        settle();
        this.#failures++;
        this.#bookedSeq = this.#committedSeq;
      },
    };
  }
}
