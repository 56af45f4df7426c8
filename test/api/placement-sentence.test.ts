import { describe, expect, test } from 'vitest';
import { nearLevels } from '../../scheduler/api/near-levels.ts';
import { placementSentence, type NearLevel } from '../../scheduler/api/placement-notes.ts';
import { projectObject } from '../../scheduler/cluster/project.ts';
import { ClusterState } from '../../scheduler/cluster/state.ts';
import type { Decision } from '../../scheduler/extender/decision.ts';
import type { ScoreExplanation } from '../../scheduler/placement/index.ts';

const explanation = {
  scoreRange: 80,
  nodes: [],
  peers: [
    { workload: 'shop/Deployment/frontend', shareOfTraffic: 0.75 },
    { workload: 'shop/Deployment/redis', shareOfTraffic: 0.25 },
  ],
} as unknown as ScoreExplanation;

const decided = (top: Decision['top'], named = top.length) => ({ candidates: 7, top, named }) as unknown as Decision;
const level = (where: string, shares: Record<string, number>): NearLevel => ({
  where,
  shareOf: (workload) => shares[workload.split('/').at(-1)!] ?? 0,
});
const near = [level('on the node', { frontend: 0.5 })];
const STAYS = 'Of its traffic, that with shop/Deployment/frontend (38 %) stays on the node.';

test.each([
  ['n1', 'Netloom scored n1 best of 7 nodes: 60 of 80.'],
  ['n2', "Netloom scored n2 20 of 80 (of 7 nodes the best was n1 with 60); the rest was kube-scheduler's choice."],
  ['n9', "Netloom scored n9 0 of 80 (of 7 nodes the best was n1 with 60); the rest was kube-scheduler's choice."],
])('a sentence says what was answered about %s', (node, scored) => {
  const top = [
    { Host: 'n1', Score: 60 },
    { Host: 'n2', Score: 20 },
  ];
  expect(placementSentence(decided(top), node, explanation, near)).toBe(`${scored} ${STAYS}`);
});

test('of a node beyond those of a reply that are kept it does not say 0', () => {
  const sentence = placementSentence(decided([{ Host: 'n1', Score: 60 }], 40), 'n9', explanation, []);
  expect(sentence).toContain('Netloom scored n9 at most 60 of 80 (');
});

test('without an opinion there is nothing to say', () => {
  expect(placementSentence(decided([]), 'n1', explanation, near)).toBeUndefined();
});

describe('why it stands there', () => {
  const best = decided([{ Host: 'n1', Score: 2 }]);
  const why = (levels: NearLevel[], more: object = {}, decision: object = {}): string =>
    placementSentence({ ...best, ...decision }, 'n1', { ...explanation, ...more }, levels)!.split('80. ')[1] ?? '';
  const here = { node: 'n1', planned: 0, future: 0 };

  test('is its zone, where nothing is on its node', () => {
    expect(why([level('on the node', {}), level('in zone-2', { redis: 1 })])).toBe(
      'Of its traffic, that with shop/Deployment/redis (25 %) stays in zone-2.',
    );
  });

  test('is its node, and its zone for what does not stay on the node', () => {
    expect(
      why([...near, level('in zone-2', { frontend: 0.75, redis: 1 }), level('in r', { frontend: 1, redis: 1 })]),
    ).toBe(
      'Of its traffic, that with shop/Deployment/frontend (38 %) stays on the node, and that with ' +
        'shop/Deployment/redis (25 %), shop/Deployment/frontend (19 %) stays in zone-2, and that with ' +
        'shop/Deployment/frontend (19 %) stays in r.',
    );
  });

  test('is the plan, or who is to come, or has gone, where nothing is near', () => {
    expect(why([], { nodes: [{ ...here, planned: 2 }] }, { planVersion: 17 })).toBe('Plan 17 wants it there.');
    const target = { node: 'n1', wanted: 1, placed: 0, state: 'open' };
    const plan = { version: 17, state: 'open', targets: [target], more: 0 };
    expect(why(near, {}, { plan })).toBe(`${STAYS} Plan 17 wants it there.`);
    expect(why([], { nodes: [{ ...here, planned: 2 }] }, { plan, planVersion: 17 })).toBe('Plan 17 wants it there.');
    for (const other of [
      { ...target, node: 'n2' },
      { ...target, state: 'filled' },
    ]) {
      expect(why(near, {}, { plan: { ...plan, targets: [other] } })).toBe(STAYS);
    }
    const [front] = explanation.peers;
    expect(why([], { nodes: [{ ...here, future: 0.4 }], peers: [{ ...front, toCome: 2 }] })).toBe(
      'There is room for peers that are to come: shop/Deployment/frontend.',
    );
    expect(why([], { nodes: [here] })).toContain('have gone since');
    const few = [level('on the node', { redis: 0.1 })];
    const scored = (Score: number): string => why(few, { nodes: [here] }, { top: [{ Host: 'n1', Score }] });
    const told = 'Of its traffic, that with shop/Deployment/redis (3 %) stays on the node.';
    expect(scored(34)).toBe(`${told} Peers that were near when it was asked about have gone since.`);
    expect(scored(4)).toBe(told);
    const elsewhere = decided([{ Host: 'n2', Score: 2 }]);
    expect(placementSentence(elsewhere, 'n1', { ...explanation, nodes: [here] } as never, [])).not.toContain('since');
  });
});

test('a level is told of only where there is something beside it', () => {
  const cluster = new ClusterState();
  const node = (name: string, zone: string) =>
    projectObject({ kind: 'Node', metadata: { name, labels: { 'topology.kubernetes.io/zone': zone } } });
  const pod = (name: string, nodeName: string) =>
    projectObject({ kind: 'Pod', metadata: { name, namespace: 'shop', ownerReferences: [OWNER] }, spec: { nodeName } });
  const OWNER = { kind: 'StatefulSet', name: 'db', uid: 'u', controller: true };
  const apply = (projections: ReturnType<typeof projectObject>[]) =>
    cluster.apply(
      projections.flatMap((each) => ('record' in each ? { op: 'upsert' as const, record: each.record } : [])),
    );
  apply([node('n1', 'a'), node('n2', 'a'), pod('db-0', 'n2'), pod('db-1', 'n1')]);
  expect(nearLevels(cluster, 'n1').map(({ where }) => where)).toEqual(['on the node']);
  apply([node('n3', 'b'), pod('db-2', 'n3'), pod('db-3', 'n3')]);
  expect(nearLevels(cluster, 'n1').map(({ where, shareOf }) => [where, shareOf('shop/StatefulSet/db')])).toEqual([
    ['on the node', 0.25],
    ['in a', 0.5],
  ]);
});
