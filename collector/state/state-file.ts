import { createHash } from 'node:crypto';
import { closeSync, fstatSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../../lib/errors.ts';
import { makeOwnFolder } from '../../lib/files/own-folder.ts';
import { decodeState, encodeNumber, encodeState, type AgentState, type LoadedState } from './agent-state.ts';

export const DEFAULT_STATE_DIR = '/run/netloom';

/** Four million edges are 400 MB. */
const MAX_FILE_BYTES = 2 ** 30;

/**
 * One file that a process may die over at any moment: a whole state is written beside and put in its place, a number
 * that was given is appended. Not synced to a disk: a machine that goes down takes the maps along, which it is about.
 * Everything is synchronous, so that nothing is measured or sent in between: 10,000 edges take 5 ms.
 */
export class StateFile {
  readonly path: string;
  #fd: number | undefined;

  /** `pins`: whose maps the state is about; each folder of pins has a file of its own in `dir`. */
  constructor(dir: string, pins: string) {
    const name = createHash('sha256').update(pins).digest('hex').slice(0, 16);
    this.path = join(dir, `agent-${name}.state`);
    this.#dir = dir;
  }

  readonly #dir: string;

  /** The state, or why there is none that can be used. */
  read(): LoadedState | { readonly problem: string } {
    try {
      const fd = openSync(this.path, 'r');
      try {
        const { size } = fstatSync(fd);
        if (size > MAX_FILE_BYTES) return { problem: `${size} bytes are too large` };
        return decodeState(readFileSync(fd)) ?? { problem: 'not whole, or of another version' };
      } finally {
        closeSync(fd);
      }
    } catch (error) {
      return { problem: messageOf(error) };
    }
  }

  /** @throws the error of the file system; the file is then what it was, and no number may be appended */
  write(state: AgentState): void {
    this.close();
    makeOwnFolder(this.#dir);
    const beside = `${this.path}.new`;
    const fd = openSync(beside, 'w', 0o600);
    try {
      for (const bytes of encodeState(state)) writeWhole(fd, bytes);
      renameSync(beside, this.path);
    } catch (error) {
      closeSync(fd);
      rmSync(beside, { force: true });
      throw error;
    }
    this.#fd = fd;
  }

  /** Behind what `write` wrote. @throws Error if that failed, or the error of the file system */
  append(seq: number, edges: number): void {
    if (this.#fd === undefined) throw new Error('there is no whole file to append to');
    writeWhole(this.#fd, encodeNumber(seq, edges));
  }

  remove(): void {
    this.close();
    for (const path of [this.path, `${this.path}.new`]) rmSync(path, { force: true });
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }
}

function writeWhole(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at);
}
