import { constants, type Stats } from 'node:fs';
import { open, stat, type FileHandle } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { createGunzip } from 'node:zlib';
import { NetloomError, messageOf } from '../errors.ts';
import { fileProblem } from './file-problem.ts';

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

function unreadable(path: string, errors: FileErrors, cause: unknown): NetloomError {
  return new NetloomError(errors.unreadable, `cannot read the ${errors.what}`, {
    place: path,
    expected: 'a readable file',
    found: fileProblem(cause),
    cause,
  });
}

/**
 * Opens without waiting: a named pipe would block a thread for as long as nobody writes. Only files that can be read
 * again are taken, for that is what happens when they are replaced.
 */
async function openFile(path: string, errors: FileErrors): Promise<FileHandle> {
  let handle: FileHandle;
  try {
    // A device or a pipe is not even opened where that shows: opening may have effects.
    refuseKind(await stat(path), path, errors);
    handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (cause) {
    throw cause instanceof NetloomError ? cause : unreadable(path, errors, cause);
  }
  try {
    refuseKind(await handle.stat(), path, errors);
  } catch (error) {
    await handle.close();
    throw error;
  }
  return handle;
}

function refuseKind(stats: Stats, path: string, errors: FileErrors): void {
  if (stats.isFile()) return;
  if (stats.isDirectory()) throw unreadable(path, errors, Object.assign(new Error(), { code: 'EISDIR' }));
  const found = stats.isFIFO() ? 'a named pipe' : stats.isSocket() ? 'a socket' : 'a device';
  throw new NetloomError(errors.unreadable, `cannot read the ${errors.what}`, {
    place: path,
    expected: 'a file, which can be read again when it is replaced',
    found,
    remedy: 'Write what it brings into a file, and name that.',
  });
}

/** Of the content, and not of the name: changes when the file is written to, not when another is renamed over it. */
async function contentVersion(handle: FileHandle): Promise<string> {
  const { size, mtimeNs } = await handle.stat({ bigint: true });
  return `${size} ${mtimeNs}`;
}

/**
 * The bytes of a file in chunks, decompressed if they are gzip (told by their first bytes, whatever the name), without a
 * UTF-8 byte order mark. Gives the event loop a turn every few milliseconds.
 * @throws NetloomError, also at the end: where somebody wrote to the file meanwhile, what was read never stood there
 */
export async function* fileChunks(path: string, errors: FileErrors): AsyncGenerator<Buffer> {
  const handle = await openFile(path, errors);
  try {
    const before = await contentVersion(handle);
    yield* handleChunks(handle);
    if ((await contentVersion(handle)) === before) return;
  } catch (cause) {
    // What the consumer throws does not come here: a generator's yield does not throw into it.
    throw readFault(path, errors, cause);
  } finally {
    await handle.close().catch(() => {});
  }
  throw new NetloomError(errors.unreadable, `the ${errors.what} was written to while it was read`, {
    place: path,
    expected: 'a file that stands still',
    found: 'another size or time of change at the end',
    remedy: 'Write to another file and rename it over this one. It is read again once it stands still.',
  });
}

async function* handleChunks(handle: FileHandle): AsyncGenerator<Buffer> {
  const magic = Buffer.alloc(2);
  await handle.read(magic, 0, 2, 0);
  const gzip = magic[0] === 0x1f && magic[1] === 0x8b;
  let first = true;
  let turnBeganMs = performance.now();
  for await (const chunk of gzip ? unpacked(handle) : rawChunks(handle)) {
    const bom = first && chunk[0] === 0xef && chunk[1] === 0xbb && chunk[2] === 0xbf;
    first = false;
    yield bom ? chunk.subarray(3) : chunk;
    if (performance.now() - turnBeganMs > TURN_MS) {
      await nextTurn();
      turnBeganMs = performance.now();
    }
  }
}

async function* rawChunks(handle: FileHandle): AsyncGenerator<Buffer> {
  for (let position = 0; ;) {
    const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafeSlow(CHUNK_BYTES), 0, CHUNK_BYTES, position);
    if (bytesRead === 0) return;
    position += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

async function* unpacked(handle: FileHandle): AsyncGenerator<Buffer> {
  const gunzip = createGunzip({ chunkSize: CHUNK_BYTES });
  const fed = pipeline(Readable.from(rawChunks(handle)), gunzip).catch(() => {});
  try {
    yield* gunzip as AsyncIterable<Buffer>;
  } finally {
    gunzip.destroy();
    // The handle must not be closed under a read.
    await fed;
  }
}

function readFault(path: string, errors: FileErrors, cause: unknown): NetloomError {
  const code = (cause as NodeJS.ErrnoException).code ?? '';
  if (!code.startsWith('Z_')) return unreadable(path, errors, cause);
  const early = code === 'Z_BUF_ERROR';
  return new NetloomError(
    early ? errors.truncated : errors.unreadable,
    `the ${errors.what} ${early ? 'ends in the middle of' : 'is damaged in'} its gzip data`,
    {
      place: path,
      expected: 'a complete gzip file',
      found: messageOf(cause),
      remedy: 'Compress the file anew, or pass it uncompressed.',
      cause,
    },
  );
}

/**
 * "FILE:LINE:COLUMN (byte N)" of a byte offset (all of them in the decompressed text; columns count bytes), found by
 * reading the file again: only errors need it. Without line where it cannot be read any more.
 */
export async function placeOfOffset(path: string, offset: number, errors: FileErrors): Promise<string> {
  let line = 1;
  let lineStart = 0;
  let position = 0;
  try {
    for await (const chunk of fileChunks(path, errors)) {
      const end = Math.min(chunk.length, offset - position);
      for (let i = chunk.indexOf(10); i >= 0 && i < end; i = chunk.indexOf(10, i + 1)) {
        line++;
        lineStart = position + i + 1;
      }
      position += chunk.length;
      if (position >= offset) break;
    }
  } catch {
    return `${path} (byte ${offset})`;
  }
  return `${path}:${line}:${offset - lineStart + 1} (byte ${offset})`;
}
