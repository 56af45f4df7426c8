import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { makeOwnFolder } from '../../lib/files/own-folder.ts';

const NAME = 'limits-told.json';
/** 16,384 messages of the longest kind. */
const MAX_BYTES = 32 << 20;

/**
 * What Events said last, by direction of a pod, so that the next agent does not say it again. Lost or unreadable, all of it
 * is said once more.
 */
export class ToldFile {
  readonly path: string;

  /** @param dir the agent's state folder */
  constructor(dir: string) {
    this.path = join(dir, NAME);
  }

  read(): Map<string, string> {
    try {
      if (statSync(this.path).size > MAX_BYTES) return new Map();
      const told = JSON.parse(readFileSync(this.path, 'utf8')) as unknown;
      if (typeof told !== 'object' || told === null) return new Map();
      return new Map(Object.entries(told).filter((one): one is [string, string] => typeof one[1] === 'string'));
    } catch {
      return new Map();
    }
  }

  /** @throws the error of the file system */
  write(told: ReadonlyMap<string, string>): void {
    makeOwnFolder(dirname(this.path), 0o755);
    writeFileSync(`${this.path}.new`, JSON.stringify(Object.fromEntries(told)), { mode: 0o600 });
    renameSync(`${this.path}.new`, this.path);
  }

  remove(): void {
    for (const path of [this.path, `${this.path}.new`]) rmSync(path, { force: true });
  }
}
