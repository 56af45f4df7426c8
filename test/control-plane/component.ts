import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const STOP_MS = 10_000;
/** Of util-linux. */
const SETPRIV = '/usr/bin/setpriv';

/** One process of the control plane, with its log in a file. */
export class Component {
  readonly name: string;
  readonly logFile: string;
  readonly #child: ChildProcess;
  readonly #exit: Promise<void>;

  /** @param env beside PATH and HOME */
  constructor(binary: string, args: readonly string[], logFile: string, env: Readonly<Record<string, string>> = {}) {
    this.name = basename(binary);
    this.logFile = logFile;
    const log = openSync(logFile, 'a');
    // Whatever ends this process, a kill too, ends what it started (prctl(2), PR_SET_PDEATHSIG).
    const [command, ...rest] = existsSync(SETPRIV)
      ? [SETPRIV, '--pdeathsig', 'KILL', binary, ...args]
      : [binary, ...args];
    this.#child = spawn(command, rest, {
      stdio: ['ignore', log, log],
      // A group of its own: an interrupt at the terminal is ours to handle, in order.
      detached: true,
      env: { PATH: process.env['PATH'] ?? '', ...env },
    });
    closeSync(log);
    this.#exit = new Promise((resolve) => {
      this.#child.once('exit', () => resolve());
      this.#child.once('error', () => resolve());
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get running(): boolean {
    return this.#child.pid !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  cpuSeconds(): number {
    return cpuSecondsOf(this.pid);
  }

  rssBytes(): number {
    const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${this.pid}/status`, 'utf8'));
    return Number(line?.[1] ?? 0) * 1024;
  }

  log(): string {
    return readFileSync(this.logFile, 'utf8');
  }

  /** Until `ready` says so. @throws with the end of its log when it ends first or takes too long */
  async until(ready: () => Promise<boolean>, withinMs = 60_000): Promise<this> {
    const end = performance.now() + withinMs;
    while (!(await ready().catch(() => false))) {
      if (!this.running) throw new Error(`${this.name} ended at its start:\n${this.log().slice(-3_000)}`);
      if (performance.now() > end) {
        throw new Error(`${this.name} is not ready after ${withinMs} ms:\n${this.log().slice(-3_000)}`);
      }
      await sleep(50);
    }
    return this;
  }

  signal(signal: NodeJS.Signals): void {
    if (this.running) this.#child.kill(signal);
  }

  async stop(): Promise<void> {
    this.signal('SIGTERM');
    const timer = setTimeout(() => this.signal('SIGKILL'), STOP_MS);
    await this.#exit;
    clearTimeout(timer);
  }
}

/** CPU time that a process has used so far, seconds (proc(5), stat fields 14 and 15; a tick is 10 ms). */
export function cpuSecondsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
