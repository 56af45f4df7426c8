import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { NetloomError } from '../lib/errors.ts';

const BIN = fileURLToPath(new URL('../bin/netloom', import.meta.url));
/** Of util-linux. */
const SETPRIV = '/usr/bin/setpriv';
const KEPT_LOG = 4_000;

/** A Netloom process that the demo runs as a user would, through bin/netloom. */
export interface NetloomProcess {
  readonly pid: number;
  /** The end of what it said on standard error. */
  log(): string;
  /** SIGTERM, then SIGKILL if that does not help. Resolves when it is gone. */
  stop(): Promise<void>;
}

const STOP_MS = 8_000;

/**
 * @param survives the demo may end before it
 * @param netns path of the network namespace that it runs in; default: that of the demo
 * @throws NetloomError DEMO_FAILED if it cannot be started
 */
export async function startNetloom(
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  onExit: (what: string) => void,
  survives: boolean,
  netns?: string,
): Promise<NetloomProcess> {
  const argv = inNetns(netns, args);
  // Whatever ends the demo, a kill too, ends what it started (prctl(2), PR_SET_PDEATHSIG).
  const [command, ...rest] =
    survives || !existsSync(SETPRIV) ? argv : ([SETPRIV, '--pdeathsig', 'TERM', ...argv] as const);
  // A group of its own: an interrupt at the terminal is the demo's to handle, in order.
  const child = spawn(command, rest, { env, stdio: ['ignore', 'ignore', 'pipe'], detached: true });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-KEPT_LOG)));
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  let stopping = false;
  child.once('exit', (code, signal) => {
    if (!stopping) onExit(`netloom ${args[0]} ended by itself (${signal ?? `status ${code}`}):\n${said}`);
  });
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (cause) => reject(new NetloomError('DEMO_FAILED', `${BIN} cannot be started`, { cause })));
  });
  return {
    pid: child.pid!,
    log: () => said,
    stop: async () => {
      stopping = true;
      await endChild(child, gone);
    },
  };
}

/** Runs a command to its end. @throws NetloomError DEMO_FAILED if it fails */
export async function runNetloom(args: readonly string[], env: NodeJS.ProcessEnv, netns?: string): Promise<void> {
  const [command, ...rest] = inNetns(netns, args);
  const child = spawn(command, rest, { env, stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-KEPT_LOG)));
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once('close', resolve);
    child.once('error', reject);
  });
  if (status === 0) return;
  throw new NetloomError('DEMO_FAILED', `netloom ${args[0]} failed (status ${status}):\n${said}`);
}

function inNetns(netns: string | undefined, args: readonly string[]): [string, ...string[]] {
  return netns === undefined ? [BIN, ...args] : ['nsenter', `--net=${netns}`, '--', BIN, ...args];
}

async function endChild(child: ChildProcess, gone: Promise<void>): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
  await gone;
  clearTimeout(timer);
}

/** Ports on loopback that nobody uses: `wanted` where it is free, else another. */
export async function freePorts(wanted: readonly number[]): Promise<number[]> {
  const ports: number[] = [];
  for (const port of wanted) ports.push((await tryPort(port)) ?? (await tryPort(0))!);
  return ports;
}

function tryPort(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(undefined));
    server.listen(port, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : undefined));
    });
  });
}
