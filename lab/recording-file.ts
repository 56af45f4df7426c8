import { createReadStream, createWriteStream } from 'node:fs';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { finished } from 'node:stream/promises';
import { createGunzip, createGzip } from 'node:zlib';
import { messageOf, NetloomError } from '../lib/errors.ts';
import {
  decodeEntry,
  decodeHeader,
  encodeEntry,
  encodeHeader,
  MAX_LINE_CHARS,
  type RecordingEntry,
  type RecordingHeader,
} from './recording.ts';

export interface RecordingWriter {
  /** Entries must come in order of `atMs`. */
  write(entry: RecordingEntry): Promise<void>;
  close(): Promise<void>;
}

/** Writes a recording; a path that ends in .gz is compressed. */
export async function createRecording(path: string, header: RecordingHeader): Promise<RecordingWriter> {
  const file = createWriteStream(path);
  await once(file, 'open');
  const gzip = path.endsWith('.gz') ? createGzip() : undefined;
  gzip?.pipe(file);
  const out = gzip ?? file;
  const put = async (text: string): Promise<void> => {
    if (!out.write(text)) await once(out, 'drain');
  };
  await put(encodeHeader(header));
  return {
    write: async (entry) => await put(encodeEntry(entry)),
    async close() {
      out.end();
      await finished(file);
    },
  };
}

export interface Recording {
  readonly header: RecordingHeader;
  /** In order of time; can be read once. */
  readonly entries: AsyncIterable<RecordingEntry>;
}

/** Opens a recording and reads it as it is asked for. Throws RECORDING_INVALID, here and while entries are read. */
export async function openRecording(path: string): Promise<Recording> {
  const lines = readLines(path);
  const first = await lines.next();
  if (first.done === true) {
    throw new NetloomError('RECORDING_INVALID', 'the recording is empty', { place: path });
  }
  const header = decodeHeader(first.value, `${path} line 1`);
  return { header, entries: entriesOf(lines, path) };
}

async function* entriesOf(lines: AsyncGenerator<string>, path: string): AsyncGenerator<RecordingEntry> {
  let number = 1;
  let lastMs = 0;
  for await (const line of lines) {
    number++;
    if (line === '') continue;
    const entry = decodeEntry(line, `${path} line ${number}`, lastMs);
    lastMs = entry.atMs;
    yield entry;
  }
}

async function* readLines(path: string): AsyncGenerator<string> {
  const file = createReadStream(path);
  const gunzip = path.endsWith('.gz') ? createGunzip() : undefined;
  const input = gunzip ?? file;
  if (gunzip !== undefined) {
    file.on('error', (error) => gunzip.destroy(error));
    file.pipe(gunzip);
  }
  try {
    let chars = 0;
    input.on('data', (chunk: Buffer) => {
      const newline = chunk.lastIndexOf(10);
      chars = newline === -1 ? chars + chunk.length : chunk.length - newline - 1;
      if (chars > MAX_LINE_CHARS) input.destroy(new Error(`a line is longer than ${MAX_LINE_CHARS} characters`));
    });
    yield* createInterface({ input, crlfDelay: Infinity });
  } catch (cause) {
    throw new NetloomError('RECORDING_INVALID', 'the recording cannot be read', {
      place: path,
      found: messageOf(cause),
      cause,
    });
  } finally {
    file.destroy();
    gunzip?.destroy();
  }
}
