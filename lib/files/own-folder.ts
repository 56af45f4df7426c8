import { existsSync, mkdirSync, rmdirSync, statSync, type Stats } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { geteuid } from 'node:process';

/**
 * Folders that Netloom made carry the sticky bit, which on a folder that only its owner may write to does nothing else. So
 * it is known, also after a crash, which ones may be taken away again.
 */
const MADE = 0o1000;
const WRITABLE_BY_OTHERS = 0o022;

/**
 * Makes a folder with those above that are missing, marked as ours; nothing if it is there. Level by level: a recursive
 * mkdir spins forever in /sys/fs/bpf when that is not mounted, because the kernel says ENOENT for the child and EEXIST for
 * its parent.
 * @throws the error of mkdir
 */
export function makeOwnFolder(dir: string, mode = 0o700): void {
  const missing: string[] = [];
  for (let at = resolve(dir); !existsSync(at); at = dirname(at)) missing.push(at);
  for (const level of missing.reverse()) mkdirSync(level, { mode: mode | MADE });
}

/** Removes a folder if it is ours and empty, then so the ones above it. @returns whether the first one went */
export function removeOwnFolder(dir: string): boolean {
  const first = resolve(dir);
  let at = first;
  try {
    for (; isOwn(statSync(at)); at = dirname(at)) rmdirSync(at);
  } catch {
    // Not empty, a mount point, or gone.
  }
  return at !== first;
}

function isOwn({ mode, uid }: Stats): boolean {
  return (mode & MADE) !== 0 && (mode & WRITABLE_BY_OTHERS) === 0 && uid === geteuid?.();
}
