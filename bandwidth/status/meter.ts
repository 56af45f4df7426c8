import type { SlotStat } from '../slot-stat.ts';

/** A reading of a slot's counters. */
export interface Sample {
  readonly atMs: number;
  readonly stat: SlotStat;
}

/** What a slot does just now. */
export interface Reading {
  /** Bits a second that pass, over the window; undefined: not seen for long enough. */
  readonly measuredBps: number | undefined;
  /** Share of the window during which packets waited, 0 to 1. */
  readonly throttledShare: number | undefined;
}

/** Samples that a rate is taken over: with one a second two to three seconds. */
const WINDOW_SAMPLES = 3;
/** Buckets a factor of two; 1 kbit/s to 1 Pbit/s are 40 of these. */
const PER_OCTAVE = 8;
const LEAST_BPS = 1000;
const BUCKETS = 41 * PER_OCTAVE;
/** Seconds of which a p99 says something. */
const LEAST_SECONDS = 100;
const HEADROOM = 1.2;

/** Figures of one slot over time; bounded: three samples and 328 counters. Times are given, so that it is pure. */
export class Meter {
  readonly #samples: Sample[] = [];
  /** Seconds by what was asked for in them. */
  readonly #demand = new Uint32Array(BUCKETS);
  #seconds = 0;

  add(sample: Sample): void {
    const last = this.#samples.at(-1);
    if (last !== undefined) this.#noteDemand(last, sample);
    this.#samples.push(last === undefined ? sample : { ...sample, stat: grown(last.stat, sample.stat) });
    if (this.#samples.length > WINDOW_SAMPLES) this.#samples.shift();
  }

  get latest(): SlotStat | undefined {
    return this.#samples.at(-1)?.stat;
  }

  reading(): Reading {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    const ms = first === undefined || last === undefined ? 0 : last.atMs - first.atMs;
    if (first === undefined || last === undefined || ms <= 0) {
      return { measuredBps: undefined, throttledShare: undefined };
    }
    const bytes = Number(last.stat.bytes - first.stat.bytes);
    const throttledMs = Number(last.stat.throttledNs - first.stat.throttledNs) / 1e6;
    return {
      measuredBps: Math.max(0, Math.round((bytes * 8 * 1000) / ms)),
      throttledShare: Math.min(1, Math.max(0, throttledMs / ms)),
    };
  }

  /** Seconds of demand seen. */
  get seconds(): number {
    return this.#seconds;
  }

  /** What 99 of 100 seconds asked for at most, bits a second; undefined: too few seconds yet. */
  demandP99Bps(): number | undefined {
    if (this.#seconds < LEAST_SECONDS) return undefined;
    let left = Math.ceil(this.#seconds * 0.99);
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      left -= this.#demand[bucket]!;
      if (left <= 0) return bucket === 0 ? 0 : Math.round(LEAST_BPS * 2 ** (bucket / PER_OCTAVE));
    }
    return undefined;
  }

  /** A limit that 99 of 100 seconds would not have felt, with a fifth to spare; two digits. */
  suggestedBps(leastBps: number): number | undefined {
    const p99 = this.demandP99Bps();
    return p99 === undefined ? undefined : roundUp(Math.max(p99 * HEADROOM, leastBps));
  }

  #noteDemand(before: Sample, after: Sample): void {
    const ms = after.atMs - before.atMs;
    if (ms <= 0) return;
    const bps = (Number(after.stat.offeredBytes - before.stat.offeredBytes) * 8000) / ms;
    this.#seconds++;
    this.#demand[bucketOf(bps)]!++;
  }
}

/** What passed the pod's interface and is dropped at an uplink was counted as passed for a moment: a counter never falls. */
function grown(before: SlotStat, now: SlotStat): SlotStat {
  const highest = (a: bigint, b: bigint): bigint => (a > b ? a : b);
  return {
    ...now,
    packets: highest(before.packets, now.packets),
    bytes: highest(before.bytes, now.bytes),
    throttledNs: highest(before.throttledNs, now.throttledNs),
  };
}

/** Bucket 0 is below 1 kbit/s; bucket i ends at 1 kbit/s x 2^(i/8). */
function bucketOf(bps: number): number {
  if (bps < LEAST_BPS) return 0;
  return Math.min(BUCKETS - 1, Math.floor(Math.log2(bps / LEAST_BPS) * PER_OCTAVE) + 1);
}

function roundUp(value: number): number {
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(value)) - 1);
  return Math.ceil(value / unit) * unit;
}
