import { chmodSync, existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { makeOwnFolder, removeOwnFolder } from '../../lib/files/own-folder.ts';
import { temporaryDir } from '../support/bpf.ts';

let dir: ReturnType<typeof temporaryDir>;
beforeEach(() => {
  dir = temporaryDir();
});
afterEach(() => dir.remove());
const at = (...names: string[]): string => join(dir.path, ...names);

it('what was made is removed, with what was made above it, as far as it is empty', () => {
  mkdirSync(at('theirs'), { mode: 0o700 });
  makeOwnFolder(at('theirs', 'a', 'b', 'c'), 0o755);
  expect(statSync(at('theirs', 'a')).mode & 0o777).toBe(0o755);
  makeOwnFolder(at('theirs', 'a', 'b', 'c'));
  writeFileSync(at('theirs', 'a', 'file'), '');
  expect(removeOwnFolder(at('theirs', 'a', 'b', 'c'))).toBe(true);
  expect([existsSync(at('theirs', 'a', 'b')), existsSync(at('theirs', 'a', 'file'))]).toEqual([false, true]);
});

it('what others made stays, also where it is empty, sticky, or made into ours by name only', () => {
  mkdirSync(at('theirs'), { mode: 0o700 });
  expect(removeOwnFolder(at('theirs'))).toBe(false);
  chmodSync(at('theirs'), 0o1777);
  expect(removeOwnFolder(at('theirs'))).toBe(false);
  makeOwnFolder(at('theirs'));
  expect(removeOwnFolder(at('theirs'))).toBe(false);
  makeOwnFolder(at('theirs', 'ours'));
  expect(removeOwnFolder(at('theirs', 'ours'))).toBe(true);
  expect(existsSync(at('theirs'))).toBe(true);
  expect(removeOwnFolder(at('missing', 'too'))).toBe(false);
});
