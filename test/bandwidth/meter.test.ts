import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseBandwidth } from '../../bandwidth/contract/bandwidth.ts';
import { Meter } from '../../bandwidth/status/meter.ts';
import { stat } from './stat-fixture.ts';

/** Takes a sample a second of a slot to which so many bits a second come. */
function seen(bitsPerSecond: readonly number[]): Meter {
  const meter = new Meter();
  let bytes = 0n;
  meter.add({ atMs: 0, stat: stat({}) });
  for (const [i, bps] of bitsPerSecond.entries()) {
    bytes += BigInt(Math.round(bps / 8));
    meter.add({ atMs: 1000 * (i + 1), stat: stat({ offeredBytes: bytes, bytes }) });
  }
  return meter;
}

describe('what passes just now', () => {
  it('is not known before two samples, then the mean of the last ones', () => {
    const meter = new Meter();
    expect(meter.reading()).toEqual({ measuredBps: undefined, throttledShare: undefined });
    meter.add({ atMs: 5000, stat: stat({ bytes: 10_000n }) });
    expect(meter.reading().measuredBps).toBeUndefined();
    meter.add({ atMs: 6000, stat: stat({ bytes: 11_000n }) });
    expect(meter.reading()).toEqual({ measuredBps: 8000, throttledShare: 0 });
    meter.add({ atMs: 7000, stat: stat({ bytes: 14_000n }) });
    expect(meter.reading().measuredBps).toBe(16_000);
    // The first one is out of the window by now.
    meter.add({ atMs: 8000, stat: stat({ bytes: 14_000n }) });
    expect(meter.reading().measuredBps).toBe(12_000);
  });

  it('says which share of the time packets waited, never more than all of it', () => {
    const meter = new Meter();
    meter.add({ atMs: 0, stat: stat({}) });
    meter.add({ atMs: 1000, stat: stat({ throttledNs: 250_000_000n }) });
    expect(meter.reading().throttledShare).toBe(0.25);
    meter.add({ atMs: 2000, stat: stat({ throttledNs: 9_000_000_000n }) });
    expect(meter.reading().throttledShare).toBe(1);
  });

  it('is never negative, and a clock that stands makes no figure', () => {
    const meter = new Meter();
    meter.add({ atMs: 0, stat: stat({ bytes: 1000n, throttledNs: 1000n }) });
    meter.add({ atMs: 0, stat: stat({ bytes: 2000n }) });
    expect(meter.reading()).toEqual({ measuredBps: undefined, throttledShare: undefined });
    meter.add({ atMs: 1000, stat: stat({}) });
    expect(meter.reading()).toEqual({ measuredBps: 8000, throttledShare: 0 });
    expect(meter.seconds).toBe(1);
  });

  it('was counted for a moment though it is dropped at an uplink: no counter falls', () => {
    const meter = new Meter();
    meter.add({ atMs: 0, stat: stat({ packets: 10n, bytes: 1000n, throttledNs: 50n }) });
    meter.add({ atMs: 1000, stat: stat({ packets: 9n, bytes: 900n, throttledNs: 40n, droppedPackets: 1n }) });
    expect(meter.latest).toMatchObject({ packets: 10n, bytes: 1000n, throttledNs: 50n, droppedPackets: 1n });
    expect(meter.reading()).toEqual({ measuredBps: 0, throttledShare: 0 });
    meter.add({ atMs: 2000, stat: stat({ packets: 12n, bytes: 1200n, throttledNs: 60n }) });
    expect(meter.latest).toMatchObject({ packets: 12n, bytes: 1200n, throttledNs: 60n });
  });
});

describe('a proposed limit', () => {
  it('needs a hundred seconds', () => {
    const seconds = Array.from({ length: 100 }, () => 10e6);
    expect(seen(seconds.slice(1)).suggestedBps(1)).toBeUndefined();
    expect(seen(seconds.slice(1)).demandP99Bps()).toBeUndefined();
    expect(seen(seconds).seconds).toBe(100);
    expect(seen(seconds).suggestedBps(1)).toBeGreaterThan(10e6);
  });

  it('is of what was asked for, not of what passed', () => {
    const meter = new Meter();
    for (let i = 0; i <= 100; i++) {
      meter.add({
        atMs: 1000 * i,
        stat: stat({ offeredBytes: BigInt(i) * 5_000_000n, bytes: BigInt(i) * 1_000_000n }),
      });
    }
    expect(meter.demandP99Bps()).toBeGreaterThan(38e6);
    expect(meter.reading().measuredBps).toBe(8e6);
  });

  it('lets one second of a hundred be more', () => {
    const calm = Array.from({ length: 99 }, () => 10e6);
    expect(seen([...calm, 900e6]).demandP99Bps()).toBeLessThan(11e6);
    expect(seen([...calm.slice(1), 900e6, 900e6]).demandP99Bps()).toBeGreaterThan(900e6);
  });

  it('of a pod that asked for nothing is the least that is of use', () => {
    expect(seen(Array.from({ length: 100 }, () => 0)).demandP99Bps()).toBe(0);
    expect(seen(Array.from({ length: 100 }, () => 0)).suggestedBps(1_000_000)).toBe(1_000_000);
  });

  it('lies above the 99th percentile by a fifth to two fifths, has two digits, and an annotation takes it', () => {
    const demand = fc.array(fc.double({ min: 1e5, max: 1e14, noNaN: true }), { minLength: 100, maxLength: 300 });
    fc.assert(
      fc.property(demand, (seconds) => {
        const meter = seen(seconds);
        const sorted = [...seconds].sort((a, b) => a - b);
        const p99 = sorted[Math.ceil(0.99 * seconds.length) - 1]!;
        const told = meter.demandP99Bps()!;
        expect(told / p99).toBeGreaterThan(0.999);
        expect(told / p99).toBeLessThan(2 ** (1 / 8) + 0.001);
        const suggested = meter.suggestedBps(1)!;
        expect(suggested / told).toBeGreaterThanOrEqual(1.2 - 1e-9);
        expect(suggested / told).toBeLessThan(1.32);
        expect(String(suggested)).toMatch(/^\d{1,2}0*$/);
        expect(parseBandwidth(String(suggested)).kind).toBe('limit');
      }),
    );
  });

  it('takes no more memory however long it looks', () => {
    const meter = seen(Array.from({ length: 10_000 }, (_, i) => 1e6 * (1 + (i % 50))));
    expect(meter.seconds).toBe(10_000);
    expect(meter.demandP99Bps()! / 50e6).toBeLessThan(1.1);
  });
});
