import { ALL_KERNELS, NONE, type Case } from './case.ts';

/** Case 15: a super-packet of 64 KB is half a second at 1 Mbit/s; it passes, and is charged whole. */
export const SUPER_PACKETS: readonly Case[] = [
  // The calls alone are a quarter of 1 Mbit/s, which is all that may pass small.
  { rate: 1, leastPercent: 94 },
  { rate: 2, leastPercent: 99 },
  { rate: 5, leastPercent: 99 },
].map(({ rate, leastPercent }): Case => ({
  id: `15-gso-${rate}`,
  number: 15,
  what: `4 flows with super-packets at ${rate} Mbit/s, 10 s`,
  kernels: ALL_KERNELS,
  shift: 1,
  measure: async (bench) => {
    await bench.limit({ pod1: { egress: rate } });
    return bench.tcp({ from: 'pod1', to: 'world', flows: 4, pauseMs: 5, warmMs: 1000, ms: 10_000, limitMbit: rate });
  },
  expected: { wirePercent: { min: leastPercent, max: 101 }, fqDropped: NONE },
}));
