import { FULL_FRAME, TCP_PAYLOAD, UDP_FRAME, UDP_PAYLOAD, type Bench } from '../guest/bench.ts';
import type { Direction } from '../guest/limits.ts';
import type { Place } from '../guest/topology.ts';
import { ALL_KERNELS, NONE, about, type Case } from './case.ts';

/**
 * Limits in Mbit/s, the tolerance of goodput, and the windows: a flow that has just lost a packet holds back what it
 * received behind it, up to 20 ms of its rate, and all of that must be within the tolerance. How many segments a send of UDP
 * carries: single ones are bound by the CPU.
 */
const RATES = [
  { rate: 10, tolerance: 0.01, tcpMs: 2000, udpMs: 2000, segments: 1 },
  { rate: 100, tolerance: 0.005, tcpMs: 4000, udpMs: 1000, segments: 10 },
  { rate: 500, tolerance: 0.005, tcpMs: 4000, udpMs: 500, segments: 40 },
  { rate: 1000, tolerance: 0.005, tcpMs: 4000, udpMs: 500, segments: 40 },
] as const;

/** The losses of slow start are over by then. */
const WARM_MS = 1000;

const OFFERED = 1.2;

function places(direction: Direction): { from: Place; to: Place } {
  return direction === 'egress' ? { from: 'pod1', to: 'world' } : { from: 'world', to: 'pod1' };
}

async function limitOne(bench: Bench, direction: Direction, rate: number): Promise<void> {
  await bench.limit({ pod1: { [direction]: rate } });
}

/** Case 1: what arrives is the limit less the headers; case 2: fq never drops, in any of them. */
export const ACCURACY: readonly Case[] = RATES.flatMap(({ rate, tolerance, tcpMs, udpMs, segments }) =>
  (['egress', 'ingress'] as const).flatMap((direction) =>
    ([4, 6] as const).flatMap((family): Case[] => {
      const common = {
        number: 1,
        kernels: ALL_KERNELS,
        shift: rate > 100 ? 0 : 1,
      } as const;
      return [
        {
          ...common,
          ci: rate === 100 && direction === 'egress' && family === 4,
          id: `1-tcp${family}-${direction}-${rate}`,
          what: `4 TCP flows, IPv${family}, ${direction} ${rate} Mbit/s`,
          measure: async (bench) => {
            await limitOne(bench, direction, rate);
            return bench.tcp({
              ...places(direction),
              family,
              flows: 4,
              callers: 0,
              warmMs: WARM_MS,
              ms: tcpMs,
              limitMbit: rate,
            });
          },
          expected: {
            goodputMbit: about((rate * TCP_PAYLOAD[family]) / FULL_FRAME, tolerance),
            wirePercent: about(100, 0.005),
            fqDropped: NONE,
          },
        },
        {
          ...common,
          ci: rate === 100 && direction === 'ingress' && family === 6,
          id: `1-udp${family}-${direction}-${rate}`,
          what: `UDP at ${OFFERED} of the limit, IPv${family}, ${direction} ${rate} Mbit/s`,
          measure: async (bench) => {
            await limitOne(bench, direction, rate);
            return bench.udp({ ...places(direction), family, ms: udpMs, segments, offeredMbit: OFFERED * rate });
          },
          expected: { goodputMbit: about((rate * UDP_PAYLOAD) / UDP_FRAME[family], tolerance), fqDropped: NONE },
        },
      ];
    }),
  ),
);
