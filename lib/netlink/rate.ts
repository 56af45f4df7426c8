/**
 * struct tc_ratespec of linux/pkt_sched.h, and the scheduler's clock: buffers are given as the time that they last at
 * the rate, in ticks of 64 ns (PSCHED_SHIFT of net/pkt_sched.h; /proc/net/psched says the same). Pure.
 */

export const RATESPEC_SIZE = 12;
const TICK_NS = 64n;
const U32_MAX = 0xffffffff;
const LINKLAYER_ETHERNET = 1;
/** Log2 of the cells of the rate table that `tc` still sends; with a link layer named, the kernel computes itself. */
const CELL_LOG = 3;

export interface RateSpec {
  readonly bytesPerSecond: bigint;
  bytesInTicks(ticks: number): number;
}

/** @param rate64 the attribute beside it, which counts where the rate does not fit into 32 bits */
export function readRate(bytes: Buffer, at: number, rate64: bigint | undefined): RateSpec {
  const bytesPerSecond = rate64 ?? BigInt(bytes.readUInt32LE(at + 8));
  return {
    bytesPerSecond,
    bytesInTicks: (ticks) => Number((BigInt(ticks) * TICK_NS * bytesPerSecond + 500_000_000n) / 1_000_000_000n),
  };
}

export function writeRate(bytes: Buffer, at: number, bytesPerSecond: bigint): void {
  bytes.writeUInt8(CELL_LOG, at);
  bytes.writeUInt8(LINKLAYER_ETHERNET, at + 1);
  // tc's "no alignment".
  bytes.writeInt16LE(-1, at + 4);
  bytes.writeUInt32LE(fitsRate32(bytesPerSecond) ? Number(bytesPerSecond) : U32_MAX, at + 8);
}

export function fitsRate32(bytesPerSecond: bigint): boolean {
  return bytesPerSecond <= BigInt(U32_MAX);
}

/** Ticks that `size` bytes last, at least 1, at most what fits. */
export function ticksOf(size: number, bytesPerSecond: bigint): number {
  const ticks = (BigInt(size) * 1_000_000_000n) / (bytesPerSecond * TICK_NS);
  return Number(ticks < 1n ? 1n : ticks > BigInt(U32_MAX) ? BigInt(U32_MAX) : ticks);
}
