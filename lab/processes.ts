import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf, NetloomError } from '../lib/errors.ts';
import { TOOL_ENV } from './command.ts';
import { LAB_ENV } from './names.ts';
import type { ProcessRef } from './state.ts';

/** Start time of a process in clock ticks since boot; undefined: there is none, or it is a zombie. */
export function startTimeOf(pid: number): string | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  // The name, in parentheses, may hold anything, also a ')'.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
}

export function isAlive(ref: ProcessRef): boolean {
  return startTimeOf(ref.pid) === ref.startTime;
}

/** Sends a signal if the process is still the one that was meant; false: it is gone. */
export function signal(ref: ProcessRef, name: NodeJS.Signals): boolean {
  if (!isAlive(ref)) return false;
  try {
    return process.kill(ref.pid, name);
  } catch {
    return false;
  }
}

/** Ends processes: first asked to, after `graceMs` killed. Returns those that could not be ended. */
export async function endProcesses(refs: readonly ProcessRef[], graceMs: number): Promise<ProcessRef[]> {
  for (const [name, waitMs] of [['SIGTERM', graceMs] as const, ['SIGKILL', 3000] as const]) {
    for (const ref of refs) signal(ref, name);
    for (let waited = 0; waited < waitMs && refs.some(isAlive); waited += 10) await sleep(10);
  }
  return refs.filter(isAlive);
}

/** A process found in /proc. */
export interface FoundProcess extends ProcessRef {
  readonly command: string;
}

/**
 * Processes that were started by the lab called `name`: they carry it in their environment. Never this one, nor those
 * that started it (a shell inside a node, where somebody types `netloom lab down`).
 */
export function processesOfLab(name: string): FoundProcess[] {
  const own = ancestors();
  return findProcesses((pid) => {
    if (own.has(pid)) return false;
    const environment = readFileSync(`/proc/${pid}/environ`, 'latin1');
    return environment.split('\0').includes(`${LAB_ENV}=${name}`);
  });
}

/** Processes that run inside one of these network namespaces (paths of /run/netns). */
export function processesInside(netnsPaths: readonly string[]): FoundProcess[] {
  const inodes = new Set<string>();
  for (const path of netnsPaths) {
    try {
      const s = statSync(path);
      inodes.add(`${s.dev}:${s.ino}`);
    } catch {
      // gone
    }
  }
  if (inodes.size === 0) return [];
  return findProcesses((pid) => {
    const s = statSync(`/proc/${pid}/ns/net`);
    return inodes.has(`${s.dev}:${s.ino}`);
  });
}

function ancestors(): Set<number> {
  const out = new Set<number>();
  for (let pid = process.pid; pid > 1 && !out.has(pid);) {
    out.add(pid);
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      pid = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
    } catch {
      break;
    }
  }
  return out;
}

function findProcesses(matches: (pid: number) => boolean): FoundProcess[] {
  const out: FoundProcess[] = [];
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    try {
      if (!matches(pid)) continue;
      const startTime = startTimeOf(pid);
      if (startTime !== undefined) {
        out.push({ pid, startTime, command: readFileSync(`/proc/${pid}/comm`, 'utf8').trim() });
      }
    } catch {
      // It ended meanwhile, or is none of ours to look into.
    }
  }
  return out;
}

/** How to start a process inside a network namespace. /sys stays that of the machine (bpffs, cgroups). */
export function nsenterArgs(netns: string, argv: readonly string[]): string[] {
  return [`--net=${netns}`, '--', ...argv];
}

/** Starts a process that outlives this one, inside a network namespace, with its output in a file. */
export async function startDetached(
  lab: string,
  netns: string,
  argv: readonly string[],
  log: string,
): Promise<ProcessRef> {
  const fd = openSync(log, 'a');
  let child: ChildProcess;
  try {
    // nsenter becomes the program: the pid stays the same.
    child = spawn('nsenter', nsenterArgs(netns, argv), {
      detached: true,
      stdio: ['ignore', fd, fd],
      cwd: '/',
      env: { ...TOOL_ENV, [LAB_ENV]: lab },
    });
  } finally {
    closeSync(fd);
  }
  child.unref();
  const pid = await new Promise<number>((resolve, reject) => {
    child.once('error', (cause) =>
      reject(
        new NetloomError('LAB_POD_FAILED', 'a traffic process could not be started', {
          found: messageOf(cause),
          cause,
        }),
      ),
    );
    child.once('spawn', () => resolve(child.pid!));
  });
  return { pid, startTime: startTimeOf(pid) ?? '0' };
}
