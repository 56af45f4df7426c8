import { spawn } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { NetloomError } from '../lib/errors.ts';

/** sbin is not in everybody's PATH, not even in root's after a plain `su`. */
const PATH = [process.env['PATH'] ?? '', '/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/bin', '/bin'].join(delimiter);

/** Environment of programs that the lab calls: their messages are read. */
export const TOOL_ENV = { PATH, LC_ALL: 'C' };

const MAX_OUTPUT = 1024 * 1024;
const TIMEOUT_MS = 30_000;

export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end, with `input` on its standard input. Throws LAB_TOOL_MISSING. */
export async function tryCommand(program: string, args: readonly string[], input = ''): Promise<CommandResult> {
  return await new Promise((resolve, reject) => {
    const child = spawn(program, args, { env: TOOL_ENV, stdio: 'pipe' });
    let stdout = '';
    let stderr = '';
    const timer = setTimeout(() => child.kill('SIGKILL'), TIMEOUT_MS);
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (stdout.length < MAX_OUTPUT) stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      if (stderr.length < MAX_OUTPUT) stderr += text;
    });
    // A program that ends without reading its input breaks the pipe; its exit code says what matters.
    child.stdin.on('error', () => {});
    child.on('error', (cause: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      reject(
        cause.code === 'ENOENT'
          ? new NetloomError('LAB_TOOL_MISSING', `the program ${program} is not installed`, { cause })
          : cause,
      );
    });
    child.on('close', (code) => {
      clearTimeout(timer);
      resolve({ code, stdout, stderr });
    });
    child.stdin.end(input);
  });
}

/** As tryCommand, but throws LAB_NEEDS_ROOT or LAB_COMMAND_FAILED if the program does not succeed. */
export async function command(program: string, args: readonly string[], input = ''): Promise<string> {
  const result = await tryCommand(program, args, input);
  if (result.code === 0) return result.stdout;
  const found = (result.stderr.trim() || result.stdout.trim()).slice(0, 1000);
  const place = [program, ...args].join(' ');
  if (/operation not permitted|permission denied/i.test(found)) {
    throw new NetloomError('LAB_NEEDS_ROOT', 'the kernel does not let this process make network namespaces', {
      place,
      found,
    });
  }
  throw new NetloomError('LAB_COMMAND_FAILED', `${program} failed with code ${result.code ?? 'none (killed)'}`, {
    place,
    found,
  });
}

/** Runs `ip -batch` inside a network namespace, or in this process' own. */
export async function ipBatch(namespace: string | undefined, lines: readonly string[]): Promise<void> {
  if (lines.length === 0) return;
  const where = namespace === undefined ? [] : ['-n', namespace];
  await command('ip', [...where, '-batch', '-'], `${lines.join('\n')}\n`);
}

/** Throws LAB_NEEDS_ROOT or LAB_TOOL_MISSING, before anything is made. */
export async function checkMachine(): Promise<void> {
  if (process.platform !== 'linux') {
    throw new NetloomError('LAB_NEEDS_ROOT', 'the lab needs Linux', {
      expected: 'Linux with network namespaces',
      found: process.platform,
      remedy: 'Run it on a Linux machine or in a Linux virtual machine, as root.',
    });
  }
  if (process.getuid?.() !== 0) {
    throw new NetloomError('LAB_NEEDS_ROOT', 'the lab makes network namespaces and must run as root', {
      expected: 'user id 0',
      found: `user id ${process.getuid?.() ?? 'unknown'}`,
    });
  }
  const missing: string[] = [];
  for (const tool of ['ip', 'nft', 'nsenter']) if ((await which(tool)) === undefined) missing.push(tool);
  if (missing.length > 0) {
    throw new NetloomError('LAB_TOOL_MISSING', `not installed: ${missing.join(', ')}`, {
      expected: 'ip (iproute2), nft (nftables), nsenter (util-linux)',
    });
  }
}

/** Full path of a program, or undefined. */
export async function which(program: string): Promise<string | undefined> {
  if (program.includes('/')) return (await executable(program)) ? program : undefined;
  for (const dir of PATH.split(delimiter)) {
    if (dir !== '' && (await executable(join(dir, program)))) return join(dir, program);
  }
  return undefined;
}

async function executable(file: string): Promise<boolean> {
  try {
    await access(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Runs `task` for all items, at most `width` at a time; the first failure is thrown once all have ended. */
export async function inParallel<T>(
  items: readonly T[],
  width: number,
  task: (item: T) => Promise<void>,
): Promise<void> {
  let next = 0;
  let failed = false;
  const worker = async (): Promise<void> => {
    while (next < items.length && !failed) {
      try {
        await task(items[next++]!);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const results = await Promise.allSettled(Array.from({ length: Math.min(width, items.length) }, worker));
  for (const r of results) if (r.status === 'rejected') throw r.reason;
}
