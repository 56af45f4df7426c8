import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { emptyQueue, judge, queueBucket, rampMarks, type Arrival } from '../../bandwidth/model/virtual-queue.ts';
import { slotConfig } from '../../bandwidth/slot-config.ts';
import { queueBucketStartNs } from '../../bandwidth/slot-stat.ts';

const MS = 1_000_000n;
const START = 1_000_000_000_000n;
const rateBps = fc.constantFrom(64_000n, 10n ** 6n, 10n ** 8n, 10n ** 9n, 10n ** 10n);

const packet = fc.record({
  gapNs: fc.oneof(fc.bigInt(0n, 10_000n), fc.bigInt(0n, 30n * MS)),
  wireBytes: fc.oneof(fc.integer({ min: 60, max: 1514 }), fc.integer({ min: 60, max: 524_280 })),
  hash: fc.integer({ min: 0, max: 5 }).map((flow) => flow * 7919),
  ecn: fc.boolean(),
  random: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
});

const arrivals = fc.array(packet, { minLength: 1, maxLength: 200 }).map((packets) => {
  let nowNs = START;
  return packets.map(({ gapNs, ...rest }): Arrival => ({ ...rest, nowNs: (nowNs += gapNs) }));
});

describe('the virtual queue', () => {
  it('lets no more through than the rate and what may wait', () => {
    fc.assert(
      fc.property(rateBps, arrivals, (bps, packets) => {
        const config = slotConfig({ rateBps: bps, mode: 'stamp', cpus: 2 });
        const state = emptyQueue();
        let bytes = 0n;
        let last = 0n;
        for (const each of packets) {
          if (judge(config, state, each).kind === 'drop') continue;
          bytes += BigInt(each.wireBytes);
          last = BigInt(each.wireBytes);
        }
        const elapsed = packets.at(-1)!.nowNs - START + BigInt(config.hardNs);
        // Small ones of idle flows pass a longer queue, at a quarter of the rate.
        const sparse = elapsed / 4n + BigInt(config.sparseCreditNs);
        const allowed = ((elapsed + sparse) * config.rateBytesPerSecond) / 1_000_000_000n + 256n;
        expect(bytes - last).toBeLessThanOrEqual(allowed + 524_280n);
      }),
    );
  });

  it('keeps the order of every flow', () => {
    fc.assert(
      fc.property(rateBps, arrivals, (bps, packets) => {
        const config = slotConfig({ rateBps: bps, mode: 'stamp', cpus: 2 });
        const state = emptyQueue();
        const departures = new Map<number, bigint>();
        for (const each of packets) {
          const verdict = judge(config, state, each);
          if (verdict.kind === 'drop') continue;
          const departure = verdict.kind === 'delay' ? verdict.departureNs : each.nowNs;
          expect(departure).toBeGreaterThanOrEqual(departures.get(each.hash) ?? 0n);
          departures.set(each.hash, departure);
        }
      }),
    );
  });

  it('was throttled for as long as packets waited', () => {
    fc.assert(
      fc.property(fc.constantFrom(10n ** 8n, 10n ** 9n), arrivals, (bps, packets) => {
        // All queue in order: no small packets, no losses.
        const config = { ...slotConfig({ rateBps: bps, mode: 'stamp', cpus: 2 }), smallBytes: 0, ecn: false };
        const deep = { ...config, dropNs: 4_000_000_000, hardNs: 4_000_000_000, maxAheadNs: 1n << 50n };
        const state = emptyQueue();
        let throttled = 0n;
        const waits: [bigint, bigint][] = [];
        for (const each of packets.map((one) => ({ ...one, wireBytes: 1500 }))) {
          const verdict = judge(deep, state, each);
          if (verdict.kind !== 'delay') continue;
          throttled += verdict.throttledNs;
          waits.push([each.nowNs, verdict.departureNs]);
        }
        let union = 0n;
        let until = 0n;
        for (const [from, to] of waits) {
          if (to > until) union += to - (from > until ? from : until);
          if (to > until) until = to;
        }
        expect(throttled).toBe(union);
      }),
    );
  });

  it("marks none at the ramp's start, all at its end, and half in the middle", () => {
    const config = slotConfig({ rateBps: 10n ** 8n, mode: 'stamp', cpus: 2 });
    const share = (aheadNs: bigint): number => {
      const randoms = Array.from({ length: 1000 }, (_, i) => Math.floor((i * 2 ** 32) / 1000));
      return randoms.filter((random) => rampMarks(config, aheadNs, random)).length / 1000;
    };
    expect([1n * MS, (21n * MS) / 2n, 20n * MS, 39n * MS].map(share)).toEqual([0, 0.5, 1, 1]);
  });

  it('is counted in the bucket that it fell in', () => {
    for (const ns of [0n, 1023n, 1024n, 2047n, 2048n, 20n * MS, 1n << 40n]) {
      const bucket = queueBucket(ns);
      expect(Number(ns)).toBeGreaterThanOrEqual(queueBucketStartNs(bucket));
      if (bucket < 23) expect(Number(ns)).toBeLessThan(queueBucketStartNs(bucket + 1));
    }
  });
});
