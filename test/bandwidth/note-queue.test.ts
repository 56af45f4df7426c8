import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { NoteQueue } from '../../bandwidth/status/note-queue.ts';
import type { PodNote } from '../../lib/kube/event-writer.ts';

let admitted: number;
let fails: boolean;
let written: string[];
/** What was tried in vain. */
let refused: string[];
let queue: NoteQueue;
const note = (message: string): PodNote => ({
  namespace: 'shop',
  name: 'a',
  uid: 'u',
  type: 'Normal',
  reason: 'R',
  message,
});

beforeEach(() => {
  vi.useFakeTimers();
  admitted = 0;
  fails = false;
  written = [];
  refused = [];
  queue = new NoteQueue({
    admit: () => admitted > 0 && admitted-- > 0,
    write: ({ message }) => {
      (fails ? refused : written).push(message);
      return Promise.resolve(!fails);
    },
  });
});
afterEach(async () => {
  await queue.stop();
  vi.useRealTimers();
});
/** What the next agent finds of what was told. */
function memoryStore() {
  let stored = new Map<string, string>();
  return {
    read: () => new Map(stored),
    write: (told: ReadonlyMap<string, string>) => {
      stored = new Map(told);
    },
  };
}
/** Promises are settled too. */
const passes = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);

test('notes wait until they may be written, and none is lost', async () => {
  admitted = 2;
  for (let i = 0; i < 5; i++) queue.offer(`pod-${i}`, note(`m${i}`));
  expect(written).toEqual(['m0', 'm1']);
  admitted = 2;
  await passes(300);
  expect(written).toEqual(['m0', 'm1', 'm2', 'm3']);
  admitted = 9;
  await passes(300);
  expect(written).toHaveLength(5);
  expect(queue.stats).toEqual({ waiting: 0, written: 5, failed: 0, dropped: 0 });
});

test('of a pod the newest is told, what was told is not told again, and what is over not at all', async () => {
  queue.offer('a', note('old'));
  queue.offer('a', note('new'));
  queue.offer('b', note('over'));
  queue.offer('b', undefined);
  admitted = 9;
  await passes(300);
  expect(written).toEqual(['new']);
  queue.offer('a', note('new'));
  expect(written).toEqual(['new']);
  queue.keep(new Set());
  queue.offer('a', note('new'));
  expect(written).toEqual(['new', 'new']);
});

test('it is bounded, and counts what it drops', () => {
  for (let i = 0; i < 16_400; i++) queue.offer(`pod-${i}`, note('m'));
  expect(queue.stats).toMatchObject({ waiting: 16_384, dropped: 16 });
});

describe('what could not be written', () => {
  test('is written once it can be; of many one is tried now and then, with longer and longer pauses', async () => {
    fails = true;
    admitted = 4;
    for (const name of ['a', 'b', 'c', 'd', 'e']) queue.offer(name, note(name));
    await passes(0);
    expect(refused).toEqual(['a', 'b', 'c', 'd']);
    admitted = Number.POSITIVE_INFINITY;
    await passes(900);
    expect(refused).toHaveLength(4);
    await passes(10_000);
    // After 1, 2, 4 s and so on, of all of them in turn.
    expect(refused.slice(4)).toEqual(['e', 'a', 'b']);
    await passes(10 * 60_000);
    expect(refused.length).toBeLessThan(22);
    fails = false;
    await passes(61_000);
    expect([...written].sort()).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(queue.stats).toEqual({ waiting: 0, written: 5, failed: refused.length, dropped: 0 });
    queue.offer('a', note('a'));
    expect(written).toHaveLength(5);
  });

  test('is given up after half an hour, and counted', async () => {
    fails = true;
    admitted = Number.POSITIVE_INFINITY;
    queue.offer('a', note('a'));
    await passes(24 * 60_000);
    expect(queue.stats).toMatchObject({ waiting: 1, dropped: 0 });
    await passes(12 * 60_000);
    expect(queue.stats).toMatchObject({ waiting: 0, written: 0, failed: 32, dropped: 1 });
    // It was not told, so it may be said once more.
    fails = false;
    queue.offer('a', note('a'));
    await passes(61_000);
    expect(written).toEqual(['a']);
  });

  test('gives way to a newer word, and to none where all is as it was told before', async () => {
    admitted = Number.POSITIVE_INFINITY;
    for (const name of ['a', 'b', 'c']) queue.offer(name, note('told'));
    await passes(0);
    fails = true;
    for (const name of ['a', 'b', 'c']) queue.offer(name, note('failed'));
    queue.offer('a', note('newer'));
    queue.offer('b', note('told'));
    queue.forget('c');
    await passes(0);
    fails = false;
    await passes(5000);
    expect(written).toEqual(['told', 'told', 'told', 'newer']);
    queue.offer('c', note('told'));
    await passes(0);
    expect(written.at(-1)).toBe('told');
    expect(queue.stats).toMatchObject({ waiting: 0, written: 5, failed: 3, dropped: 0 });
  });

  test('is not kept as told for the next agent; what is on its way when this one ends is', async () => {
    const store = memoryStore();
    const writer = {
      admit: () => true,
      write: ({ message }: PodNote) =>
        new Promise<boolean>((resolve) =>
          setTimeout(() => resolve(message !== 'lost'), message === 'late' ? 5000 : 300),
        ),
    };
    const first = new NoteQueue(writer, store);
    for (const message of ['said', 'lost', 'late']) first.offer(message, note(message));
    const stopped = first.stop();
    await passes(1000);
    await stopped;
    expect([...store.read()]).toEqual([['said', 'said']]);
    await passes(5000);
    expect(first.stats).toMatchObject({ waiting: 0 });
  });
});

test('the next agent says only what is new', async () => {
  const store = memoryStore();
  const writer = {
    admit: () => true,
    write: ({ message }: PodNote) => {
      written.push(message);
      return Promise.resolve(true);
    },
  };
  const first = new NoteQueue(writer, store);
  for (const key of ['a', 'b', 'c', 'gone']) first.offer(key, note(`${key}1`));
  expect(store.read().size).toBe(0);
  await passes(600);
  expect(store.read().size).toBe(4);
  // Its limit was taken away: the same is news again. Killed after it was kept, or ended before.
  first.forget('c');
  await first.stop();
  written = [];
  const second = new NoteQueue(writer, store);
  second.offer('a', note('a1'));
  second.offer('b', note('b2'));
  second.offer('c', note('c1'));
  second.keep(new Set(['a', 'b', 'c']));
  expect(written).toEqual(['b2', 'c1']);
  await second.stop();
  expect([...store.read()]).toEqual([
    ['a', 'a1'],
    ['b', 'b2'],
    ['c', 'c1'],
  ]);
});
