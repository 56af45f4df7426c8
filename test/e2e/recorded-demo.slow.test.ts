import { chmod, cp, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Processes } from '../support/netloom.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const NOBODY = 65534;
const MINUTES = 60_000;

const processes = new Processes();
let dir: string;
let copy: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'netloom-demo-copy-'));
  copy = await readableCopy();
}, MINUTES);

afterAll(async () => {
  await processes.cleanup();
  await rm(dir, { recursive: true, force: true });
});

/** What a checkout has, readable for everybody; the folder above it need not be. */
async function readableCopy(): Promise<string> {
  const to = join(dir, 'netloom');
  const files = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: ROOT,
    encoding: 'utf8',
  })
    .split('\0')
    .filter(Boolean);
  for (const file of files.filter((name) => !/^(test|bench|docs)\//.test(name))) {
    await mkdir(join(to, dirname(file)), { recursive: true });
    await cp(join(ROOT, file), join(to, file));
  }
  for (const folder of ['node_modules', '.tools']) await cp(join(ROOT, folder), join(to, folder), { recursive: true });
  await chmod(dir, 0o755);
  execFileSync('chmod', ['-R', 'a+rX', to]);
  return to;
}

describe('netloom lab demo --recorded', () => {
  it.each(process.getuid?.() === 0 ? [0, NOBODY] : [process.getuid!()])(
    'runs as user %i, ends well, and says that it is recorded',
    { timeout: 6 * MINUTES },
    async (uid) => {
      const env = { PATH: process.env['PATH'], TMPDIR: tmpdir(), LANG: 'C.UTF-8' };
      const args = ['lab', 'demo', '--recorded'];
      const run = await processes.program(join(copy, 'bin/netloom'), args, { env, cwd: '/', uid });
      expect(run).toMatchObject({ status: 0, stderr: '' });
      expect(run.stdout).toContain('RECORDED: as was asked for with --recorded.');
      for (const text of ['1. What Netloom learns', '2. Where a new', '3. What it changes', 'No edge was invented.']) {
        expect(run.stdout).toContain(text);
      }
      expect(run.stdout).toMatch(/^Traffic that crosses nodes fell from/m);
      expect(run.stdout.split('\n').filter((line) => [...line].length > 80)).toEqual([]);
    },
  );
});
