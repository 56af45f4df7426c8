import { spawn, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { askApi } from '../../cli/api-client.ts';

export const BIN = fileURLToPath(new URL('../../bin/netloom', import.meta.url));

export interface Ended {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
}

/** Processes of the program as users start it. What is still running at the end is killed by `cleanup`. */
export class Processes {
  readonly #children = new Set<ChildProcess>();

  /** Runs a command to its end. */
  async run(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
    return this.program(BIN, args, options);
  }

  async program(path: string, args: readonly string[], options: RunOptions & { uid?: number } = {}): Promise<Ended> {
    const child = this.#spawn(path, args, options);
    let [stdout, stderr] = ['', ''];
    child.stdout!.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr!.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    const [status, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, by) => resolve([code, by]));
    });
    return { status, signal, stdout, stderr };
  }

  /** Starts a command and goes on. */
  start(args: readonly string[], options: RunOptions = {}): Running {
    return this.startProgram(BIN, args, options);
  }

  startProgram(path: string, args: readonly string[], options: RunOptions = {}): Running {
    return new Running(this.#spawn(path, args, options));
  }

  /** Starts a scheduler, by default on free ports, and waits until it listens. */
  async scheduler(
    args: readonly string[],
    options: RunOptions & { ports?: Ports; startMs?: number } = {},
  ): Promise<SchedulerProcess> {
    const { extender, agents, api } = options.ports ?? { extender: 0, agents: 0, api: 0 };
    const running = this.start(
      ['scheduler', '--log-format', 'json', '--listen', `127.0.0.1:${extender}`]
        .concat(['--listen-agents', `127.0.0.1:${agents}`, '--listen-api', `127.0.0.1:${api}`])
        .concat(args),
      options,
    );
    const up = await running.says('scheduler is up', options.startMs);
    return new SchedulerProcess(running, up as unknown as Ports);
  }

  async cleanup(): Promise<void> {
    await Promise.all(
      [...this.#children].map(async (child) => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        const gone = new Promise((resolve) => child.once('exit', resolve));
        child.kill('SIGKILL');
        await gone;
      }),
    );
    this.#children.clear();
  }

  #spawn(path: string, args: readonly string[], { env, cwd, uid }: RunOptions & { uid?: number }): ChildProcess {
    const child = spawn(path, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: env ?? process.env,
      ...(cwd === undefined ? {} : { cwd }),
      ...(uid === undefined ? {} : { uid, gid: uid }),
    });
    this.#children.add(child);
    return child;
  }
}

export interface LogLine {
  readonly level: string;
  readonly msg: string;
  readonly [key: string]: unknown;
}

export class Running {
  readonly #child: ChildProcess;
  readonly #ended: Promise<{ status: number | null; signal: NodeJS.Signals | null }>;
  #over = false;
  stderr = '';

  constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout!.resume();
    child.stderr!.setEncoding('utf8').on('data', (text: string) => (this.stderr += text));
    this.#ended = new Promise((resolve) => {
      child.once('close', (status, signal) => {
        this.#over = true;
        resolve({ status, signal });
      });
    });
  }

  get pid(): number {
    return this.#child.pid!;
  }

  get running(): boolean {
    return !this.#over;
  }

  /** What it logged with --log-format json. */
  log(): LogLine[] {
    return this.stderr
      .split('\n')
      .filter((line) => line.startsWith('{') && line.endsWith('}'))
      .map((line) => JSON.parse(line) as LogLine);
  }

  /** Waits for a log line with this message. */
  async says(message: string, giveUpMs?: number): Promise<LogLine> {
    let line: LogLine | undefined;
    await until(
      `it says "${message}"`,
      () => {
        line = this.log().find(({ msg }) => msg === message);
        if (line === undefined && this.#over) throw new Error(`it ended before it said "${message}":\n${this.stderr}`);
        return line !== undefined;
      },
      giveUpMs,
    );
    return line!;
  }

  /** Sends a signal and goes on; SIGSTOP freezes it. */
  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Sends a signal and waits for the end. */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<{ status: number | null; signal: NodeJS.Signals | null }> {
    this.#child.kill(signal);
    return this.#ended;
  }
}

export interface Ports {
  readonly extender: number;
  readonly agents: number;
  readonly api: number;
}

export class SchedulerProcess {
  readonly process: Running;
  readonly ports: Ports;

  constructor(process: Running, { extender, agents, api }: Ports) {
    this.process = process;
    this.ports = { extender, agents, api };
  }

  /** For --api of the client commands. */
  get api(): string {
    return `127.0.0.1:${this.ports.api}`;
  }

  /** For kube-scheduler. */
  get extender(): string {
    return `127.0.0.1:${this.ports.extender}`;
  }

  get agents(): string {
    return `127.0.0.1:${this.ports.agents}`;
  }

  get<T>(path: string, query: Readonly<Record<string, string>> = {}): Promise<T> {
    return askApi<T>({ api: { host: '127.0.0.1', port: this.ports.api }, timeout: 10_000 }, path, query);
  }

  async prioritize(pod: object, nodeNames: readonly string[]): Promise<{ Host: string; Score: number }[]> {
    const response = await fetch(`http://127.0.0.1:${this.ports.extender}/prioritize`, {
      method: 'POST',
      body: JSON.stringify({ Pod: pod, Nodes: null, NodeNames: nodeNames }),
    });
    if (response.status !== 200) throw new Error(`/prioritize answered ${response.status}`);
    return (await response.json()) as { Host: string; Score: number }[];
  }

  /** Resolves once it knows the cluster: it is up before, with neutral answers. */
  async ready(): Promise<void> {
    const url = `http://127.0.0.1:${this.ports.extender}/readyz`;
    await until('the scheduler is ready', async () => (await fetch(url)).ok);
  }

  /** A scrape for which the ingest thread was too busy lacks what that knows: it is made again. */
  async metric(name: string): Promise<number> {
    for (const giveUp = performance.now() + GIVE_UP_MS; ;) {
      const text = await (await fetch(`http://127.0.0.1:${this.ports.extender}/metrics`)).text();
      const lines = text.split('\n');
      const line = lines.find((candidate) => candidate.startsWith(`${name} `));
      if (line !== undefined) return Number(line.slice(name.length));
      if (lines.includes('netloom_ingest_up 1') || performance.now() > giveUp) throw new Error(`no metric ${name}`);
    }
  }

  end(signal?: NodeJS.Signals): Promise<{ status: number | null; signal: NodeJS.Signals | null }> {
    return this.process.end(signal);
  }
}

/** Shorter than the time a test has, so that it says what it waited for. */
const GIVE_UP_MS = 45_000;

/** Polls; what `holds` throws ends the wait. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  giveUpMs = GIVE_UP_MS,
): Promise<void> {
  const giveUp = performance.now() + giveUpMs;
  while (!(await holds())) {
    if (performance.now() > giveUp) throw new Error(`waited in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
