import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { rmSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const PORT = 9750;

const RELAY = `
  const { connect, createServer } = require('node:net');
  const [host, path] = process.argv.slice(1);
  createServer((from) => {
    const to = connect(path);
    from.on('error', () => to.destroy()).pipe(to);
    to.on('error', () => from.destroy()).pipe(from);
  }).listen(${PORT}, host, () => console.log('listening'));`;

/**
 * A way to a local TCP port through a network namespace of its own, where packets can be dropped at any time: those of
 * connections that stand, too. Both ends learn nothing: neither reset nor unreachable. The namespace's end hands on over a
 * Unix socket, which namespaces of the network do not separate. Needs root.
 */
export class DroppingPath {
  readonly #name = `nlt${process.pid}drop`;
  readonly #host: string;
  readonly #socketPath: string;
  #relay: ChildProcess | undefined;
  #server: Server | undefined;
  /** HOST:PORT */
  readonly address: string;

  private constructor() {
    // Of the range for tests of networks (RFC 2544), four addresses by process.
    const block = `198.18.${(process.pid >> 6) & 255}`;
    const first = (process.pid & 63) << 2;
    this.#host = `${block}.${first + 1}`;
    this.address = `${block}.${first + 2}:${PORT}`;
    this.#socketPath = join(tmpdir(), `${this.#name}.sock`);
  }

  /** @param target HOST:PORT */
  static async open(target: string): Promise<DroppingPath> {
    const path = new DroppingPath();
    try {
      await path.#open(target);
      return path;
    } catch (error) {
      await path.close();
      throw error;
    }
  }

  async #open(target: string): Promise<void> {
    const [host, port] = target.split(':') as [string, string];
    const server = createServer((from) => {
      const to = connect(Number(port), host);
      from.on('error', () => to.destroy()).pipe(to);
      to.on('error', () => from.destroy()).pipe(from);
    });
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(this.#socketPath, resolve));
    const own = this.address.split(':')[0]!;
    const [outer, inner] = [`nl${process.pid}o`, `nl${process.pid}i`];
    await run('ip', ['netns', 'add', this.#name]);
    await run('ip', ['link', 'add', outer, 'type', 'veth', 'peer', 'name', inner, 'netns', this.#name]);
    await run('ip', ['addr', 'add', `${this.#host}/30`, 'dev', outer]);
    await run('ip', ['link', 'set', outer, 'up']);
    await this.#inside('ip', 'addr', 'add', `${own}/30`, 'dev', inner);
    await this.#inside('ip', 'link', 'set', inner, 'up');
    const args = ['netns', 'exec', this.#name, process.execPath, '-e', RELAY, own, this.#socketPath];
    const relay = spawn('ip', args, { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#relay = relay;
    await new Promise<void>((resolve, reject) => {
      relay.stdout.once('data', () => resolve());
      relay.once('exit', () => reject(new Error('the relay in the namespace ended')));
    });
  }

  async drop(): Promise<void> {
    const rules = ['input', 'output'].map(
      (hook) => `add chain inet hole ${hook} { type filter hook ${hook} priority 0; policy drop; }`,
    );
    await this.#inside('nft', ['add table inet hole', ...rules].join('; '));
  }

  async restore(): Promise<void> {
    await this.#inside('nft', 'delete table inet hole');
  }

  async close(): Promise<void> {
    this.#relay?.kill('SIGKILL');
    this.#server?.close();
    await run('ip', ['netns', 'del', this.#name]).catch(() => undefined);
    rmSync(this.#socketPath, { force: true });
  }

  async #inside(command: string, ...args: string[]): Promise<void> {
    await run('ip', ['netns', 'exec', this.#name, command, ...args]);
  }
}
