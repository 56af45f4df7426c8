import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ReportQueue, type NumberedPeriod } from '../../collector/report/report-queue.ts';
import { NO_COST, NO_LOSSES } from '../../proto/report.ts';
import { payload, periodOf } from '../support/report-rig.ts';

type Step =
  | { readonly kind: 'offer'; readonly bytes: number; readonly edges: number; readonly firstPeer: number }
  | { readonly kind: 'send'; readonly count: number }
  | { readonly kind: 'commit'; readonly count: number; readonly ackLost: boolean }
  | { readonly kind: 'reconnect'; readonly maxEdges: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('offer' as const),
      bytes: fc.integer({ min: 1, max: 100 }),
      edges: fc.nat(80),
      firstPeer: fc.nat(300),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('send' as const), count: fc.integer({ min: 1, max: 5 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('commit' as const),
      count: fc.integer({ min: 1, max: 5 }),
      ackLost: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('reconnect' as const), maxEdges: fc.constantFrom(0, 0, 7, 50) }),
  },
);

/** A scheduler in ten lines: books a number once, and remembers what it committed. */
class Scheduler {
  committedSeq = 0;
  received: NumberedPeriod[] = [];
  bytes = 0;
  droppedBytes = 0;
  droppedEdges = 0;
  merged = 0;

  commit(count: number): number {
    for (const { seq, period } of this.received.splice(0, count)) {
      if (seq <= this.committedSeq) continue;
      expect(seq).toBe(this.committedSeq + 1);
      this.committedSeq = seq;
      this.bytes += payload(period);
      this.droppedBytes += period.losses.droppedBytes;
      this.droppedEdges += period.losses.droppedEdges;
      this.merged += period.merged;
    }
    return this.committedSeq;
  }
}

describe('whatever happens between agent and scheduler', () => {
  test('every byte is booked once or counted as dropped, within the bound', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), fc.integer({ min: 30_000, max: 200_000 }), (steps, maxBytes) => {
        const queue = new ReportQueue(maxBytes);
        const scheduler = new Scheduler();
        let offered = 0;
        let clockMs = 0;
        const check = () => {
          expect(queue.stats().bufferedBytes).toBeLessThanOrEqual(maxBytes);
          expect(queue.outstanding).toBeLessThanOrEqual(queue.stats().unacknowledged);
        };
        const send = (count: number) => {
          for (let i = 0; i < count; i++) {
            const next = queue.next();
            if (next !== undefined) scheduler.received.push(next);
          }
        };
        for (const s of steps) {
          if (s.kind === 'offer') {
            offered += s.bytes * s.edges;
            queue.offer(periodOf(s.bytes, s.edges, s.firstPeer), (clockMs += 1000));
          } else if (s.kind === 'send') send(s.count);
          else if (s.kind === 'commit') {
            const committed = scheduler.commit(s.count);
            if (!s.ackLost) queue.acknowledge(committed);
          } else {
            queue.disconnected();
            expect(queue.next()).toBeUndefined();
            scheduler.received = [];
            queue.welcome(scheduler.committedSeq, s.maxEdges);
          }
          check();
        }
        queue.disconnected();
        scheduler.received = [];
        queue.welcome(scheduler.committedSeq, 0);
        while (!queue.isEmpty) {
          send(1);
          queue.acknowledge(scheduler.commit(1));
          check();
        }
        expect(scheduler.bytes + scheduler.droppedBytes).toBe(offered);
        expect(queue.stats()).toMatchObject({
          droppedBytes: scheduler.droppedBytes,
          droppedEdges: scheduler.droppedEdges,
          bufferedBytes: 0,
        });
      }),
      { numRuns: 300 },
    );
  });
});

describe('merging', () => {
  test('what was sent stays as it was; only what waits is merged', () => {
    const queue = new ReportQueue(100_000);
    queue.welcome(0, 0);
    queue.offer(periodOf(1, 10), 1000);
    const first = queue.next()!;
    for (let i = 2; i <= 100; i++) queue.offer(periodOf(1, 20, i), i * 1000);
    queue.disconnected();
    queue.welcome(0, 0);
    expect(queue.next()).toBe(first);
    const second = queue.next()!;
    expect(second.seq).toBe(2);
    expect(second.period.merged).toBeGreaterThan(1);
    expect(second.period.startMs).toBe(1000);
    expect(second.period.endMs).toBe(1000 + second.period.merged * 1000);
  });

  test('figures are added, gauges are the newest, minima the least', () => {
    const queue = new ReportQueue(14_000);
    const uplink = (txBytes: number, speedBps: number) =>
      ({ name: 'eth0', txBytes, rxBytes: 1, speedBps, speedSource: 'device' }) as const;
    for (let i = 1; i <= 40; i++) {
      const period = periodOf(i, 3);
      period.edges.minRttUs.fill(100 - i);
      period.edges.smoothedRttUs.fill(200 + i);
      queue.offer(
        {
          ...period,
          uplinks: [uplink(i, i)],
          losses: { ...NO_LOSSES, readFailed: 1 },
          cost: { ...NO_COST, cpuUs: 2, rssBytes: i },
        },
        i * 1000,
      );
    }
    queue.welcome(0, 0);
    const { period } = queue.next()!;
    const m = period.merged;
    expect(m).toBeGreaterThan(5);
    expect([...period.edges.bytesSent]).toEqual(Array(3).fill((m * (m + 1)) / 2));
    expect(period.edges.minRttUs[0]).toBe(100 - m);
    expect(period.edges.smoothedRttUs[0]).toBe(200 + m);
    expect(period.uplinks).toEqual([{ ...uplink((m * (m + 1)) / 2, m), rxBytes: m }]);
    expect(period.losses.readFailed).toBe(m);
    expect(period.cost).toMatchObject({ cpuUs: 2 * m, rssBytes: m });
  });

  test('of one period too large the heaviest edges stay', () => {
    const queue = new ReportQueue(60_000);
    const period = periodOf(1, 2000);
    for (let i = 0; i < 2000; i++) period.edges.bytesSent[i] = i + 1;
    queue.offer(period, 1000);
    queue.welcome(0, 0);
    let edges = 0;
    let bytes = 0;
    let dropped = 0;
    let least = Infinity;
    for (let next = queue.next(); next !== undefined; next = queue.next()) {
      edges += next.period.edges.n;
      bytes += payload(next.period);
      dropped += next.period.losses.droppedBytes;
      least = Math.min(least, ...next.period.edges.bytesSent);
      queue.acknowledge(next.seq);
    }
    expect(edges).toBeGreaterThan(200);
    expect(least).toBe(2001 - edges);
    expect(bytes + dropped).toBe(2_001_000);
    expect(queue.stats()).toMatchObject({ droppedEdges: 2000 - edges, droppedBytes: dropped });
  });

  test('a year of reports has no number twice, and an acknowledgement of the future is none', () => {
    const queue = new ReportQueue(100_000);
    queue.welcome(41, 0);
    queue.offer(periodOf(1), 0);
    expect(queue.next()!.seq).toBe(42);
    queue.acknowledge(9999);
    expect(queue.isEmpty).toBe(true);
    queue.offer(periodOf(1), 0);
    expect(queue.next()!.seq).toBe(43);
  });
});
