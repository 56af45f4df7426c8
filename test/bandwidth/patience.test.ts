import { expect, it } from 'vitest';
import { PATIENCE_MS, Patience } from '../../bandwidth/enforce/patience.ts';
import type { NoInterface, PodPlace } from '../../bandwidth/interfaces/types.ts';

const none = (reason: NoInterface, detail = 'so it is'): PodPlace => ({ found: false, reason, detail });
const found: PodPlace = { found: true, interfaces: [] };
const judge = (patience: Patience, place: PodPlace, nowMs: number): PodPlace =>
  patience.judge(new Map([['a', place]]), nowMs).get('a')!;

it.each(['not-found', 'taken', 'ambiguous'] as const)('%s is waited for a minute, and then is for good', (reason) => {
  const patience = new Patience();
  expect(judge(patience, none(reason), 0)).toEqual(none(reason));
  expect(judge(patience, none(reason), PATIENCE_MS - 1)).toEqual(none(reason));
  const guess = reason === 'not-found' ? ': perhaps macvlan, ipvlan or SR-IOV' : '';
  expect(judge(patience, none(reason), PATIENCE_MS)).toEqual(none('not-coming', `so it is, for over a minute${guess}`));
  expect(judge(patience, found, PATIENCE_MS + 1)).toEqual(found);
  expect(judge(patience, none(reason), PATIENCE_MS + 2)).toEqual(none(reason));
});

it('a pod that has no address yet is waited for as long as it takes, and one that went is forgotten', () => {
  const patience = new Patience();
  for (const ms of [0, 10 * PATIENCE_MS]) expect(judge(patience, none('no-address'), ms)).toEqual(none('no-address'));
  judge(patience, none('not-found'), 0);
  expect(patience.judge(new Map(), 1).size).toBe(0);
  expect(judge(patience, none('not-found'), PATIENCE_MS)).toEqual(none('not-found'));
});
