import type { FqOptions } from '../../lib/netlink/qdisc-options.ts';

/** The virtual queue of the program drops what would wait longer than this. */
const HARD_SECONDS = 0.04;
const MARGIN = 1.2;
/** A full UDP packet of 1,400 bytes on the wire. */
const FULL_PACKET_BYTES = 1442;
const SMALL_PACKET_BYTES = 64;

/** What the measurements ran with; holds for full packets up to 1 Gbit/s. */
const LEAST_FLOW_LIMIT = 4000;
const LEAST_LIMIT = 40_000;
/** Queued small packets take about 1 KiB of kernel memory each: 100 MB for a flow, 512 MB for a device. */
const MOST_SMALL_FLOW = 100_000;
const MOST_SMALL_ALL = 1 << 19;
const U32_MAX = 0xffffffff;

/**
 * Parameters of fq such that it never drops what the program let through: all the packets that fit into 40 ms at the
 * pods' rates, even if they are small, as long as that is bounded; full-sized ones at any rate. `orphanMask`: forwarded
 * packets have no socket, and fq would fold them into 1,024 flows by hash, where a packet that need not wait waits for a
 * bulk flow with the same hash. All else is fq's default. Pure.
 * @param podRates limits of the pods whose packets the device sends, bytes per second
 */
export function fqSettings(
  podRates: readonly bigint[],
): FqOptions & { readonly limit: number; readonly flowLimit: number } {
  const full = podRates.map((rate) => packetsIn(rate, FULL_PACKET_BYTES));
  const small = podRates.map((rate) => packetsIn(rate, SMALL_PACKET_BYTES));
  const sum = (list: readonly number[]): number => list.reduce((total, value) => total + value, 0);
  const flowLimit = bounded(LEAST_FLOW_LIMIT, Math.max(0, ...full), Math.max(0, ...small), MOST_SMALL_FLOW);
  const limit = bounded(Math.max(LEAST_LIMIT, 2 * flowLimit), sum(full), sum(small), MOST_SMALL_ALL);
  return { kind: 'fq', limit, flowLimit, orphanMask: 65_535 };
}

function packetsIn(bytesPerSecond: bigint, packetBytes: number): number {
  return Math.ceil((MARGIN * HARD_SECONDS * Number(bytesPerSecond)) / packetBytes);
}

/** At least what full packets need, and as much of what small ones need as `most` allows. */
function bounded(least: number, full: number, small: number, most: number): number {
  return Math.min(U32_MAX, Math.max(least, full, Math.min(small, most)));
}
