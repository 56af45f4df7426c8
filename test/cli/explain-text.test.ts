import { describe, expect, test } from 'vitest';
import { explainText } from '../../cli/explain-text.ts';
import { plainPaint } from '../../lib/output/index.ts';
import type { ExplainReply } from '../../scheduler/api/replies.ts';
import {
  explainScore,
  likelyCandidates,
  placementSettings,
  type ScoreExplanation,
} from '../../scheduler/placement/index.ts';
import { buildView, type ViewSpec } from '../support/view-fixture.ts';

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
  const unasked = asked > 0 ? undefined : ({ reason: 'given', scheduler: undefined } as const);
  const workload = 'shop/Pod/cart';
  const reply: ExplainReply = { pod, workload, explanation, asked, lastDecision, unasked, warnings: [] };
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

  test('names the plan and its node, and what it went by', () => {
    const led = {
      version: 17,
      state: 'open' as const,
      targets: [
        { node: 'node-1', wanted: 1, placed: 0, state: 'open' as const },
        { node: 'node-9', wanted: 1, placed: 0, state: 'gone' as const },
      ],
      more: 0,
    };
    expect(told(1, { ...decision, planVersion: 17, plan: led, source: 'annotation' }, 'node-1')).toEqual([
      'Answered 2026-11-23T10:00:00.000Z in 400 us for 2 candidates, with plan 17, by its annotation netloom.io/peers:',
      '  node-1 50; it runs on node-1',
      'Plan 17 says where it goes: node-1 (has 0 of 1); what becomes local counts beside that. ' +
        'Not used: node-9 (has 0 of 1, gone).',
    ]);
  });

  test('never about the node where the pod stands, is said', () => {
    expect(told(3, undefined, 'node-7')).toEqual([
      'Asked 3 times about this pod; no answer in time had node-7 among its candidates.',
    ]);
  });

  test('to nobody, is said with the reason', () => {
    expect(told(0, undefined, 'node-1')).toEqual([expect.stringMatching(/^kube-scheduler did not ask: .*nodeName/)]);
  });
});

describe('why a node has its score', () => {
  const MBIT = 125_000;
  const WEB = 'shop/Deployment/web';
  const spec: ViewSpec = {
    nodes: [
      { name: 'n1', zone: 'a', link: [1000 * MBIT, 0, 0] },
      { name: 'n2', zone: 'a', link: [1000 * MBIT, 850 * MBIT, 0] },
      { name: 'n3', zone: 'b', avoided: true },
      { name: 'n4', zone: 'c' },
    ],
    workloads: [
      { key: WEB, replicas: 4, placed: { n1: 1 }, tx: 50 * MBIT, otherBytesPerSecond: MBIT },
      { key: 'shop/Deployment/api', replicas: 4, placed: { n1: 1, n2: 1 } },
    ],
    edges: [{ client: WEB, server: 'shop/Deployment/api', bytesPerSecond: 200 * MBIT }],
  };
  const explained = (
    more: Partial<ViewSpec>,
    options: { soft?: boolean; maxLinkUse?: number; width?: number; wide?: boolean } = {},
  ): string => {
    const { soft = false, maxLinkUse, width = 160, wide = true } = options;
    const view = buildView({ ...spec, ...more });
    const settings = placementSettings({ maxLinkUse });
    const request = { workload: 0, podUid: 'u', candidates: likelyCandidates(view, 0, settings), soft };
    const explanation = explainScore(view, request, settings, [0, 1, 2, 3]);
    const nothing = { asked: 0, lastDecision: undefined, unasked: undefined, warnings: [] };
    const reply = { pod: undefined, workload: WEB, explanation, ...nothing };
    return explainText(reply, { width, wide, paint: plainPaint });
  };

  test('is said of peers to come, links and taints', () => {
    const text = explained({});
    expect(text).toMatch(/api +client .* 4 \(2 to come\)/);
    expect(text).toMatch(/NODE +SCORE +ON NODE +IN ZONE +TO COME +LINK/);
    expect(text).toMatch(/n2 .* api 99.5 %/);
    expect(text).toMatch(/n3 .* has a taint PreferNoSchedule/);
  });

  test('is said of full links', () => {
    const [first, ...rest] = spec.workloads;
    const text = explained({ workloads: [{ ...first!, tx: 300 * MBIT }, ...rest] });
    expect(text).toMatch(/n2 .* api 99.5 %; its link would be 110 % full: 100 % off/);
  });

  test('shows how full links are where that took something off, on any terminal', () => {
    expect(explained({}, { wide: false })).not.toContain('LINK');
    const [first, ...rest] = spec.workloads;
    const text = explained({ workloads: [{ ...first!, tx: 300 * MBIT }, ...rest] }, { wide: false, width: 80 });
    expect(text).toMatch(/NODE +SCORE +ON NODE +IN ZONE +TO COME +LINK +BECOMES/);
    expect(text).toMatch(/n2 .* 110 % /);
  });

  test('is said of nodes that /filter refuses, and of those without room', () => {
    const [n1, n2, n3, n4] = spec.nodes;
    const [first, ...rest] = spec.workloads;
    const workloads = [{ ...first!, tx: 300 * MBIT, milliCpu: 500 }, ...rest];
    const nodes = [{ ...n1!, milliCpu: [1000, 400] as const }, n2!, n3!, n4!];
    const text = explained({ nodes, workloads }, { maxLinkUse: 0.9 });
    expect(text).toMatch(/n1 +0 .* no room for it/);
    expect(text).toMatch(/n2 +0 .* \/filter refuses it: its link would be 110 % full/);
    const only = { nodes: [n1!, ...[n2!, n3!, n4!].map((node) => ({ ...node, freePods: 0 }))] };
    expect(explained(only)).toContain('Only one node has room for it: then kube-scheduler does not ask.');
  });

  test('does not say of traffic with the outside that there is none', () => {
    const [web] = spec.workloads;
    const text = explained({
      workloads: [web!],
      edges: [],
      nodes: spec.nodes.map(({ name }) => ({ name, link: [9e9, 0, 0] })),
    });
    expect(text).toContain('None of its traffic can be brought near: no opinion.');
    expect(text).not.toMatch(/No traffic|TALKS TO|nothing to show/);
  });

  test('is said of plans', () => {
    const workloads = spec.workloads.map((w) => (w.key === WEB ? { ...w, target: { n1: 1, n4: 3 } } : w));
    const text = explained({ workloads, planVersion: 17 });
    expect(text).toContain(
      'Plan 17 says where it goes: n4 (has 0 of 3); what becomes local counts beside that. Not used: n1 (has 1 of 1).',
    );
    expect(text).toMatch(/n4 .* planned 3, has 0/);
    expect(explained({ planVersion: 17 })).toContain('Plan 17 does not place it');
  });

  test("is said of owners' preferences", () => {
    expect(explained({}, { soft: true })).toContain('they go first, scores reach 10 at most');
  });
});
