import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..', '..');

/** Compiles what is out of date; a moment if nothing is. */
export function buildBpf(): void {
  execFileSync(join(ROOT, 'scripts', 'build-bpf.sh'), { stdio: ['ignore', 'inherit', 'inherit'] });
}

let counter = 0;

/** A name that no other test or run uses, short enough for interfaces. */
export function uniqueName(): string {
  return `nlt${process.pid}${(counter++).toString(36)}`;
}

/** A directory of this test's own below the system's temporary one. */
export function temporaryDir(): { path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'nlt'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** A network namespace with its loopback up; its file is `path`. */
export function makeNetns(): { name: string; path: string; run(...command: string[]): string; remove(): void } {
  const name = uniqueName();
  execFileSync('ip', ['netns', 'add', name]);
  const run = (...command: string[]): string =>
    execFileSync('ip', ['netns', 'exec', name, ...command], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  run('ip', 'link', 'set', 'lo', 'up');
  return { name, path: `/var/run/netns/${name}`, run, remove: () => execFileSync('ip', ['netns', 'del', name]) };
}

/** The error that `work` throws. */
export async function errorOf(work: () => unknown): Promise<unknown> {
  try {
    await work();
  } catch (error) {
    return error;
  }
  throw new Error('no error was thrown');
}
