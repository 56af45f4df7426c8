import type { Direction } from '../contract/bandwidth.ts';
import type { LimitState, Purpose } from '../enforce/types.ts';

/** One direction of a pod, as `netloom limits -o json` tells it. Rates are bits a second on the wire. */
export interface LimitRow {
  readonly namespace: string;
  readonly pod: string;
  readonly direction: Direction;
  /** The limit that holds, or would; null: none. */
  readonly configuredBps: number | null;
  /** What passes just now; null: not measured. */
  readonly measuredBps: number | null;
  readonly state: LimitState;
  /** Why it is so, where there is something to say. */
  readonly reason: string;
  /** The annotation cannot be used; what holds, if anything, is what it said before. */
  readonly invalid: boolean;
  /** Share of the last seconds during which packets waited, 0 to 1. */
  readonly throttledShare: number | null;
  /** Packets since the limit came to be; as shadow, what would have happened to them. */
  readonly delayed: number;
  readonly marked: number;
  readonly dropped: number;
  readonly passed: number;
  readonly passedBytes: number;
  readonly droppedBytes: number;
  /** Packets by the queue that they found, ns: those from the bucket before to this one; null: no end. */
  readonly queue: readonly { readonly belowNs: number | null; readonly packets: number }[];
  readonly interfaces: readonly string[];
  /** What 99 of 100 seconds asked for at most; null: seen for less than 100 seconds. */
  readonly demandP99Bps: number | null;
  /** A limit that those would not have felt; null: too early, or nothing was asked for. */
  readonly suggestedBps: number | null;
  readonly secondsSeen: number;
}

export interface LimitReport {
  readonly node: string;
  readonly purpose: Purpose;
  /** What holds packets back on this kernel, and where programs are attached. */
  readonly kernel: { readonly fq: boolean; readonly hooks: 'tcx' | 'clsact' | null };
  readonly slots: { readonly used: number; readonly most: number };
  /** false: the source of pods has not told of them yet. */
  readonly podsKnown: boolean;
  /** Things that people should know of: one sentence each. */
  readonly warnings: readonly string[];
  readonly rows: readonly LimitRow[];
}
