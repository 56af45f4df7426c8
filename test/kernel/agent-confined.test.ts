import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, it } from 'vitest';
import { ensureBpffs, unmountBpffs } from '../../lib/bpf/index.ts';
import { silentLogger } from '../../lib/log.ts';
import { startReportServer } from '../../scheduler/ingest/report-server.ts';
import { MemorySink } from '../../scheduler/ingest/report-sink.ts';
import { BIN, Processes, until, type Running } from '../support/netloom.ts';
import { Actor } from './collector-support/actor-process.ts';
import { makePair, netnsPath, sh } from './collector-support/namespaces.ts';

const file = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const SECCOMP_EXEC = file('../support/seccomp-exec.ts');
const PROFILE = file('../../charts/netloom/files/agent-seccomp.json');

const processes = new Processes();
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  await processes.cleanup();
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** As a container of the chart's DaemonSet: root with two capabilities, no new privileges, our seccomp profile. */
const confined = (program: string, ...args: string[]): string[] => [
  ...['--bounding-set', '-all,+bpf,+perfmon', '--inh-caps', '-all', '--no-new-privs', '--'],
  ...[process.execPath, '--disable-warning=ExperimentalWarning', SECCOMP_EXEC, PROFILE, program, ...args],
];

// The numbers of system calls are read from x86_64's header.
it.skipIf(process.arch !== 'x64')(
  'with the rights of the chart an agent measures sockets, and uplinks of the namespace of process 1',
  async () => {
    const pair = makePair();
    cleanups.push(() => pair.remove());
    // A device that only the host's side has.
    sh(
      `ip -n ${pair.a} link set eth0 down; ip -n ${pair.a} link set eth0 name nltup; ip -n ${pair.a} link set nltup up`,
    );
    const host: ChildProcess = spawn('ip', ['netns', 'exec', pair.a, 'sleep', '600'], { stdio: 'ignore' });
    cleanups.push(() => host.kill('SIGKILL'));
    const client = await Actor.start(pair.a);
    cleanups.push(() => client.stop());
    const server = await Actor.start(pair.b);
    cleanups.push(() => server.stop());
    const dir = await mkdtemp(join(tmpdir(), 'nlt-confined-'));
    cleanups.push(() => rm(dir, { recursive: true }));
    const scope = join(dir, 'scope');
    await writeFile(scope, `${netnsPath(pair.b)}\n`);

    const port = 20_000 + (process.pid % 10_000);
    const agent = processes.startProgram(
      'setpriv',
      confined(
        BIN,
        ...['agent', '--node', 'alpha', '--scheduler', '127.0.0.1:1', '--interval', '100ms', '--log-format', 'json'],
        ...['--scope', scope, '--uplink', 'nltup', '--uplink-netns', `/proc/${host.pid}/ns/net`],
        ...['--metrics-listen', `127.0.0.1:${port}`],
      ),
    );
    await agent.says('measuring');
    await server.do({ op: 'listen', host: '10.77.0.2', port: 9900 });
    const conn = await client.do<number>({ op: 'connect', host: '10.77.0.2', port: 9900 });
    await client.do({ op: 'write', conn, bytes: 3_000_000 });
    await client.do({ op: 'end', conn });
    const [accepted] = await server.do<number[]>({ op: 'accepted', port: 9900, count: 1 });
    await server.do({ op: 'waitEnd', conn: accepted! });
    await server.do({ op: 'end', conn: accepted! });

    const metric = async (name: string): Promise<number> => {
      const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
      return Number(
        text
          .split('\n')
          .find((line) => line.startsWith(`${name} `))
          ?.split(' ')
          .at(-1),
      );
    };
    await until(
      'the bytes are measured',
      async () => (await metric('netloom_agent_payload_bytes_total{direction="received"}')) === 3_000_000,
    );
    await until(
      'the uplink is measured',
      async () => (await metric('netloom_agent_uplink_bytes_total{uplink="nltup",direction="tx"}')) > 3_000_000,
    );
    expect(agent.log().filter(({ level }) => level === 'error')).toEqual([]);
    expect(await agent.end()).toEqual({ status: 0, signal: null });
  },
);

it.skipIf(process.arch !== 'x64')(
  'with the rights of the chart an agent pins, and the next one goes on with what is pinned',
  async () => {
    const pair = makePair();
    cleanups.push(() => pair.remove());
    const client = await Actor.start(pair.a);
    cleanups.push(() => client.stop());
    const server = await Actor.start(pair.b);
    cleanups.push(() => server.stop());
    const dir = await mkdtemp(join(tmpdir(), 'nlt-confined-'));
    cleanups.push(() => rm(dir, { recursive: true }));
    // As the host has it; the agent makes its own folder on it.
    const bpffs = join(dir, 'bpf');
    ensureBpffs(bpffs);
    cleanups.push(() => unmountBpffs(bpffs));
    const [pins, state, scope] = [join(bpffs, 'netloom'), join(dir, 'state'), join(dir, 'scope')];
    await writeFile(scope, `${netnsPath(pair.b)}\n`);
    const booked = { received: 0, connections: 0, mapIds: new Set<string>() };
    const reports = await startReportServer({
      listen: '127.0.0.1:0',
      logger: silentLogger,
      ranges: () => [],
      sink: new MemorySink((_node, { edges, mapId }) => {
        booked.mapIds.add(Buffer.from(mapId).toString('hex'));
        for (let row = 0; row < edges.n; row++) {
          booked.received += edges.bytesReceived[row]!;
          booked.connections += edges.connections[row]!;
        }
      }),
    });
    cleanups.push(() => reports.close());
    const startAgent = async (): Promise<Running> => {
      const agent = processes.startProgram(
        'setpriv',
        confined(
          BIN,
          ...[
            'agent',
            '--node',
            'alpha',
            '--scheduler',
            reports.address,
            '--interval',
            '100ms',
            '--log-format',
            'json',
          ],
          ...['--scope', scope, '--pins', pins, '--state', state],
        ),
      );
      await agent.says('measuring');
      return agent;
    };
    const first = await startAgent();
    await server.do({ op: 'listen', host: '10.77.0.2', port: 9900 });
    const conn = await client.do<number>({ op: 'connect', host: '10.77.0.2', port: 9900 });
    await client.do({ op: 'write', conn, bytes: 3_000 });
    await until('the first agent has told', () => booked.received === 3_000);
    await first.end('SIGKILL');
    await client.do({ op: 'write', conn, bytes: 200 });
    const second = await startAgent();
    await client.do({ op: 'write', conn, bytes: 10 });
    await until('the second agent has told', () => booked.received >= 3_210);
    expect(await second.end()).toEqual({ status: 0, signal: null });
    expect(booked).toMatchObject({ received: 3_210, connections: 1 });
    expect(booked.mapIds.size).toBe(1);
    for (const agent of [first, second]) {
      expect(agent.log().filter(({ level }) => level === 'error' || level === 'warn')).toEqual([]);
    }
    const detach = await processes.program(
      'setpriv',
      confined(BIN, 'agent', '--detach', '--pins', pins, '--state', state),
    );
    expect(detach).toMatchObject({ status: 0, stderr: '' });
    // Some kernels put files of their own there.
    expect(await readdir(bpffs)).not.toContain('netloom');
    expect(existsSync(state)).toBe(false);
  },
);

it.skipIf(process.arch !== 'x64')('what the profile does not name is refused', async () => {
  const { status, stderr } = await processes.program('setpriv', confined('/usr/bin/unshare', '--net', '/bin/true'));
  expect(status).not.toBe(0);
  expect(stderr).toContain('Function not implemented');
});
