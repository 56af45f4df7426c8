import { Counter, Gauge, type Registry } from 'prom-client';
import { queueBucketStartNs } from '../slot-stat.ts';
import type { NoteStats } from './note-queue.ts';
import type { LimitReport, LimitRow } from './report.ts';

const LABELS = ['namespace', 'pod', 'direction'] as const;
/** Upper ends of the histogram, ns: every second power of two from 64 us; the rest would say no more. */
const DELAY_BUCKETS = [7, 9, 11, 13, 15, 16, 17].map((i) => queueBucketStartNs(i));

/**
 * Adds what `netloom limits` shows to the agent's metrics: a series for each limited direction, bounded by the slots.
 * @param notes of the Events about them; undefined: none are written
 */
export function registerLimitMetrics(
  registry: Registry,
  report: () => LimitReport,
  notes: (() => NoteStats) | undefined,
): void {
  const registers = [registry];
  const labels = ({ namespace, pod, direction }: LimitRow) => ({ namespace, pod, direction });
  const gauge = (name: string, help: string, value: (row: LimitRow) => number | null): void => {
    new Gauge({
      name: `netloom_limit_${name}`,
      help,
      labelNames: LABELS,
      registers,
      collect() {
        this.reset();
        for (const row of report().rows) {
          const figure = value(row);
          if (figure !== null) this.set(labels(row), figure);
        }
      },
    });
  };
  const counter = (name: string, help: string, value: (row: LimitRow) => number): void => {
    new Counter({
      name: `netloom_limit_${name}`,
      help,
      labelNames: LABELS,
      registers,
      collect() {
        this.reset();
        for (const row of report().rows) this.inc(labels(row), value(row));
      },
    });
  };

  gauge('configured_bits_per_second', 'Limit in force.', (row) => row.configuredBps);
  gauge('measured_bits_per_second', 'What passes, on the wire.', (row) => row.measuredBps);
  gauge('throttled_ratio', 'Share of the last seconds during which packets waited.', (row) => row.throttledShare);
  gauge('annotation_invalid', '1: the annotation cannot be used, its last valid value holds.', (row) =>
    row.invalid ? 1 : 0,
  );
  counter('passed_bytes_total', 'Bytes that passed, on the wire.', (row) => row.passedBytes);
  counter('passed_packets_total', 'Packets that passed.', (row) => row.passed);
  counter('delayed_packets_total', 'Packets that were held back.', (row) => row.delayed);
  counter('marked_packets_total', 'Packets that were given CE.', (row) => row.marked);
  counter('dropped_packets_total', 'Packets that were dropped.', (row) => row.dropped);
  counter('dropped_bytes_total', 'Bytes that were dropped.', (row) => row.droppedBytes);

  new Gauge({
    name: 'netloom_limit_state',
    help: '1 for the state in which the direction of the pod is.',
    labelNames: [...LABELS, 'state'],
    registers,
    collect() {
      this.reset();
      for (const row of report().rows) this.set({ ...labels(row), state: row.state }, 1);
    },
  });
  new Counter({
    name: 'netloom_limit_queue_packets_total',
    help: 'Packets by the virtual queue that they found, seconds (cumulative, as a histogram).',
    labelNames: [...LABELS, 'le'],
    registers,
    collect() {
      this.reset();
      for (const row of report().rows) {
        for (const end of DELAY_BUCKETS) {
          this.inc({ ...labels(row), le: String(end / 1e9) }, packetsBelow(row, end));
        }
        this.inc({ ...labels(row), le: '+Inf' }, packetsBelow(row, Number.POSITIVE_INFINITY));
      }
    },
  });
  new Gauge({
    name: 'netloom_limit_slots',
    help: 'Slots: directions of pods that may have a limit.',
    labelNames: ['kind'],
    registers,
    collect() {
      const { used, most } = report().slots;
      this.set({ kind: 'used' }, used);
      this.set({ kind: 'most' }, most);
    },
  });
  if (notes === undefined) return;
  new Counter({
    name: 'netloom_limit_events_total',
    help: 'Events about limits; failed: tries, that are repeated; dropped: Events that were given up.',
    labelNames: ['outcome'],
    registers,
    collect() {
      this.reset();
      const { written, failed, dropped } = notes();
      for (const [outcome, count] of Object.entries({ written, failed, dropped })) this.inc({ outcome }, count);
    },
  });
  new Gauge({
    name: 'netloom_limit_events_waiting',
    help: 'Events about limits that are to be written yet.',
    registers,
    collect() {
      this.set(notes().waiting);
    },
  });
}

function packetsBelow({ queue }: LimitRow, endNs: number): number {
  return queue
    .filter(({ belowNs }) => (belowNs ?? Number.POSITIVE_INFINITY) <= endNs)
    .reduce((sum, { packets }) => sum + packets, 0);
}
