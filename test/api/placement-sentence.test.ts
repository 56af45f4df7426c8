import { expect, test } from 'vitest';
import { placementSentence } from '../../scheduler/api/placement-notes.ts';
import type { Decision } from '../../scheduler/extender/decision.ts';
import type { ScoreExplanation } from '../../scheduler/placement/index.ts';

const explanation = {
  scoreRange: 80,
  peers: [
    { workload: 'shop/Deployment/frontend', shareOfTraffic: 0.75 },
    { workload: 'shop/Deployment/redis', shareOfTraffic: 0.25 },
  ],
} as unknown as ScoreExplanation;

const decided = (top: Decision['top'], named = top.length) => ({ candidates: 7, top, named }) as unknown as Decision;
const shareOn = (workload: string) => (workload.endsWith('frontend') ? 0.5 : 0);
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
  expect(placementSentence(decided(top), node, explanation, shareOn)).toBe(`${scored} ${STAYS}`);
});

test('of a node beyond those of a reply that are kept it does not say 0', () => {
  const sentence = placementSentence(decided([{ Host: 'n1', Score: 60 }], 40), 'n9', explanation, () => 0);
  expect(sentence).toContain('Netloom scored n9 at most 60 of 80 (');
});

test('without an opinion there is nothing to say', () => {
  expect(placementSentence(decided([]), 'n1', explanation, shareOn)).toBeUndefined();
});
