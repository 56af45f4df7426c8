import { describe, expect, test } from 'vitest';
import { explainText } from '../../cli/explain-text.ts';
import { plainPaint } from '../../lib/output/index.ts';
import type { ExplainReply } from '../../scheduler/api/replies.ts';
import type { ScoreExplanation } from '../../scheduler/placement/index.ts';

const decision = {
  atMs: Date.parse('2026-11-23T10:00:00Z'),
  podUid: '1',
  namespace: 'shop',
  name: 'cart',
  workload: 'shop/Pod/cart',
  candidates: 2,
  silence: undefined,
  top: [{ Host: 'node-1', Score: 50 }],
  named: 1,
  viewVersion: 3,
  durationMicros: 400,
};

/** The lines below the explanation. */
function told(asked: number, lastDecision: ExplainReply['lastDecision'], node?: string, gone = false): string[] {
  const pod = { namespace: 'shop', name: 'cart', node, gone };
  const explanation = { silence: 'no-traffic', basis: undefined, nodes: [], peers: [] } as unknown as ScoreExplanation;
  const reply: ExplainReply = { pod, workload: 'shop/Pod/cart', explanation, asked, lastDecision, warnings: [] };
  const text = explainText(reply, { width: undefined, wide: false, paint: plainPaint });
  return text
    .split('\n')
    .slice(2)
    .filter((line) => line !== '');
}

describe('what was answered', () => {
  const answered = 'Answered 2026-11-23T10:00:00.000Z in 400 us for 2 candidates:';

  test('once', () => {
    expect(told(1, decision, 'node-1')).toEqual([answered, '  node-1 50; it runs on node-1']);
  });

  test('is told of a pod that is gone, too', () => {
    expect(told(1, decision, 'node-1', true)).toEqual([answered, '  node-1 50; it ran on node-1']);
  });

  test('several times, for a pod that was placed, is the answer about its node', () => {
    expect(told(9, decision, 'node-2')).toEqual([
      'Asked 9 times about this pod; the newest answer about node-2 was:',
      answered,
      '  node-1 50; it runs on node-2',
    ]);
  });

  test('several times, for a pending pod, is the newest answer', () => {
    expect(told(2, decision)).toEqual([
      'Asked 2 times about this pod; the newest answer was:',
      answered,
      '  node-1 50',
    ]);
  });

  test('never about the node where the pod stands, is said', () => {
    expect(told(3, undefined, 'node-7')).toEqual([
      'Asked 3 times about this pod; no answer that came in time had node-7 among its candidates.',
    ]);
  });

  test('to nobody, is not mentioned', () => {
    expect(told(0, undefined, 'node-1')).toEqual([]);
  });
});
