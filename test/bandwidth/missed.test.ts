import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { missedForSure, suspicions, type Departure } from '../../bandwidth/status/missed.ts';
import type { Passage } from '../../bandwidth/status/bypass.ts';

const MTU = 1514;

/** What left through an uplink: packets, how many of them met our program, and their bytes as the device counts them. */
interface Uplink {
  readonly packets: number;
  readonly met: number;
  readonly size?: number;
  /** As our program sees these packets, if it sees super-packets. */
  readonly metAs?: { readonly packets: number; readonly bytes: number };
}

function sample(...uplinks: Uplink[]): [Departure[], Passage] {
  const departures = uplinks.map(({ packets, size = MTU }, i) => ({
    ifindex: i + 1,
    packets: BigInt(packets),
    bytes: BigInt(packets * size),
  }));
  const met = uplinks.map(({ met: some, size = MTU, metAs }) => metAs ?? { packets: some, bytes: some * size });
  const sum = (key: 'packets' | 'bytes'): bigint => BigInt(met.reduce((total, one) => total + one[key], 0));
  return [departures, { packets: sum('packets'), bytes: sum('bytes') }];
}
const suspected = (...uplinks: Uplink[]): string =>
  [...suspicions(...sample(...uplinks))].map(([ifindex, suspicion]) => `${ifindex} ${suspicion}`).join(', ');
const sure = (candidates: number[], ...uplinks: Uplink[]): number[] => [
  ...missedForSure(...sample(...uplinks), new Set(candidates)),
];
/** 40 segments each, of which the device counts all headers. */
const tso = (packets: number): Uplink => ({
  packets,
  met: packets,
  metAs: { packets: Math.ceil(packets / 40), bytes: packets * (MTU - 66) },
});

describe('packets that missed our program at one of several uplinks', () => {
  it('are noticed there, however much leaves through the others', () => {
    expect(suspected({ packets: 1000, met: 0 })).toBe('1 missed');
    expect(suspected({ packets: 1000, met: 1000 }, { packets: 1000, met: 0 })).toBe('1 missed, 2 missed');
    expect(suspected({ packets: 100_000, met: 100_000 }, { packets: 1000, met: 0 })).toBe('1 met, 2 missed');
    expect(suspected({ packets: 100_000, met: 100_000 }, { packets: 1000, met: 600 })).toBe('1 met, 2 met');
    expect(suspected({ packets: 49, met: 0 }, { packets: 1000, met: 0 })).toBe('1 unknown, 2 missed');
  });

  it('are not what the headers of super-packets look like', () => {
    expect(suspected(tso(100_000))).toBe('1 met');
    expect(suspected(tso(100_000), { packets: 1000, met: 1000 })).toBe('1 met, 2 met');
    expect(suspected(tso(100_000), { packets: 1000, met: 1000, size: 66 }, tso(500))).toBe('1 met, 2 met, 3 met');
    // A bypass beside them still shows, if it is of more than a few.
    expect(suspected(tso(10_000), { packets: 5000, met: 0 })).toBe('1 met, 2 missed');
  });

  it('are laid to one of two suspects only where the other cannot have been it alone', () => {
    const passing: Uplink = { packets: 300, met: 300 };
    expect(sure([2], passing, { packets: 1000, met: 0 })).toEqual([2]);
    expect(sure([1, 2], passing, { packets: 1000, met: 0 })).toEqual([2]);
    expect(sure([1, 2], { packets: 300, met: 0 }, { packets: 1000, met: 0 })).toEqual([1, 2]);
    expect(sure([1, 2], { packets: 1000, met: 1000 }, { packets: 1000, met: 0 })).toEqual([]);
    expect(sure([1, 2], { packets: 3, met: 0 }, { packets: 3, met: 0 })).toEqual([]);
  });

  it('and nobody is blamed for certain at whose uplink all were met', () => {
    const uplink = fc.record({ packets: fc.integer({ min: 0, max: 1e6 }), isBypassed: fc.boolean() });
    fc.assert(
      fc.property(fc.array(uplink, { minLength: 1, maxLength: 5 }), (all) => {
        const uplinks = all.map(({ packets, isBypassed }) => ({ packets, met: isBypassed ? 0 : packets }));
        const found = suspicions(...sample(...uplinks));
        const bypassed = all.flatMap(({ isBypassed, packets }, i) => (isBypassed && packets >= 50 ? [i + 1] : []));
        // Each of these is suspected; and of all suspects, the innocent among them, none is blamed without reason.
        for (const ifindex of bypassed) expect(found.get(ifindex)).toBe('missed');
        const candidates = [...found].flatMap(([ifindex, suspicion]) => (suspicion === 'missed' ? [ifindex] : []));
        if (candidates.length < 2) return;
        const few = all.reduce((sum, { packets }) => sum + (packets < 50 ? packets : 0), 0);
        for (const ifindex of missedForSure(...sample(...uplinks), new Set(candidates))) {
          const { isBypassed, packets } = all[ifindex - 1]!;
          expect(isBypassed || packets <= 2 * few).toBe(true);
        }
      }),
      { numRuns: 1000 },
    );
  });
});
