import { LIMIT_QUEUE_BUCKETS, LIMIT_STAT } from './bpf/layout.ts';

/** What a slot did since it came to be; struct limit_stat of limit.h, summed over CPUs. */
export interface SlotStat {
  /** Came to the pod's interface. */
  readonly offeredPackets: bigint;
  readonly offeredBytes: bigint;
  /** Passed the limit. Grows, but for what was dropped at an uplink a moment after it was let out of the pod. */
  readonly packets: bigint;
  readonly bytes: bigint;
  readonly delayed: bigint;
  readonly marked: bigint;
  readonly droppedPackets: bigint;
  readonly droppedBytes: bigint;
  /** Of these, at an uplink (mode `htb`). */
  readonly droppedAtUplinks: bigint;
  /** Small packets that passed a queue at once. */
  readonly bypassed: bigint;
  /** Passed unjudged: small frames of ARP, neighbour discovery, IGMP, MLD. */
  readonly exemptPackets: bigint;
  readonly exemptBytes: bigint;
  /** Departure times of the pod's own that were taken away. */
  readonly stampsCleared: bigint;
  /** The clock was so far ahead that it started anew: a rate that was raised, or a defect. */
  readonly clockResets: bigint;
  /** Time during which packets waited; its growth over an interval is at most the interval. */
  readonly throttledNs: bigint;
  /** Packets by the queue that they found; see `queueBucketStartNs`. */
  readonly queue: readonly bigint[];
  /** Of the CPU that judged last: when, CLOCK_MONOTONIC. */
  readonly lastNs: bigint;
  /** The random number of the last packet that CE was considered for. */
  readonly lastRandom: number;
}

/** Where bucket `i` of `SlotStat.queue` starts; it ends where the next one starts, the last one has no end. */
export function queueBucketStartNs(i: number): number {
  return i === 0 ? 0 : 1024 * 2 ** (i - 1);
}

/** @param value one copy of the struct for each possible CPU, as a lookup in limit_stat returns it */
export function decodeSlotStat(value: Uint8Array): SlotStat {
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
  const { fields, size } = LIMIT_STAT;
  const copies = Array.from({ length: value.byteLength / size }, (_, cpu) => cpu * size);
  const sum = (offset: number): bigint =>
    copies.reduce((total, at) => total + view.getBigUint64(at + offset, true), 0n);
  const net = (gross: number, recalled: number): bigint => {
    const rest = sum(gross) - sum(recalled);
    return rest > 0n ? rest : 0n;
  };
  const lastNs = (at: number): bigint => view.getBigUint64(at + fields.last_ns.offset, true);
  const latest = copies.reduce((best, at) => (lastNs(at) > lastNs(best) ? at : best), 0);
  return {
    offeredPackets: sum(fields.offered_packets.offset),
    offeredBytes: sum(fields.offered_bytes.offset),
    packets: net(fields.packets.offset, fields.recalled_packets.offset),
    bytes: net(fields.bytes.offset, fields.recalled_bytes.offset),
    delayed: sum(fields.delayed.offset),
    marked: sum(fields.marked.offset),
    droppedPackets: sum(fields.dropped_packets.offset),
    droppedBytes: sum(fields.dropped_bytes.offset),
    droppedAtUplinks: sum(fields.recalled_packets.offset),
    bypassed: sum(fields.bypassed.offset),
    exemptPackets: sum(fields.exempt_packets.offset),
    exemptBytes: sum(fields.exempt_bytes.offset),
    stampsCleared: sum(fields.stamps_cleared.offset),
    clockResets: sum(fields.clock_resets.offset),
    throttledNs: net(fields.throttled_ns.offset, fields.recalled_ns.offset),
    queue: Array.from({ length: LIMIT_QUEUE_BUCKETS }, (_, i) => sum(fields.queue.offset + 8 * i)),
    lastNs: lastNs(latest),
    lastRandom: view.getUint32(latest + fields.last_random.offset, true),
  };
}
