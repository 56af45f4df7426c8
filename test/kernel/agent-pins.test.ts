import koffi from 'koffi';
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startAgent } from '../../collector/agent.ts';
import { loadCollector } from '../../collector/kernel.ts';
import { PINNED_MAPS, PinFolder } from '../../collector/pins.ts';
import { bpfObjectPath, ensureBpffs, loadBpf, unmountBpffs } from '../../lib/bpf/index.ts';
import { silentLogger } from '../../lib/log.ts';
import { ROLE_SERVER, type Losses, type Report } from '../../proto/report.ts';
import type { ReportSink } from '../../scheduler/ingest/report-sink.ts';
import { startReportServer, type ReportServer } from '../../scheduler/ingest/report-server.ts';
import { buildBpf } from '../support/bpf.ts';
import { Processes, until, type Running } from '../support/netloom.ts';
import { Actor } from './collector-support/actor-process.ts';
import { Measurement } from './collector-support/measure.ts';
import { makePair, netnsInode, netnsPath } from './collector-support/namespaces.ts';

const PORT = 9900;
const SOURCE = join(import.meta.dirname, '..', '..', 'collector', 'bpf');

const processes = new Processes();
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  await processes.cleanup();
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});
beforeAll(buildBpf);

/** What a scheduler has booked and committed; outlives its servers. */
class Books implements ReportSink {
  readonly reports: Report[] = [];
  readonly #committed = new Map<string, number>();
  /** Commits wait for it. */
  gate: Promise<void> | undefined;

  committedSeq(_node: string, mapId: Uint8Array): number {
    return this.#committed.get(Buffer.from(mapId).toString('hex')) ?? 0;
  }

  async report(_node: string, report: Report): Promise<void> {
    this.reports.push(report);
    await this.gate;
    this.#committed.set(Buffer.from(report.mapId).toString('hex'), report.seq);
  }

  /** Of the accepting sockets of the port. */
  get server(): { received: number; sent: number; connections: number } {
    const sums = { received: 0, sent: 0, connections: 0 };
    for (const { edges } of this.reports) {
      for (let row = 0; row < edges.n; row++) {
        if (edges.role[row] !== ROLE_SERVER || edges.serverPort[row] !== PORT) continue;
        sums.received += edges.bytesReceived[row]!;
        sums.sent += edges.bytesSent[row]!;
        sums.connections += edges.connections[row]!;
      }
    }
    return sums;
  }

  get mapIds(): string[] {
    return [...new Set(this.reports.map(({ mapId }) => Buffer.from(mapId).toString('hex')))];
  }

  lost(name: keyof Losses): number {
    return this.reports.reduce((sum, { losses }) => sum + losses[name], 0);
  }
}

async function lab() {
  const dir = mkdtempSync(join(tmpdir(), 'nlt-pins-'));
  cleanups.push(() => rmSync(dir, { recursive: true, force: true }));
  const bpffs = join(dir, 'bpf');
  ensureBpffs(bpffs);
  cleanups.push(() => unmountBpffs(bpffs));
  const pins = join(bpffs, 'netloom');
  const state = join(dir, 'state');
  const pair = makePair();
  cleanups.push(() => pair.remove());
  const [client, server] = await Promise.all([Actor.start(pair.a), Actor.start(pair.b)]);
  cleanups.push(() => client.stop());
  cleanups.push(() => server.stop());
  await server.do({ op: 'listen', host: pair.addressB, port: PORT });
  const scope = join(dir, 'scope');
  writeFileSync(scope, `${netnsPath(pair.b)}\n`);

  const books = new Books();
  let reports: ReportServer | undefined;
  const startScheduler = async (port = 0): Promise<ReportServer> =>
    (reports = await startReportServer({
      listen: `127.0.0.1:${port}`,
      logger: silentLogger,
      ranges: () => [],
      sink: books,
    }));
  cleanups.push(() => reports?.close());
  const { port } = await startScheduler();

  const startAgentProcess = async (...args: string[]): Promise<Running> => {
    const agent = processes.start(
      ['agent', '--node', 'alpha', '--scheduler', `127.0.0.1:${port}`, '--interval', '200ms', '--log-format', 'json']
        .concat(['--scope', scope, '--pins', pins, '--state', state])
        .concat(args),
    );
    await agent.says('measuring');
    return agent;
  };
  let accepted = 0;
  /** A connection, by its numbers at both ends. */
  const connect = async (): Promise<{ at: number; peer: number }> => {
    const at = await client.do<number>({ op: 'connect', host: pair.addressB, port: PORT });
    const all = await server.do<number[]>({ op: 'accepted', port: PORT, count: ++accepted });
    return { at, peer: all.at(-1)! };
  };
  let written = 0;
  const write = async ({ at, peer }: { at: number; peer: number }, bytes: number): Promise<void> => {
    const before = (await server.do<{ read: number }>({ op: 'counts', conn: peer })).read;
    await client.do({ op: 'write', conn: at, bytes });
    await server.do({ op: 'read', conn: peer, bytes: before + bytes });
    written += bytes;
  };
  const end = async ({ at, peer }: { at: number; peer: number }): Promise<void> => {
    await client.do({ op: 'end', conn: at });
    await server.do({ op: 'waitEnd', conn: peer });
    await server.do({ op: 'end', conn: peer });
    await client.do({ op: 'waitClose', conn: at });
  };
  const arrives = (what: string): Promise<void> =>
    until(`${what}: ${written} bytes arrive`, () => books.server.received >= written);
  return {
    ...{ dir, pins, state, pair, client, server, scope, books, connect, write, end, arrives, startScheduler, port },
    startAgent: startAgentProcess,
    written: () => written,
    closeScheduler: () => reports!.close(),
  };
}

const kinds = ['prog', 'map', 'link'] as const;
const libbpf = koffi.load('libbpf.so.1');
const openById = Object.fromEntries(
  kinds.map((kind) => [kind, libbpf.func(`int bpf_${kind}_get_fd_by_id(uint32_t id)`) as (id: number) => number]),
);

/** By the kernel's own numbers: `link 12`. */
function heldBy(pid: number): string[] {
  const held = new Set<string>();
  for (const fd of readdirSync(`/proc/${pid}/fdinfo`)) {
    const text = readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8');
    for (const [, kind, id] of text.matchAll(/^(prog|map|link)_id:\s+(\d+)$/gm)) held.add(`${kind} ${id}`);
  }
  return [...held];
}

function exists(object: string): boolean {
  const [kind, id] = object.split(' ');
  const fd = openById[kind!]!(Number(id));
  if (fd >= 0) closeSync(fd);
  return fd >= 0;
}

describe('an agent on pins', () => {
  it.each(['SIGKILL', 'SIGTERM'] as const)(
    'that ends by %s is followed by one that counts what is open to the byte',
    async (signal) => {
      const { startAgent, connect, write, end, arrives, books, written } = await lab();
      const first = await startAgent();
      const [long, ended] = [await connect(), await connect()];
      await write(long, 100_000);
      await write(ended, 30_000);
      await arrives('before');
      await first.end(signal);
      // Without an agent: one goes on, one ends, one begins and ends, one begins.
      await write(long, 50_001);
      await write(ended, 7);
      await end(ended);
      const short = await connect();
      await write(short, 1_234);
      await end(short);
      const late = await connect();
      await write(late, 500);
      const before = books.reports.length;
      const second = await startAgent();
      await write(long, 25_000);
      await write(late, 9);
      await arrives('after');
      await Promise.all([end(long), end(late)]);
      expect(await second.end()).toEqual({ status: 0, signal: null });

      expect(books.server).toEqual({ received: written(), sent: 0, connections: 4 });
      expect(books.mapIds).toHaveLength(1);
      expect(books.reports.map(({ seq }) => seq)).toEqual(books.reports.map((_, i) => i + 1));
      expect(second.log().find(({ msg }) => msg === 'going on where the last agent was')).toMatchObject({ edges: 1 });
      // The first period of the second one reaches back to the last of the first one.
      const { awayMs } = second.log().find(({ msg }) => msg === 'going on where the last agent was') as unknown as {
        awayMs: number;
      };
      const periods = books.reports.slice(before).map(({ periodMs }) => periodMs);
      expect(Math.max(...periods)).toBeGreaterThanOrEqual(awayMs);
      for (const name of ['readFailed', 'droppedEdges', 'mapFullConnections', 'storageFailed'] as const)
        expect(books.lost(name)).toBe(0);
    },
  );

  it('killed between the commit and its acknowledgement, and while commits are under way, repeats nothing', async () => {
    const { startAgent, connect, write, books, written } = await lab();
    const conn = await connect();
    await write(conn, 10);
    const first = await startAgent();
    const counted = await connect();
    let release = (): void => undefined;
    books.gate = new Promise((resolve) => (release = resolve));
    await write(counted, 4_000);
    await until('it is booked', () => books.server.received === 4_000);
    await first.end('SIGKILL');
    await write(counted, 300);
    const second = await startAgent();
    await write(counted, 20);
    await until('it says hello', () => second.log().some(({ msg }) => msg === 'connected to the scheduler'));
    release();
    books.gate = undefined;
    await until('all is there', () => books.server.received >= 4_320);
    await second.end();
    // What was open before the first agent is not counted.
    expect(books.server).toEqual({ received: written() - 10, sent: 0, connections: 1 });
  });

  it('loses nothing while the scheduler is away too', async () => {
    const { startAgent, connect, write, end, arrives, books, written, closeScheduler, startScheduler, port } =
      await lab();
    const first = await startAgent();
    const conn = await connect();
    await write(conn, 1_000);
    await arrives('at first');
    await closeScheduler();
    await write(conn, 20_000);
    await first.end('SIGKILL');
    await write(conn, 300_000);
    const second = await startAgent();
    await write(conn, 4);
    await second.end('SIGTERM');
    const third = await startAgent();
    await write(conn, 5_000_000);
    await startScheduler(port);
    await arrives('at last');
    await end(conn);
    await third.end();
    expect(books.server).toEqual({ received: written(), sent: 0, connections: 1 });
  });

  it('refuses a second one while it runs, and not after', async () => {
    const { startAgent, pins, state, scope } = await lab();
    const first = await startAgent();
    const second = await processes.run([
      'agent',
      '--node',
      'alpha',
      '--scheduler',
      '127.0.0.1:1',
      '--scope',
      scope,
      '--pins',
      pins,
      '--state',
      state,
    ]);
    expect(second.status).toBe(1);
    expect(second.stderr).toContain('AGENT_PINS_IN_USE');
    expect(second.stderr).toContain(pins);
    const detach = await processes.run(['agent', '--detach', '--pins', pins, '--state', state]);
    expect(detach).toMatchObject({ status: 1 });
    expect(detach.stderr).toContain('AGENT_PINS_IN_USE');
    await first.end('SIGKILL');
    await (await startAgent()).end();
  });

  it('leaves its program and maps, until --detach removes all of it', async () => {
    const { startAgent, pins, state } = await lab();
    const agent = await startAgent();
    const held = heldBy(agent.pid);
    await agent.end();
    const left = held.filter(exists);
    expect(left.filter((object) => object.startsWith('map')).length).toBeGreaterThanOrEqual(PINNED_MAPS.length);
    expect(readdirSync(pins).sort()).toEqual([...PINNED_MAPS, 'on_state'].sort());
    expect(readdirSync(state)).toHaveLength(1);
    const detach = await processes.run(['agent', '--detach', '--pins', pins, '--state', state]);
    expect(detach).toMatchObject({ status: 0, stderr: '', stdout: `Program and maps are removed from ${pins}.\n` });
    await until('all are gone', () => !held.some(exists));
    expect(existsSync(pins)).toBe(false);
    expect(existsSync(state)).toBe(false);
    const again = await processes.run(['agent', '--detach', '--pins', pins, '--state', state]);
    expect(again).toMatchObject({ status: 0, stdout: `Nothing is pinned at ${pins}.\n` });
    const without = await processes.run(['agent', '--detach', '--state', state]);
    expect(without).toMatchObject({ status: 0, stdout: expect.stringMatching(/^No limits are in force.*--pins DIR/) });
  });

  it('makes anew what has other sizes, and says so', async () => {
    const { startAgent, connect, write, arrives, books, written } = await lab();
    const first = await startAgent();
    const held = heldBy(first.pid);
    const conn = await connect();
    await write(conn, 1_000);
    await arrives('at first');
    await first.end();
    const second = await startAgent('--map-entries', '2048');
    expect(second.log().find(({ level }) => level === 'warn')?.msg).toContain('other sizes');
    await until('the old ones are gone', () => !held.some(exists));
    const other = await connect();
    await write(other, 50);
    await arrives('in new maps');
    await second.end();
    expect(books.server).toEqual({ received: written(), sent: 0, connections: 2 });
    expect(books.mapIds).toHaveLength(2);
  });

  it.each(['missing', 'torn'] as const)(
    'whose file is %s counts on from the present under a new identity, and says so',
    async (how) => {
      const { startAgent, connect, write, state, books } = await lab();
      const first = await startAgent();
      const conn = await connect();
      await write(conn, 1_000);
      await until('it arrives', () => books.server.received === 1_000);
      await first.end();
      const [name] = readdirSync(state);
      const file = join(state, name!);
      if (how === 'missing') rmSync(file);
      else writeFileSync(file, readFileSync(file).subarray(0, 300));
      await write(conn, 60);
      const second = await startAgent();
      await write(conn, 5);
      await until('what is new arrives', () => books.server.received >= 1_065);
      await second.end();
      expect(books.server).toEqual({ received: 1_065, sent: 0, connections: 1 });
      expect(books.mapIds).toHaveLength(2);
      expect(books.lost('readFailed')).toBe(1);
      expect(second.log().find(({ level }) => level === 'warn')?.msg).toContain('is not known');
    },
  );

  it('where there is no bpffs, or the folder is not its own, says so and measures without', async () => {
    const { startAgent, connect, write, books, dir, pins, arrives } = await lab();
    const nowhere = await startAgent('--pins', join(dir, 'no-bpffs'));
    expect(nowhere.log().find(({ level }) => level === 'warn')).toMatchObject({
      msg: expect.stringContaining('without pins') as string,
      problem: expect.stringContaining('mount -t bpf') as string,
    });
    await write(await connect(), 1_000);
    await arrives('without pins');
    await nowhere.end();
    expect(existsSync(join(dir, 'no-bpffs'))).toBe(false);

    const object = await loadBpf({ object: bpfObjectPath('test-tracing') });
    const theirs = join(pins, '..', 'another');
    object.map('seen').pin(theirs);
    object.close();
    const elsewhere = await startAgent('--pins', join(pins, '..'));
    expect(String(elsewhere.log().find(({ level }) => level === 'warn')?.['problem'])).toContain('another');
    await elsewhere.end();
    expect(existsSync(theirs)).toBe(true);
    expect(books.mapIds.length).toBeGreaterThan(0);
  });
});

const HAS_CLANG = spawnSync('clang', ['--version']).status === 0;

describe.skipIf(!HAS_CLANG)('an upgrade', () => {
  /** The same maps, other instructions. */
  function otherObject(dir: string): string {
    const source = join(dir, 'other.bpf.c');
    const text = readFileSync(join(SOURCE, 'collector.bpf.c'), 'utf8');
    const changed = text.replace(
      'int BPF_PROG(on_state, struct sock *sk, int oldstate, int newstate)\n{',
      '$&\n\tvolatile int version = 2;\n\n\t(void)version;',
    );
    expect(changed).not.toBe(text);
    writeFileSync(source, changed);
    const object = join(dir, 'other.bpf.o');
    const include = `/usr/include/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`;
    execFileSync('clang', [
      ...['-target', 'bpf', '-mcpu=v3', '-O2', '-g', `-I${include}`, `-I${SOURCE}`, '-c', source, '-o', object],
    ]);
    return object;
  }

  it('of the program, while connections come and go, counts each once', async () => {
    const { pair, client, server, dir, pins, state, books, port, scope } = await lab();
    const options = {
      ...{ node: 'alpha', scheduler: { host: '127.0.0.1', port }, intervalMs: 200, scope, pins, state },
    };
    const objects = [bpfObjectPath('collector'), otherObject(dir)];
    let agent = await startAgent({ ...options, bpfObject: objects[0]! }, { logger: silentLogger });
    cleanups.push(() => agent.stop());
    await server.do({ op: 'serveShort', host: pair.addressB, port: 9901, requestBytes: 100, responseBytes: 1000 });
    const traffic = client.do<{ connections: number }>({
      ...{ op: 'short', host: pair.addressB, port: 9901, perSecond: 300, seconds: 6, requestBytes: 100 },
    });
    for (let i = 1; i <= 4; i++) {
      await agent.stop();
      agent = await startAgent({ ...options, bpfObject: objects[i % 2]! }, { logger: silentLogger });
    }
    const { connections } = await traffic;
    await agent.stop();
    const sums = { received: 0, sent: 0, connections: 0 };
    for (const { edges } of books.reports) {
      for (let row = 0; row < edges.n; row++) {
        if (edges.serverPort[row] !== 9901) continue;
        sums.received += edges.bytesReceived[row]!;
        sums.sent += edges.bytesSent[row]!;
        sums.connections += edges.connections[row]!;
      }
    }
    expect(connections).toBeGreaterThan(1_000);
    expect(sums).toEqual({ received: 100 * connections, sent: 1000 * connections, connections });
    expect(books.mapIds).toHaveLength(1);
  });

  it('while both programs are attached, every event is counted once, however a connection opens and ends', async () => {
    const { pair, dir, pins, client, server } = await lab();
    const folder = PinFolder.open(pins);
    cleanups.push(() => folder.close());
    const measurement = new Measurement(await loadCollector({ scoped: true, pins: folder }));
    cleanups.push(() => measurement.close());
    measurement.kernel.setScope(new Set([netnsInode(pair.a), netnsInode(pair.b)]));
    const other = await loadBpf({
      object: otherObject(dir),
      constants: { scoped: 1 },
      pins: { dir: pins, maps: PINNED_MAPS },
    });
    cleanups.push(() => other.close());
    other.program('on_state').attachTracing();

    let [read, count] = [0, 0];
    for (const how of ['end', 'destroy', 'reset', 'end'] as const) {
      const at = await client.do<number>({ op: 'connect', host: pair.addressB, port: PORT });
      const peer = (await server.do<number[]>({ op: 'accepted', port: PORT, count: ++count })).at(-1)!;
      await client.do({ op: 'write', conn: at, bytes: 70_000 + count });
      await server.do({ op: 'read', conn: peer, bytes: 70_000 + count });
      await measurement.collect();
      await server.do({ op: 'write', conn: peer, bytes: 1_000 });
      await client.do({ op: 'read', conn: at, bytes: 1_000 });
      await client.do({ op: how, conn: at });
      if (how === 'reset') await server.do({ op: 'waitClose', conn: peer });
      else {
        await server.do({ op: 'waitEnd', conn: peer });
        await server.do({ op: 'end', conn: peer });
        await server.do({ op: 'waitClose', conn: peer });
      }
      read += 70_000 + count;
    }
    await until('the last ones are closed', async () => {
      await measurement.collect();
      return measurement.payload('client', PORT)?.sent === read;
    });
    expect(measurement.payload('server', PORT)).toEqual({ sent: 4_000, received: read, connections: 4 });
    expect(measurement.payload('client', PORT)).toEqual({ sent: read, received: 4_000, connections: 4 });
  });
});
