import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readSources, ROOT } from './sources.ts';

/** Longer than this wants a second look (STYLE: most under 200 lines). */
const LONG_LINES = 400;

function trackedFiles(): string[] {
  const out = execFileSync(
    'git',
    ['-c', 'safe.directory=*', 'ls-files', '-z', '--cached', '--others', '--exclude-standard'],
    {
      cwd: ROOT,
      encoding: 'utf8',
      maxBuffer: 1 << 26,
    },
  );
  return out
    .split('\0')
    .filter((path) => path !== '' && existsSync(join(ROOT, path)) && statSync(join(ROOT, path)).isFile());
}

describe.skipIf(!existsSync(join(ROOT, '.git')))('files of the project', () => {
  it('name no place of the machine they were written on', () => {
    const local = new RegExp(['/' + 'work/', '/' + 'root/', '/' + 'home/[a-z]'].join('|'));
    const wrong = trackedFiles().flatMap((path) => {
      const bytes = readFileSync(join(ROOT, path));
      if (bytes.subarray(0, 8000).includes(0)) return [];
      return bytes
        .toString('utf8')
        .split('\n')
        .flatMap((line, i) => (local.test(line) ? [`${path}:${i + 1}`] : []));
    });
    expect(wrong).toEqual([]);
  });

  it('in C say their licence in the first line', () => {
    const wrong = trackedFiles()
      .filter((path) => /\.(bpf\.c|h)$/.test(path) || /\/bpf\/.*\.c$/.test(path))
      .filter(
        (path) =>
          !readFileSync(join(ROOT, path), 'utf8')
            .split('\n')[0]!
            .includes('SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause'),
      );
    expect(wrong).toEqual([]);
  });

  it('are small: what is long is told', () => {
    const long = [...readSources().values()]
      .map((source) => ({ path: source.path, lines: source.text.split('\n').length }))
      .filter((file) => file.lines > LONG_LINES)
      .sort((a, b) => b.lines - a.lines);
    if (long.length > 0)
      console.log(`longer than ${LONG_LINES} lines:\n${long.map((file) => `  ${file.lines} ${file.path}`).join('\n')}`);
    expect(long.filter((file) => file.lines > 2 * LONG_LINES)).toEqual([]);
  });
});
