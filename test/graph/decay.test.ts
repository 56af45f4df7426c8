import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EPOCH_MS, LONG_HALF_LIFE_MS, SHORT_HALF_LIFE_MS, estimate } from '../../scheduler/graph/decay.ts';
import { Edges, periodOf } from '../../scheduler/graph/edges.ts';
import { DEFAULT_GRAPH_OPTIONS } from '../../scheduler/graph/options.ts';
import { report } from './fixture.ts';

interface Delivery {
  readonly startMs: number;
  readonly endMs: number;
  readonly bytes: number;
}

/** The definition, by adding up small steps of time: the observed rate weighted by how long ago it was. */
function twin(deliveries: readonly Delivery[], halfLifeMs: number, watermarkMs: number): number {
  const lambda = Math.LN2 / halfLifeMs;
  let sum = 0;
  for (const { startMs, endMs, bytes } of deliveries) {
    if (startMs === endMs) {
      sum += bytes * 1000 * lambda * Math.exp(-lambda * (watermarkMs - endMs));
      continue;
    }
    const steps = 400;
    const dt = (endMs - startMs) / steps;
    const rate = (bytes / (endMs - startMs)) * 1000;
    for (let i = 0; i < steps; i++) {
      sum += rate * lambda * Math.exp(-lambda * (watermarkMs - (startMs + (i + 0.5) * dt))) * dt;
    }
  }
  const firstMs = Math.min(...deliveries.map((d) => d.startMs));
  return sum / (1 - Math.exp(-lambda * Math.max(watermarkMs - firstMs, 1000)));
}

function book(deliveries: readonly Delivery[]): Edges {
  const edges = new Edges(DEFAULT_GRAPH_OPTIONS);
  edges.makeRoom(10, 0);
  const client = edges.endpoints.internWorkload({ namespace: 'a', kind: 'Deployment', name: 'client' });
  const server = edges.endpoints.internWorkload({ namespace: 'a', kind: 'Deployment', name: 'server' });
  for (const [i, d] of deliveries.entries()) {
    const { edges: columns } = report({ seq: 1 }, [
      { local: '10.0.0.1', remote: '10.0.0.2', role: 'server', received: d.bytes },
    ]);
    edges.book(columns, 0, client, server, 12, true, periodOf(d.startMs, d.endMs), i % 3);
  }
  return edges;
}

const delivery = fc
  .record({
    startMs: fc.integer({ min: 0, max: 3 * EPOCH_MS }),
    lengthMs: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 60_000 }), fc.integer({ min: 1, max: 4 * 3_600_000 })),
    bytes: fc.integer({ min: 0, max: 1e12 }),
  })
  .map(({ startMs, lengthMs, bytes }) => ({ startMs, endMs: startMs + lengthMs, bytes }));

describe('decaying averages', () => {
  test('equal a brute-force integral for irregular, overlapping, unordered and instant deliveries', () => {
    fc.assert(
      fc.property(
        fc.array(delivery, { minLength: 1, maxLength: 12 }),
        fc.integer({ min: 0, max: EPOCH_MS }),
        (all, laterMs) => {
          const edges = book(all);
          const watermarkMs = Math.max(...all.map((d) => d.endMs)) + laterMs;
          for (const [halfLifeMs, rates] of [
            [SHORT_HALF_LIFE_MS, edges.shortRates(edges.workloads, 0, watermarkMs)],
            [LONG_HALF_LIFE_MS, edges.longRates(edges.workloads, 0, watermarkMs)],
          ] as const) {
            const expected = twin(all, halfLifeMs, watermarkMs);
            // The twin's own steps err by up to (lambda dt)^2 / 24.
            expect(Math.abs(rates.out - expected)).toBeLessThanOrEqual(expected * 1e-4 + 1e-9);
            expect(rates.in).toBe(0);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  test('do not depend on the order of deliveries', () => {
    fc.assert(
      fc.property(fc.array(delivery, { minLength: 2, maxLength: 12 }), (all) => {
        const watermarkMs = Math.max(...all.map((d) => d.endMs));
        const forward = book(all);
        const back = book([...all].reverse());
        const a = forward.longRates(forward.workloads, 0, watermarkMs).out;
        const b = back.longRates(back.workloads, 0, watermarkMs).out;
        expect(Math.abs(a - b)).toBeLessThanOrEqual(1e-9 * Math.max(a, b, 1e-6));
      }),
    );
  });

  test('estimate a constant rate exactly from the first period on', () => {
    for (const periods of [1, 2, 50]) {
      const all = Array.from({ length: periods }, (_, i) => ({
        startMs: 5e8 + i * 10_000,
        endMs: 5e8 + (i + 1) * 10_000,
        bytes: 10_000,
      }));
      const edges = book(all);
      const end = 5e8 + periods * 10_000;
      expect(edges.shortRates(edges.workloads, 0, end).out).toBeCloseTo(1000, 6);
      expect(edges.longRates(edges.workloads, 0, end).out).toBeCloseTo(1000, 6);
    }
  });

  test('halve after a half-life of observed silence, and reach zero without NaN', () => {
    // A long history, so that the observed time is "always" for the short average.
    const all = Array.from({ length: 3000 }, (_, i) => ({
      startMs: i * 10_000,
      endMs: (i + 1) * 10_000,
      bytes: 10_000,
    }));
    const edges = book(all);
    const end = 30_000_000;
    expect(edges.shortRates(edges.workloads, 0, end + SHORT_HALF_LIFE_MS).out).toBeCloseTo(500, 0);
    for (const days of [1, 10, 400, 40_000]) {
      const rates = edges.shortRates(edges.workloads, 0, end + days * EPOCH_MS);
      expect(rates.out).toBeGreaterThanOrEqual(0);
      expect(rates.out).toBeLessThan(1e-3);
      expect(edges.longRates(edges.workloads, 0, end + days * EPOCH_MS).out).toBeGreaterThanOrEqual(0);
    }
  });

  test('time that nobody observed weighs nothing', () => {
    const edges = book([{ startMs: 0, endMs: 600_000, bytes: 600_000 }]);
    edges.gap(0, 600_000, 600_000 + 5 * 3_600_000);
    const resume = 600_000 + 5 * 3_600_000;
    const { edges: columns } = report({ seq: 1 }, [
      { local: '10.0.0.1', remote: '10.0.0.2', role: 'server', received: 10_000 },
    ]);
    const [client, server] = [edges.workloads.ints[0]!, edges.workloads.ints[1]!];
    edges.book(columns, 0, client, server, 12, true, periodOf(resume, resume + 10_000), 0);
    expect(edges.shortRates(edges.workloads, 0, resume + 10_000).out).toBeCloseTo(1000, 3);
    expect(edges.longRates(edges.workloads, 0, resume + 10_000).out).toBeCloseTo(1000, 3);
  });

  test('an instant alone has a finite estimate', () => {
    const edges = book([{ startMs: 1e6, endMs: 1e6, bytes: 500 }]);
    expect(edges.longRates(edges.workloads, 0, 1e6).out).toBeCloseTo(500, 0);
  });

  test('a watermark before the first period is not divided by', () => {
    expect(Number.isFinite(estimate(SHORT_HALF_LIFE_MS, 0, 5, 0, 2_000, 1_000))).toBe(true);
  });
});
