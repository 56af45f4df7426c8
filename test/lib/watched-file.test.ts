import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { NetloomError } from '../../lib/errors.ts';
import { WatchedFile } from '../../lib/files/watched-file.ts';
import { until } from '../support/netloom.ts';

let dir: string;
let watched: WatchedFile | undefined;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'netloom-watched-'));
});
afterEach(async () => {
  await watched?.stop();
  await rm(dir, { recursive: true, force: true });
});

/** A file whose reading fails as `fault` says; each read and each failure that was told is counted. */
async function watch(fault: () => Error | undefined) {
  const path = join(dir, 'file');
  await writeFile(path, 'one');
  const seen = { reads: 0, told: [] as string[] };
  watched = new WatchedFile({
    path,
    pollMs: 5,
    retryMs: 20,
    read: async () => {
      seen.reads++;
      const error = fault();
      if (error !== undefined) throw error;
    },
    failed: (error) => seen.told.push((error as Error).message),
  });
  await watched.start();
  /** Never half of it, nor nothing for a moment: each would be read. */
  const replace = async (text: string): Promise<void> => {
    await writeFile(`${path}.new`, text);
    await rename(`${path}.new`, path);
  };
  return { replace, seen };
}

it('what could not be opened is tried again though the file is the same, and is told once', async () => {
  let fault: Error | undefined;
  const { replace, seen } = await watch(() => fault);
  fault = new NetloomError('SNAPSHOT_UNREADABLE', 'no descriptors left');
  await replace('two and more');
  await until('it was tried some times', () => seen.reads >= 5);
  expect(seen.told).toEqual(['no descriptors left']);
  fault = undefined;
  const { reads } = seen;
  await until('it was read', () => seen.reads > reads);
  const settled = seen.reads;
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(seen.reads).toBe(settled);
});

it('what is wrong in the file is not read again before it changes', async () => {
  const now: { fault?: Error } = {};
  const { replace, seen } = await watch(() => now.fault);
  now.fault = new NetloomError('SNAPSHOT_SYNTAX', 'wrong');
  await replace('two and more');
  await until('it was read', () => seen.reads === 2);
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(seen).toEqual({ reads: 2, told: ['wrong'] });
  await replace('three and still more');
  await until('it was told again', () => seen.told.length === 2);
});
