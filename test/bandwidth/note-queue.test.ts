import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { NoteQueue } from '../../bandwidth/status/note-queue.ts';
import type { PodNote } from '../../lib/kube/event-writer.ts';

let admitted: number;
let written: string[];
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
  written = [];
  queue = new NoteQueue({
    admit: () => admitted > 0 && admitted-- > 0,
    write: ({ message }) => {
      written.push(message);
      return Promise.resolve();
    },
  });
});
afterEach(() => {
  queue.stop();
  vi.useRealTimers();
});

test('notes wait until they may be written, and none is lost', () => {
  admitted = 2;
  for (let i = 0; i < 5; i++) queue.offer(`pod-${i}`, note(`m${i}`));
  expect(written).toEqual(['m0', 'm1']);
  admitted = 2;
  vi.advanceTimersByTime(300);
  expect(written).toEqual(['m0', 'm1', 'm2', 'm3']);
  admitted = 9;
  vi.advanceTimersByTime(300);
  expect(written).toHaveLength(5);
  expect(queue.waiting).toBe(0);
});

test('of a pod the newest is told, what was told is not told again, and what is over not at all', () => {
  queue.offer('a', note('old'));
  queue.offer('a', note('new'));
  queue.offer('b', note('over'));
  queue.offer('b', undefined);
  admitted = 9;
  vi.advanceTimersByTime(300);
  expect(written).toEqual(['new']);
  queue.offer('a', note('new'));
  expect(written).toEqual(['new']);
  queue.keep(new Set());
  queue.offer('a', note('new'));
  expect(written).toEqual(['new', 'new']);
});

test('it is bounded, and counts what it drops', () => {
  for (let i = 0; i < 16_400; i++) queue.offer(`pod-${i}`, note('m'));
  expect(queue.waiting).toBe(16_384);
  expect(queue.dropped).toBe(16);
});

test('the next agent says only what is new', () => {
  let stored = new Map<string, string>();
  const store = {
    read: () => new Map(stored),
    write: (told: ReadonlyMap<string, string>) => {
      stored = new Map(told);
    },
  };
  const writer = {
    admit: () => true,
    write: ({ message }: PodNote) => {
      written.push(message);
      return Promise.resolve();
    },
  };
  const first = new NoteQueue(writer, store);
  for (const key of ['a', 'b', 'c', 'gone']) first.offer(key, note(`${key}1`));
  expect(stored.size).toBe(0);
  vi.advanceTimersByTime(600);
  expect(stored.size).toBe(4);
  // Its limit was taken away: the same is news again. Killed after it was kept, or ended before.
  first.forget('c');
  first.stop();
  written = [];
  const second = new NoteQueue(writer, store);
  second.offer('a', note('a1'));
  second.offer('b', note('b2'));
  second.offer('c', note('c1'));
  second.keep(new Set(['a', 'b', 'c']));
  expect(written).toEqual(['b2', 'c1']);
  second.stop();
  expect([...stored]).toEqual([
    ['a', 'a1'],
    ['b', 'b2'],
    ['c', 'c1'],
  ]);
});
