import { NO_LOSSES, type Losses } from '../../proto/report.ts';
import {
  addLosses,
  edgesWithin,
  keepHeaviest,
  lossesOfDropping,
  mergePeriods,
  splitPeriod,
  storePeriod,
  withLosses,
  type MeasuredPeriod,
  type StoredPeriod,
} from './period.ts';

/** A report as it was, or will be, sent: its content never changes once it has a number. */
export interface NumberedPeriod {
  readonly seq: number;
  readonly period: StoredPeriod;
}

/** All that a queue holds, as `save` gives it: enough for another one to go on in its place. */
export interface SavedQueue {
  /** Ascending in `seq`. */
  readonly sent: readonly NumberedPeriod[];
  readonly waiting: readonly StoredPeriod[];
  /** Losses that go with the next report. */
  readonly carried: Losses;
  readonly nextSeq: number;
  /** Numbers given since, each to the oldest of `waiting`: how many of its edges it took. */
  readonly numbered: readonly { readonly seq: number; readonly edges: number }[];
}

export interface ReportQueueStats {
  /** Reports sent at least once and not acknowledged. */
  readonly unacknowledged: number;
  /** Periods that wait for their first sending. */
  readonly waiting: number;
  readonly bufferedBytes: number;
  readonly committedSeq: number;
  readonly lastSeq: number;
  /** Periods that were merged into another one. */
  readonly mergedPeriods: number;
  readonly droppedEdges: number;
  readonly droppedBytes: number;
  /** Whole reports given up because the scheduler cannot read them. */
  readonly refusedReports: number;
}

/** What is kept of the room when it is full. */
const KEPT_SHARE = 0.75;

/**
 * Periods between the collector and the scheduler's commit, bounded in bytes. Pure: no clock, no IO.
 *
 * A period waits without a number until it is sent for the first time; then it has one for ever. A report that was
 * sent may be committed although its acknowledgement was lost, so it is sent again as it was, under the same number
 * (the scheduler books a number once). Only what was never sent is merged, oldest first, when memory runs short;
 * when all of them merged are still too large, its lightest edges are dropped and counted in its losses.
 *
 * Invariant: bufferedBytes <= maxBytes after every call (but for one report of one edge). Sent reports take at most
 * half of it, so that there is always room to merge in.
 */
export class ReportQueue {
  readonly #maxBytes: number;
  /** Ascending and without gaps in `seq`. The first `#handedOut` of them were written to the present stream. */
  #sent: NumberedPeriod[] = [];
  #handedOut = 0;
  #waiting: StoredPeriod[] = [];
  #sentBytes = 0;
  #waitingBytes = 0;
  #committedSeq = 0;
  #nextSeq = 1;
  #maxEdges: number;
  #welcomed = false;
  #carried: Losses = NO_LOSSES;
  #mergedPeriods = 0;
  #droppedEdges = 0;
  #droppedBytes = 0;
  #refusedReports = 0;
  #revision = 0;
  #isRestored = false;
  /** No period was offered since `restore`. */
  #isUntold = false;
  /** The next period is in doubt. */
  #doubtNext = false;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
    this.#maxEdges = edgesWithin(maxBytes / 2);
  }

  /** Another one after every change that `save` tells and that is not a number given to the oldest waiting period. */
  get revision(): number {
    return this.#revision;
  }

  /** The highest number given. */
  get lastSeq(): number {
    return this.#nextSeq - 1;
  }

  /** Shares the periods, which never change. */
  save(): SavedQueue {
    return {
      sent: [...this.#sent],
      waiting: [...this.#waiting],
      carried: this.#carried,
      nextSeq: this.#nextSeq,
      numbered: [],
    };
  }

  /**
   * Takes up what another one saved, into an empty one. What may have been sent goes out again under the same number.
   * Throws RangeError, and is then of no use, if the numbers do not fit.
   */
  restore({ sent, waiting, carried, nextSeq, numbered }: SavedQueue): void {
    this.#sent = [...sent];
    this.#waiting = [...waiting];
    this.#sentBytes = sent.reduce((bytes, { period }) => bytes + period.bytes, 0);
    this.#waitingBytes = waiting.reduce((bytes, period) => bytes + period.bytes, 0);
    this.#carried = carried;
    this.#nextSeq = nextSeq;
    for (const { seq, edges } of numbered) {
      const first = this.#waiting[0];
      if (first === undefined || seq !== this.#nextSeq || edges > first.edges.n) {
        throw new RangeError(`report ${seq} of ${edges} edges is not the next`);
      }
      const [head, rest] = edges < first.edges.n ? splitPeriod(first, edges) : [first, undefined];
      this.#number(head, rest);
    }
    this.#isUntold = true;
    this.#isRestored = true;
    this.#shrink();
  }

  /** Takes a period that ended at `endMs`. Its arrays belong to the queue from now on. */
  offer(period: MeasuredPeriod, endMs: number): void {
    const item = storePeriod(period, endMs);
    this.#revision++;
    this.#isUntold = false;
    if (this.#doubtNext) {
      this.#doubtNext = false;
      this.#drop(item);
      return;
    }
    this.#waiting.push(item);
    this.#waitingBytes += item.bytes;
    this.#shrink();
  }

  /** A new stream is open; `maxEdges` (0: no limit) is what the scheduler takes in one report. */
  welcome(committedSeq: number, maxEdges: number): void {
    this.#handedOut = 0;
    this.#welcomed = true;
    if (this.#isRestored && committedSeq >= this.#nextSeq) this.#doubt();
    this.#forget(committedSeq);
    this.#committedSeq = committedSeq;
    this.#nextSeq = Math.max(this.#nextSeq, committedSeq + 1);
    const fits = edgesWithin(this.#maxBytes / 2);
    this.#maxEdges = maxEdges === 0 ? fits : Math.min(maxEdges, fits);
    if (this.#sent.some(({ period }) => period.edges.n > this.#maxEdges)) this.#unsend();
  }

  /** The stream is gone: everything unacknowledged goes out again after the next welcome. */
  disconnected(): void {
    this.#handedOut = 0;
    this.#welcomed = false;
  }

  /** The scheduler committed `seq` and all below. */
  acknowledge(seq: number): void {
    const committed = Math.min(seq, this.#nextSeq - 1);
    this.#forget(committed);
    this.#committedSeq = Math.max(this.#committedSeq, committed);
  }

  /** Reports written to the present stream and not acknowledged. */
  get outstanding(): number {
    return this.#handedOut;
  }

  get isEmpty(): boolean {
    return this.#sent.length === 0 && this.#waiting.length === 0;
  }

  /** The next report to write to the stream; undefined while there is none, or too much is unacknowledged. */
  next(): NumberedPeriod | undefined {
    if (!this.#welcomed) return undefined;
    const again = this.#sent[this.#handedOut];
    if (again !== undefined) {
      this.#handedOut++;
      return again;
    }
    const first = this.#waiting[0];
    if (first === undefined) return undefined;
    const isLarge = first.edges.n > this.#maxEdges;
    const [head, rest] = isLarge ? splitPeriod(first, this.#maxEdges) : [first, undefined];
    if (this.#sent.length > 0 && this.#sentBytes + head.bytes > this.#maxBytes / 2) return undefined;
    const numbered = this.#number(head, rest);
    this.#handedOut++;
    // Two parts take a little more than the whole.
    this.#shrink(1);
    return numbered;
  }

  /** `head` and `rest`: the oldest waiting period. */
  #number(head: StoredPeriod, rest: StoredPeriod | undefined): NumberedPeriod {
    const [first] = this.#waiting.splice(0, 1, ...(rest === undefined ? [] : [rest]));
    this.#waitingBytes += (rest?.bytes ?? 0) - first!.bytes;
    const numbered = { seq: this.#nextSeq++, period: withLosses(head, this.#carried) };
    this.#carried = NO_LOSSES;
    this.#sent.push(numbered);
    this.#sentBytes += head.bytes;
    return numbered;
  }

  /** Gives the oldest sent report up; what it held is counted as lost in the next one. Its number stays a gap. */
  refuseOldest(): NumberedPeriod | undefined {
    const refused = this.#sent.shift();
    if (refused === undefined) return undefined;
    this.#sentBytes -= refused.period.bytes;
    this.#handedOut = Math.max(0, this.#handedOut - 1);
    this.#refusedReports++;
    this.#revision++;
    this.#drop(refused.period);
    return refused;
  }

  #drop(period: StoredPeriod): void {
    const losses = lossesOfDropping(period);
    this.#carried = addLosses(this.#carried, losses);
    this.#countDropped(losses, period.losses);
  }

  /**
   * The scheduler has numbers of these counters that were given after what was restored here was saved. What they
   * held is read from the kernel once more, up to the next period: it is not told again, and counted as dropped.
   */
  #doubt(): void {
    this.#revision++;
    for (const period of this.#waiting.splice(0)) this.#drop(period);
    this.#waitingBytes = 0;
    this.#doubtNext = this.#isUntold;
  }

  stats(): ReportQueueStats {
    return {
      unacknowledged: this.#sent.length,
      waiting: this.#waiting.length,
      bufferedBytes: this.#sentBytes + this.#waitingBytes,
      committedSeq: this.#committedSeq,
      lastSeq: this.#nextSeq - 1,
      mergedPeriods: this.#mergedPeriods,
      droppedEdges: this.#droppedEdges,
      droppedBytes: this.#droppedBytes,
      refusedReports: this.#refusedReports,
    };
  }

  #forget(committedSeq: number): void {
    while (this.#sent.length > 0 && this.#sent[0]!.seq <= committedSeq) {
      this.#sentBytes -= this.#sent.shift()!.period.bytes;
      this.#handedOut = Math.max(0, this.#handedOut - 1);
    }
  }

  /**
   * The scheduler came back with a smaller limit, so it was restarted, so it holds nothing of ours that it did not
   * tell us as committed: numbers above that can be given anew, to parts that fit.
   */
  #unsend(): void {
    this.#revision++;
    this.#nextSeq = this.#sent[0]!.seq;
    this.#waiting.unshift(...this.#sent.map(({ period }) => period));
    this.#waitingBytes += this.#sentBytes;
    this.#sent = [];
    this.#sentBytes = 0;
  }

  /**
   * Once there is too much, to three quarters of the room: merging a large old period with every new one would cost
   * as much each time, so it is done once in a while. The older half goes first, then all: recent periods stay apart
   * longest.
   */
  #shrink(keptShare = KEPT_SHARE): void {
    const room = this.#maxBytes - this.#sentBytes;
    if (this.#waitingBytes <= room) return;
    this.#revision++;
    const enough = room * keptShare;
    this.#mergeOldest(this.#waiting.length >>> 1);
    if (this.#waitingBytes > enough) this.#mergeOldest(this.#waiting.length);
    const only = this.#waiting[0];
    if (this.#waitingBytes <= room || only === undefined) return;
    const kept = keepHeaviest(only, edgesWithin(enough));
    this.#waiting[0] = kept;
    this.#waitingBytes += kept.bytes - only.bytes;
    this.#countDropped(kept.losses, only.losses);
  }

  #mergeOldest(count: number): void {
    const [first, ...others] = this.#waiting.slice(0, count);
    if (first === undefined || others.length === 0) return;
    this.#waiting.splice(0, count, mergePeriods([first, ...others]));
    this.#mergedPeriods += others.length;
    this.#waitingBytes = this.#waiting.reduce((bytes, item) => bytes + item.bytes, 0);
  }

  #countDropped(after: Losses, before: Losses): void {
    this.#droppedEdges += after.droppedEdges - before.droppedEdges;
    this.#droppedBytes += after.droppedBytes - before.droppedBytes;
  }
}
