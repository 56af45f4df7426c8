import { createWriteStream } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { NetloomError } from '../lib/errors.ts';
import { exportFailed } from '../lib/files/file-problem.ts';
import { openApi, type ApiClientOptions } from './api-client.ts';

const FILES = { 'snapshot.json': '/v1/export/snapshot', 'traffic.csv': '/v1/export/traffic' } as const;

/**
 * Writes what a live scheduler knows into `dir`; each file appears whole or not at all. Returns their paths.
 * @throws NetloomError EXPORT_FAILED, and those of the API client
 */
export async function exportGraph(api: ApiClientOptions, dir: string): Promise<string[]> {
  const written: string[] = [];
  try {
    await mkdir(dir, { recursive: true });
    for (const [name, path] of Object.entries(FILES)) {
      const file = join(dir, name);
      const partial = `${file}.partial`;
      try {
        await pipeline(await openApi(api, path), createWriteStream(partial));
        await rename(partial, file);
      } finally {
        await rm(partial, { force: true });
      }
      written.push(file);
    }
  } catch (error) {
    if (error instanceof NetloomError) throw error;
    throw exportFailed("the graph's files", 'folder', dir, error);
  }
  return written;
}
