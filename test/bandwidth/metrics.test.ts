import { Registry } from 'prom-client';
import { expect, it } from 'vitest';
import { registerLimitMetrics } from '../../bandwidth/status/metrics.ts';
import { limitReport, limitRow } from './report-fixture.ts';

it('metrics tell what the table tells, and forget pods that went', async () => {
  const registry = new Registry();
  let report = limitReport([
    limitRow({
      state: 'shaped-htb',
      measuredBps: 5e6,
      throttledShare: 0.5,
      delayed: 3,
      dropped: 2,
      passed: 100,
      passedBytes: 1e5,
    }),
    limitRow({ direction: 'ingress', state: 'unsupported', configuredBps: null, measuredBps: null, invalid: true }),
  ]);
  registerLimitMetrics(
    registry,
    () => report,
    () => ({ waiting: 4, written: 3, failed: 2, dropped: 1 }),
  );
  const lines = async (): Promise<string[]> =>
    (await registry.metrics()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  const egress = 'namespace="shop",pod="cart",direction="egress"';
  const ingress = 'namespace="shop",pod="cart",direction="ingress"';
  const first = await lines();
  expect(first).toEqual(
    expect.arrayContaining([
      `netloom_limit_configured_bits_per_second{${egress}} 20000000`,
      `netloom_limit_measured_bits_per_second{${egress}} 5000000`,
      `netloom_limit_throttled_ratio{${egress}} 0.5`,
      `netloom_limit_delayed_packets_total{${egress}} 3`,
      `netloom_limit_dropped_packets_total{${egress}} 2`,
      `netloom_limit_passed_packets_total{${egress}} 100`,
      `netloom_limit_passed_bytes_total{${egress}} 100000`,
      `netloom_limit_annotation_invalid{${egress}} 0`,
      `netloom_limit_annotation_invalid{${ingress}} 1`,
      `netloom_limit_state{${egress},state="shaped-htb"} 1`,
      `netloom_limit_state{${ingress},state="unsupported"} 1`,
      'netloom_limit_slots{kind="used"} 2',
      'netloom_limit_slots{kind="most"} 1023',
      'netloom_limit_events_total{outcome="written"} 3',
      'netloom_limit_events_total{outcome="failed"} 2',
      'netloom_limit_events_total{outcome="dropped"} 1',
      'netloom_limit_events_waiting 4',
    ]),
  );
  expect(first.some((line) => line.startsWith(`netloom_limit_configured_bits_per_second{${ingress}`))).toBe(false);

  // Cumulative, as a histogram: each bucket holds those below it, the last one all.
  const buckets = first
    .filter((line) => line.startsWith(`netloom_limit_queue_packets_total{${egress}`))
    .map((line) => Number(line.split(' ').at(-1)));
  expect(buckets).toEqual([...buckets].sort((a, b) => a - b));
  expect(buckets.at(-1)).toBe(limitRow({}).queue.reduce((sum, { packets }) => sum + packets, 0));

  report = limitReport([limitRow({ pod: 'other', state: 'policed' })]);
  const later = await lines();
  expect(later.filter((line) => line.includes('pod="cart"'))).toEqual([]);
  expect(later).toContain('netloom_limit_state{namespace="shop",pod="other",direction="egress",state="policed"} 1');
});
