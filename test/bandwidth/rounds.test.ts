import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Rounds } from '../../bandwidth/enforce/rounds.ts';

let started: number;
let end: () => void;
let rounds: Rounds;

beforeEach(() => {
  vi.useFakeTimers();
  started = 0;
  rounds = new Rounds(() => {
    started++;
    return new Promise((resolve) => (end = resolve));
  });
});
afterEach(() => vi.useRealTimers());

const passes = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);

test('one at a time; what is asked for meanwhile is one more, after a pause', async () => {
  rounds.trigger();
  await passes(0);
  expect(started).toBe(1);
  for (let i = 0; i < 5; i++) rounds.trigger();
  await passes(1000);
  expect(started).toBe(1);
  end();
  await passes(99);
  expect(started).toBe(1);
  await passes(1);
  expect(started).toBe(2);
  end();
  await passes(10_000);
  expect(started).toBe(2);
});

test('a retry comes later each time, and soon again after something new', async () => {
  const waits: number[] = [];
  for (let i = 0; i < 8; i++) {
    if (i === 7) rounds.resetRetry();
    rounds.retry();
    const before = started;
    let waited = 0;
    while (started === before) {
      await passes(50);
      waited += 50;
    }
    // The round itself begins a timer later.
    waits.push(waited - 50);
    end();
    await passes(200);
  }
  expect(waits).toEqual([250, 500, 1000, 2000, 4000, 8000, 10_000, 250]);
});

test('stopped, the round that runs is waited for, and no other begins', async () => {
  rounds.trigger();
  await passes(0);
  rounds.trigger();
  let isStopped = false;
  const stopped = rounds.stop().then(() => (isStopped = true));
  await passes(1000);
  expect(isStopped).toBe(false);
  end();
  await stopped;
  rounds.trigger();
  rounds.retry();
  await passes(20_000);
  await rounds.settled();
  expect(started).toBe(1);
});
