import { realpathSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { messageOf, NetloomError } from '../../lib/errors.ts';

/** Of a predecessor that is just ending. */
const WAIT_MS = 3_000;
/** https://www.sqlite.org/rescode.html */
const SQLITE_BUSY = 5;

/**
 * Two schedulers that save into one file would each overwrite what the other learned. An empty SQLite file beside it, in
 * an exclusive transaction: the kernel lets go of it however the process ends, which a file with a pid in it does not know.
 * @returns to be closed with the store
 * @throws NetloomError STORE_IN_USE, STORE_UNWRITABLE
 */
export function lockStore(path: string): DatabaseSync {
  let lock: DatabaseSync | undefined;
  try {
    lock = new DatabaseSync(`${realPath(path)}-lock`, { timeout: WAIT_MS });
    lock.exec('BEGIN EXCLUSIVE');
    return lock;
  } catch (error) {
    lock?.close();
    if (((error as { errcode?: number }).errcode ?? 0) % 256 === SQLITE_BUSY) {
      throw new NetloomError('STORE_IN_USE', 'another scheduler saves its graph there', {
        place: path,
        expected: 'a file of its own for each scheduler',
        cause: error,
      });
    }
    throw new NetloomError('STORE_UNWRITABLE', `the graph cannot be saved: ${messageOf(error)}`, {
      place: path,
      expected: 'a folder that can be written',
      cause: error,
    });
  }
}

/** Two names of one file are one store. */
function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
