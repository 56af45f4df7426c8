import { execFile, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT } from '../house/sources.ts';

const BIN = join(ROOT, 'bin/netloom');
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), `nlt${process.pid}-bin-`));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

function run(command: string, args: string[], env: Record<string, string> = {}): Promise<Ended> {
  return new Promise((done) => {
    const options = {
      cwd: folder,
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: folder, NETLOOM_NODE: process.execPath, ...env },
    };
    execFile(command, args, options, (error, out, err) => {
      done({ code: error === null ? 0 : Number(error.code ?? -1), out, err });
    });
  });
}

describe('bin/netloom', () => {
  it('runs through a chain of symlinks, in a folder with spaces, under the PATH of the machine', async () => {
    mkdirSync(join(folder, 'a b'));
    symlinkSync(BIN, join(folder, 'a b', 'one'));
    symlinkSync('a b/one', join(folder, 'two'));
    const { code, out, err } = await run(join(folder, 'two'), ['--version']);
    expect(err).toBe('');
    expect(out).toMatch(/^netloom \d/);
    expect(code).toBe(0);
  });

  it('says what is wrong with NETLOOM_NODE instead of using another', async () => {
    const { code, err } = await run(BIN, ['--version'], { NETLOOM_NODE: '/bin/false' });
    expect(err).toContain('NETLOOM_NODE=/bin/false is not Node 24');
    expect(code).toBe(1);
  });

  it('says what to run where no Node is new enough', async () => {
    const old = join(folder, 'old');
    mkdirSync(old);
    mkdirSync(join(folder, 'copy/scripts'), { recursive: true });
    writeFileSync(join(old, 'node'), '#!/bin/sh\necho v20.11.0\n', { mode: 0o755 });
    await run('/bin/cp', [join(ROOT, 'scripts/node'), join(folder, 'copy/scripts/node')]);
    const { code, err } = await run(join(folder, 'copy/scripts/node'), ['x.ts'], {
      NETLOOM_NODE: '',
      PATH: `${old}:/usr/bin:/bin`,
    });
    expect(err).toContain('this machine has Node 20');
    expect(err).toMatch(/make -C '.*copy' setup/);
    expect(code).toBe(1);
  });

  it('passes the exit status of wrong usage', async () => {
    expect((await run(BIN, ['nonsense'])).code).toBe(2);
  });

  it('ends quietly when its reader has seen enough', async () => {
    const { out, err, code } = await run('/bin/sh', [
      '-c',
      `"${BIN}" scheduler --help | head -n 1; "${BIN}" agent --help | true`,
    ]);
    expect(out).toMatch(/^netloom scheduler/);
    expect(err).toBe('');
    expect(code).toBe(0);
  });

  it('keeps compiled code where the user caches, and works where it cannot', async () => {
    await run(BIN, ['--version'], { XDG_CACHE_HOME: join(folder, 'cache') });
    expect(readdirSync(join(folder, 'cache', 'netloom')).length).toBeGreaterThan(0);
    writeFileSync(join(folder, 'file'), '');
    for (const cache of ['/proc/nowhere', join(folder, 'file')]) {
      expect(await run(BIN, ['--version'], { XDG_CACHE_HOME: cache })).toMatchObject({ code: 0, err: '' });
    }
    expect(await run(BIN, ['--version'], { HOME: '/nonexistent' })).toMatchObject({ code: 0, err: '' });
  });

  it('is the process that gets the signals: nothing stands between', async () => {
    const pipe = join(folder, 'pipe');
    await run('/usr/bin/mkfifo', [pipe]);
    // A configuration that never arrives keeps the program waiting.
    const child = spawn(BIN, ['agent', '--config', pipe], {
      cwd: folder,
      env: { PATH: '/usr/bin:/bin', HOME: folder, NETLOOM_NODE: process.execPath },
    });
    const ended = new Promise<string | null>((done) => child.on('exit', (_code, signal) => done(signal)));
    await new Promise((done) => setTimeout(done, 500));
    child.kill('SIGTERM');
    expect(await ended).toBe('SIGTERM');
  });
});
