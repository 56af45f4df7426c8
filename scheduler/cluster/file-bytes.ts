import { createReadStream, type Stats } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { createGunzip } from 'node:zlib';
import { NetloomError, messageOf } from '../../lib/errors.ts';

/** 256 KiB of kubectl output are scanned, parsed and projected in about 2 ms. */
const CHUNK_BYTES = 256 * 1024;
/** The event loop gets a turn at least this often. */
const TURN_MS = 4;

export interface FileErrors {
  /** The file cannot be opened or read. */
  readonly unreadable: 'SNAPSHOT_UNREADABLE' | 'TRAFFIC_UNREADABLE';
  /** gzip data that ends early. */
  readonly truncated: 'SNAPSHOT_TRUNCATED' | 'TRAFFIC_UNREADABLE';
  /** How people call the file, e.g. "snapshot file". */
  readonly what: string;
}

const WHY: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  EACCES: 'permission denied',
  EISDIR: 'a directory',
  ELOOP: 'a loop of symbolic links',
  ENAMETOOLONG: 'a name that is too long',
};

function unreadable(path: string, errors: FileErrors, cause: unknown): NetloomError {
  const code = (cause as NodeJS.ErrnoException | undefined)?.code ?? '';
  return new NetloomError(errors.unreadable, `cannot read the ${errors.what}`, {
    place: path,
    expected: 'a readable file',
    found: WHY[code] ?? messageOf(cause),
    cause,
  });
}

export async function statFile(path: string, errors: FileErrors): Promise<Stats> {
  let stats: Stats;
  try {
    stats = await stat(path);
  } catch (cause) {
    throw unreadable(path, errors, cause);
  }
  if (stats.isDirectory()) throw unreadable(path, errors, Object.assign(new Error(), { code: 'EISDIR' }));
  return stats;
}

/**
 * The bytes of a file in chunks, decompressed if they are gzip (told by their first bytes, whatever the name), without a
 * UTF-8 byte order mark. Gives the event loop a turn every few milliseconds.
 */
export async function* fileChunks(path: string, errors: FileErrors): AsyncGenerator<Buffer> {
  await statFile(path, errors);
  const magic = await firstBytes(path, errors);
  const gzip = magic[0] === 0x1f && magic[1] === 0x8b;
  const file = createReadStream(path, { highWaterMark: CHUNK_BYTES });
  let stream: Readable = file;
  if (gzip) {
    const gunzip = createGunzip({ chunkSize: CHUNK_BYTES });
    file.on('error', (error) => gunzip.destroy(error));
    stream = file.pipe(gunzip);
  }
  let first = true;
  let turnBeganMs = performance.now();
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      const bom = first && chunk[0] === 0xef && chunk[1] === 0xbb && chunk[2] === 0xbf;
      first = false;
      yield bom ? chunk.subarray(3) : chunk;
      if (performance.now() - turnBeganMs > TURN_MS) {
        await nextTurn();
        turnBeganMs = performance.now();
      }
    }
  } catch (cause) {
    // What the consumer throws does not come here: a generator's yield does not throw into it.
    const code = (cause as NodeJS.ErrnoException).code ?? '';
    if (code === 'Z_BUF_ERROR') {
      throw new NetloomError(errors.truncated, `the ${errors.what} ends in the middle of its gzip data`, {
        place: path,
        expected: 'a complete gzip file',
        found: messageOf(cause),
        remedy: 'Compress the file anew, or pass it uncompressed.',
        cause,
      });
    }
    throw unreadable(path, errors, cause);
  } finally {
    file.destroy();
    stream.destroy();
  }
}

async function firstBytes(path: string, errors: FileErrors): Promise<Buffer> {
  try {
    for await (const chunk of createReadStream(path, { start: 0, end: 1 }) as AsyncIterable<Buffer>) return chunk;
    return Buffer.alloc(0);
  } catch (cause) {
    throw unreadable(path, errors, cause);
  }
}

/** Line (from 1) of a byte offset, found by reading the file again: only errors need it. undefined: it cannot be read any more. */
export async function lineOfOffset(path: string, offset: number, errors: FileErrors): Promise<number | undefined> {
  let line = 1;
  let position = 0;
  try {
    for await (const chunk of fileChunks(path, errors)) {
      const end = Math.min(chunk.length, offset - position);
      for (let i = chunk.indexOf(10); i >= 0 && i < end; i = chunk.indexOf(10, i + 1)) line++;
      position += chunk.length;
      if (position >= offset) break;
    }
  } catch {
    return undefined;
  }
  return line;
}
