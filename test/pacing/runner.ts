import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { GuestMessage } from './cases/case.ts';
import type { Guest } from './guest/prepare.ts';

const LOGS = fileURLToPath(new URL('../../build/log/', import.meta.url));

export interface Boot {
  /** Nanoseconds that one instruction takes, as a power of two: 1 is a machine of 500 MIPS, 0 one of 1,000. */
  readonly shift: 0 | 1;
  /** Ids of the cases to run, in this order. */
  readonly cases: readonly string[];
  /** Modules that are not loaded. */
  readonly without?: readonly string[];
  readonly memoryMb?: number;
  /** Of all that is random in the guest: ports, hashes, queue positions. Default 1. */
  readonly seed?: number;
  /** Of the host's time, after which the guest is ended. */
  readonly timeoutSeconds?: number;
}

/** The node with its agent, 128 TCP flows and what their buffers hold. */
const MEMORY_MB = 768;
const TIMEOUT_SECONDS = 1200;
const CONSOLE_LINES = 30;

const running = new Set<ChildProcess>();
process.on('exit', () => running.forEach((child) => child.kill('SIGTERM')));

let boots = 0;

/**
 * Runs cases in a guest under QEMU with -icount: its clock counts instructions and idle time is skipped, so rates and
 * latencies are the same however busy this machine is.
 *
 * TCG of QEMU 7.2 miscomputes behind CMPXCHG16B, and Linux 6.12 then crashes anywhere: -cx16.
 * @param told each line that the guest says
 * @throws Error with the end of its console, if it ends without having said so, or too late
 */
export async function runGuest(
  guest: Guest,
  boot: Boot,
  told: (message: GuestMessage) => void,
  signal?: AbortSignal,
): Promise<void> {
  mkdirSync(LOGS, { recursive: true });
  const console = join(LOGS, `pacing-${guest.kernel.name}-${process.pid}-${boots++}.log`);
  const { shift, cases, without = [], memoryMb = MEMORY_MB, seed = 1, timeoutSeconds = TIMEOUT_SECONDS } = boot;
  const append = [
    'console=ttyS0 panic=-1 quiet mitigations=off nokaslr tsc=reliable random.trust_cpu=1 rdinit=/init',
    `netloom.cases=${cases.join(';')}`,
    `netloom.without=${without.join(',')}`,
  ].join(' ');
  const args = [
    ...'-M q35 -cpu max,-cx16 -accel tcg,thread=single -smp 1 -nodefaults -display none -no-reboot'.split(' '),
    ...['-icount', `shift=${shift},sleep=off`, '-m', `${memoryMb}`],
    // The same clock and the same randomness each time: equal code gives equal figures.
    ...['-rtc', 'base=2026-01-01T00:00:00,clock=vm', '-seed', `${seed}`],
    ...['-kernel', guest.kernel.image, '-initrd', guest.image, '-append', append],
    ...['-serial', `file:${console}`, '-serial', 'stdio'],
  ];
  // timeout(1) ends the guest even if this process is killed.
  const child = spawn('timeout', ['-k', '5', `${timeoutSeconds}`, 'qemu-system-x86_64', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  const stop = (): void => void child.kill('SIGTERM');
  signal?.addEventListener('abort', stop);
  let ended = false;
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  const lines = createInterface({ input: child.stdout });
  lines.on('line', (line) => {
    const message = parse(line);
    if (message === undefined) return;
    if (message.type === 'end') ended = true;
    told(message);
  });
  try {
    await new Promise<void>((done, failed) => {
      child.on('error', failed);
      child.on('close', () => done());
    });
  } finally {
    running.delete(child);
    signal?.removeEventListener('abort', stop);
  }
  if (ended) return;
  const tail = readFileSync(console, 'utf8').trimEnd().split('\n').slice(-CONSOLE_LINES).join('\n');
  throw new Error(`the guest ended before its cases did. ${errors}\n${tail}`);
}

function parse(line: string): GuestMessage | undefined {
  try {
    return JSON.parse(line) as GuestMessage;
  } catch {
    return undefined;
  }
}
