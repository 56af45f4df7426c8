import { queueBucketStartNs } from '../../bandwidth/slot-stat.ts';
import type { LimitReport, LimitRow } from '../../bandwidth/status/report.ts';

/** A row as the agent tells it; of the queue one packet in each bucket. */
export function limitRow(more: Partial<LimitRow>): LimitRow {
  return {
    namespace: 'shop',
    pod: 'cart',
    direction: 'egress',
    configuredBps: 20_000_000,
    measuredBps: 19_400_000,
    state: 'enforced',
    reason: '',
    invalid: false,
    throttledShare: 0.25,
    delayed: 0,
    marked: 0,
    dropped: 0,
    passed: 0,
    passedBytes: 0,
    droppedBytes: 0,
    queue: Array.from({ length: 24 }, (_, i) => ({ belowNs: i === 23 ? null : queueBucketStartNs(i + 1), packets: 1 })),
    interfaces: ['veth1'],
    demandP99Bps: null,
    suggestedBps: null,
    secondsSeen: 0,
    ...more,
  };
}

export function limitReport(rows: readonly LimitRow[], more: Partial<LimitReport> = {}): LimitReport {
  return {
    node: 'n1',
    purpose: 'enforce',
    kernel: { fq: false, hooks: 'tcx' },
    slots: { used: rows.length, most: 1023 },
    podsKnown: true,
    warnings: [],
    rows,
    ...more,
  };
}
