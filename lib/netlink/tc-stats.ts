import type { Attributes } from './attributes.ts';
import { TCA_STATS2 } from './tc-message.ts';

/** TCA_STATS2 (linux/gen_stats.h). Pure. */

const TCA_STATS_BASIC = 1;
const TCA_STATS_QUEUE = 3;
const TCA_STATS_APP = 4;
const TCA_STATS_PKT64 = 8;

/** Since the qdisc or class was made. */
export interface TcStats {
  readonly bytes: bigint;
  readonly packets: bigint;
  readonly drops: number;
  readonly overlimits: number;
  readonly requeues: number;
  /** Waiting now. */
  readonly backlogBytes: number;
  readonly backlogPackets: number;
}

/** struct tc_fq_qd_stats. */
export interface FqStats {
  /** Times that a flow had to wait for its departure time. */
  readonly throttled: bigint;
  /** Packets dropped because their flow was full. */
  readonly flowsPlimit: bigint;
  readonly ceMark: bigint;
  /** Packets dropped (or capped) because they were to leave beyond the horizon. */
  readonly horizonDrops: bigint;
  readonly horizonCaps: bigint;
  readonly allocationErrors: bigint;
  readonly flows: number;
  readonly throttledFlows: number;
  /** Packets dropped because their band was full; absent before Linux 6.7. */
  readonly bandDrops?: readonly bigint[];
}

export function readTcStats(attributes: Attributes): TcStats {
  const stats = attributes.nested(TCA_STATS2);
  const basic = stats.bytes(TCA_STATS_BASIC);
  const queue = stats.bytes(TCA_STATS_QUEUE);
  const counter = (at: number): number => (queue !== undefined && queue.length >= at + 4 ? queue.readUInt32LE(at) : 0);
  const known = basic !== undefined && basic.length >= 12;
  return {
    bytes: known ? basic.readBigUInt64LE(0) : 0n,
    packets: stats.u64(TCA_STATS_PKT64) ?? (known ? BigInt(basic.readUInt32LE(8)) : 0n),
    backlogPackets: counter(0),
    backlogBytes: counter(4),
    drops: counter(8),
    requeues: counter(12),
    overlimits: counter(16),
  };
}

/** Undefined: the qdisc tells none. */
export function readFqStats(attributes: Attributes): FqStats | undefined {
  const app = attributes.nested(TCA_STATS2).bytes(TCA_STATS_APP);
  if (app === undefined || app.length < 104) return undefined;
  const u64 = (at: number): bigint => app.readBigUInt64LE(at);
  return {
    throttled: u64(24),
    flowsPlimit: u64(32),
    allocationErrors: u64(48),
    flows: app.readUInt32LE(64),
    throttledFlows: app.readUInt32LE(72),
    ceMark: u64(80),
    horizonDrops: u64(88),
    horizonCaps: u64(96),
    ...(app.length < 136 ? {} : { bandDrops: [u64(112), u64(120), u64(128)] }),
  };
}
