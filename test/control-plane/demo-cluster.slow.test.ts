import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ROOT } from '../house/sources.ts';
import { until } from '../support/netloom.ts';
import { binaries } from './binaries.ts';

const MINUTES = 60_000;

let folder: string;
beforeAll(() => void binaries());
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'netloom-show-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

interface Show {
  readonly child: ChildProcess;
  readonly text: () => string;
  readonly ended: Promise<number | null>;
}

function start(env: NodeJS.ProcessEnv = {}): Show {
  const child = spawn(join(ROOT, 'scripts/demo-cluster.sh'), {
    cwd: folder,
    env: { ...process.env, TMPDIR: folder, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  }
  return { child, text: () => text, ended: new Promise((resolve) => child.once('close', resolve)) };
}

/** Command lines of processes that name the show's folder: all of them have a file in it. */
function processes(): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((pid) => {
      try {
        const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
        return line.includes(folder) ? [line] : [];
      } catch {
        return [];
      }
    });
}

const PROCESSES = 5;

describe('make demo-cluster', () => {
  it(
    'runs to its end within 80 columns, and leaves neither processes nor files',
    { timeout: 6 * MINUTES },
    async () => {
      const show = start();
      expect(await show.ended).toBe(0);
      const text = show.text();
      for (const part of [
        '1. A shop',
        '2. What Netloom',
        '3. What is added',
        '4. The same shop',
        '5. Why is it there?',
      ])
        expect(text).toContain(part);
      expect(text).toContain('prioritizeVerb: prioritize');
      expect(text).toMatch(/stays on the node +[\d.<]+ % +[\d.>]+ %/);
      expect(text).toContain('NetworkAwarePlacement');
      expect(text.split('\n').filter((line) => [...line].length > 80)).toEqual([]);
      expect(readdirSync(folder)).toEqual([]);
      expect(processes()).toEqual([]);
    },
  );

  it('with KEEP=1 stays until it is interrupted; its commands work', { timeout: 6 * MINUTES }, async () => {
    const show = start({ KEEP: '1' });
    await until('it says how to go on', () => show.text().includes('Ctrl-C here ends it'), 5 * MINUTES);
    expect(processes().length).toBeGreaterThanOrEqual(PROCESSES);
    const [, path] = /export KUBECONFIG=(\S+)/.exec(show.text())!;
    expect(path!.startsWith(folder)).toBe(true);
    show.child.kill('SIGINT');
    expect(await show.ended).toBe(0);
    expect(readdirSync(folder)).toEqual([]);
    expect(processes()).toEqual([]);
  });

  it.each(['SIGHUP', 'SIGKILL', 'closed output'] as const)(
    'leaves nothing when it is ended in the middle by %s',
    { timeout: 6 * MINUTES },
    async (how) => {
      const show = start();
      await until('it shows something', () => show.text().includes('1. A shop'), 3 * MINUTES);
      expect(processes().length).toBeGreaterThanOrEqual(PROCESSES - 1);
      if (how === 'closed output') show.child.stdout!.destroy();
      else show.child.kill(how);
      await show.ended;
      await until('all processes have ended', () => processes().length === 0, MINUTES);
      if (how === 'SIGKILL') {
        // A killed program removes no files: the next show does.
        expect(readdirSync(folder)).toHaveLength(1);
        const next = start();
        await until('the next one has begun', () => next.text().includes('Starting the control plane'), MINUTES);
        expect(readdirSync(folder)).toHaveLength(1);
        next.child.kill('SIGTERM');
        expect(await next.ended).toBe(130);
      }
      expect(readdirSync(folder)).toEqual([]);
    },
  );
});
