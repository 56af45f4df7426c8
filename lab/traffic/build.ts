import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { NetloomError } from '../../lib/errors.ts';
import { tryCommand, which } from '../command.ts';

const SOURCE = fileURLToPath(new URL('./pod.c', import.meta.url));
const BUILD_DIR = fileURLToPath(new URL('../../build/lab/', import.meta.url));

/**
 * Path of the compiled traffic program. It is compiled once per content of its source, with $CC, clang, gcc or cc.
 * `fallbackDir` is used where the checkout cannot be written. Throws LAB_NO_COMPILER.
 */
export async function podProgram(fallbackDir: string): Promise<string> {
  const source = await readFile(SOURCE);
  const name = `pod-${createHash('sha256').update(source).digest('hex').slice(0, 12)}`;
  const ready = await which(`${BUILD_DIR}${name}`);
  if (ready !== undefined) return ready;

  let dir = BUILD_DIR;
  try {
    await mkdir(dir, { recursive: true });
  } catch {
    dir = `${fallbackDir}/`;
  }
  const tried: string[] = [];
  for (const compiler of [process.env['CC'], 'clang', 'gcc', 'cc']) {
    if (compiler === undefined || compiler === '') continue;
    const path = await which(compiler);
    if (path === undefined) {
      tried.push(`${compiler}: not found`);
      continue;
    }
    // Renamed when complete: two labs may compile at the same time.
    const temporary = `${dir}${name}.${process.pid}.tmp`;
    const result = await tryCommand(path, ['-O2', '-o', temporary, SOURCE]);
    if (result.code === 0) {
      await rename(temporary, `${dir}${name}`);
      return `${dir}${name}`;
    }
    await rm(temporary, { force: true });
    tried.push(`${compiler}: ${result.stderr.trim().slice(0, 300)}`);
  }
  throw new NetloomError('LAB_NO_COMPILER', 'lab/traffic/pod.c could not be compiled', { found: tried.join('; ') });
}
