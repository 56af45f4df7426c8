import { open } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { messageOf, NetloomError } from '../errors.ts';
import { parseConfigFile, type ConfigFile, type Sections } from './file.ts';

/** No configuration of ours is near this; a log or a dump given by mistake is beyond it. */
const MAX_BYTES = 1 << 20;

/**
 * Reads and parses a configuration file.
 * @throws NetloomError CONFIG_UNREADABLE: it cannot be read, is no regular text file, or is too large.
 */
export async function readConfigFile(path: string, cwd: string, sections: Sections): Promise<ConfigFile> {
  const absolute = resolve(cwd, path);
  const text = decode(await readBounded(absolute, path), path);
  return parseConfigFile(text, path, dirname(absolute), sections);
}

async function readBounded(absolute: string, place: string): Promise<Uint8Array> {
  let handle;
  try {
    handle = await open(absolute, 'r');
    const stat = await handle.stat();
    if (stat.isDirectory()) throw unreadable(place, 'a folder', undefined);
    // Sizes of pipes (`--config <(...)`) and /proc files are 0: read up to the limit and see.
    const buffer = new Uint8Array(MAX_BYTES + 1);
    let length = 0;
    while (length < buffer.length) {
      const { bytesRead } = await handle.read(buffer, length, buffer.length - length, null);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    if (length > MAX_BYTES) throw unreadable(place, 'more than 1 MiB', undefined);
    return buffer.subarray(0, length);
  } catch (error) {
    throw error instanceof NetloomError ? error : unreadable(place, messageOf(error), error);
  } finally {
    await handle?.close();
  }
}

function decode(bytes: Uint8Array, place: string): string {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    if (text.includes('\0')) throw unreadable(place, 'binary data', undefined);
    return text;
  } catch (error) {
    throw error instanceof NetloomError ? error : unreadable(place, 'bytes that are no UTF-8', error);
  }
}

function unreadable(place: string, found: string, cause: unknown): NetloomError {
  return new NetloomError('CONFIG_UNREADABLE', 'the configuration file cannot be read', {
    place,
    expected: 'a YAML file in UTF-8, at most 1 MiB',
    found,
    cause,
  });
}
