/**
 * What the agent costs a node: resident memory with 10,000 edges, at its first and second start (the second finds
 * the compile cache) and on pins (a new agent, then one that takes all edges up), and CPU with 20,000 live sockets at the default interval of 10 s.
 *
 *   node bench/agent-cost.ts [--periods N]
 *
 * `bin/netloom agent` itself, beside a real report server in this process. All 10,000 connections carry bytes every
 * period, which is the most work for the agent. Baselines: a Node process that does nothing, and `ss -tin` in both
 * namespaces once a period, which is what polling sockets costs without BPF.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ensureBpffs, unmountBpffs } from '../lib/bpf/index.ts';
import { silentLogger } from '../lib/log.ts';
import { MemorySink } from '../scheduler/ingest/report-sink.ts';
import { startReportServer } from '../scheduler/ingest/report-server.ts';
import { Actor } from '../test/kernel/collector-support/actor-process.ts';
import { makePair, netnsPath, sh } from '../test/kernel/collector-support/namespaces.ts';

const { values } = parseArgs({ options: { periods: { type: 'string', default: '4' } } });
const PERIODS = Number(values.periods);
const INTERVAL_MS = 10_000;
const ADDRESSES = 100;
const PORTS = 100;
const FIRST_PORT = 20_000;
/** USER_HZ, which is 100 on every architecture that matters. */
const TICKS_PER_SECOND = 100;
const ROOT = join(import.meta.dirname, '..');

const pair = makePair();
const folder = mkdtempSync(join(tmpdir(), 'netloom-bench-'));
const actors: Actor[] = [];
const children = new Set<ChildProcess>();
let edgesInReport = 0;
const server = await startReportServer({
  listen: '127.0.0.1:0',
  logger: silentLogger,
  ranges: () => [],
  sink: new MemorySink((_node, report) => (edgesInReport = report.edges.n)),
});
try {
  const addresses = Array.from({ length: ADDRESSES }, (_, i) => `10.77.1.${i + 1}`);
  sh(`for i in $(seq 1 ${ADDRESSES}); do ip -n ${pair.a} addr add 10.77.1.$i/32 dev eth0; done
      ip -n ${pair.b} route add 10.77.1.0/24 dev eth0`);
  const [client, sink] = await Promise.all([Actor.start(pair.a), Actor.start(pair.b)]);
  actors.push(client, sink);
  await sink.do({ op: 'listenRange', host: pair.addressB, from: FIRST_PORT, count: PORTS });

  const serversOnly = join(folder, 'scope-servers');
  const both = join(folder, 'scope-both');
  writeFileSync(serversOnly, `${netnsPath(pair.b)}\n`);
  writeFileSync(both, `${netnsPath(pair.a)}\n${netnsPath(pair.b)}\n`);

  // Agents see connections that open after them, so the mesh is made anew for each.
  const connect = async (): Promise<void> => {
    await client.do({ op: 'mesh', host: pair.addressB, from: FIRST_PORT, count: PORTS, localHosts: addresses });
  };
  const bareNodeKb = await bareNode();

  const memory: { start: string; rssKb: number; peakKb: number; edges: number }[] = [];
  const bpffs = join(folder, 'bpf');
  ensureBpffs(bpffs);
  const pins = ['--pins', join(bpffs, 'netloom'), '--state', join(folder, 'state')];
  for (const start of ['first', 'second', 'new pins', 'resumed']) {
    const agent = await startAgent(serversOnly, 1000, start === 'new pins' || start === 'resumed' ? pins : []);
    await connect();
    for (let i = 0; i < 6; i++) {
      await client.do({ op: 'meshWrite', bytes: 100 });
      await sleep(1000);
    }
    memory.push({
      start,
      rssKb: status(agent, 'VmRSS'),
      peakKb: status(agent, 'VmHWM'),
      edges: edgesInReport,
    });
    await stop(agent);
    await client.do({ op: 'meshClose' });
    await sleep(500);
  }

  const agent = await startAgent(both, INTERVAL_MS);
  await connect();
  await sleep(INTERVAL_MS);
  const before = cpuSeconds(agent);
  const started = performance.now();
  for (let i = 0; i < PERIODS; i++) {
    await client.do({ op: 'meshWrite', bytes: 100 });
    await sleep(INTERVAL_MS);
  }
  const share = (cpuSeconds(agent) - before) / ((performance.now() - started) / 1000);
  const edgesAtCpu = edgesInReport;
  const rssKb = status(agent, 'VmRSS');
  await stop(agent);
  const ss = ssSeconds();

  console.table(
    Object.fromEntries(
      memory.map(({ start, rssKb: rss, peakKb, edges }) => [
        `${start} start, ${edges} edges a report`,
        { 'RSS MB': mb(rss), 'peak RSS MB': mb(peakKb), 'bare Node MB': mb(bareNodeKb) },
      ]),
    ),
  );
  console.table({
    [`20,000 live sockets, ${edgesAtCpu} edges a report, every 10 s`]: {
      'agent CPU %': percent(share),
      'ss CPU %': percent(ss / (INTERVAL_MS / 1000)),
      'RSS MB': mb(rssKb),
    },
  });
  const second = memory[1]!;
  console.log(
    JSON.stringify({
      name: 'agent-cost',
      figures: {
        rssMb: mb(second.rssKb),
        rssMbFirstStart: mb(memory[0]!.rssKb),
        rssMbPins: mb(memory[2]!.rssKb),
        rssMbResumed: mb(memory[3]!.rssKb),
        peakRssMbResumed: mb(memory[3]!.peakKb),
        rssMbAt20000Edges: mb(rssKb),
        edges: second.edges,
        cpuPercent: percent(share),
      },
      baseline: {
        name: 'bare Node; ss -tin in both namespaces once a period',
        rssMb: mb(bareNodeKb),
        cpuPercent: percent(ss / (INTERVAL_MS / 1000)),
      },
      ratio: Number((second.rssKb / bareNodeKb).toPrecision(3)),
    }),
  );
} finally {
  for (const child of children) child.kill('SIGKILL');
  await Promise.all(actors.map((actor) => actor.stop()));
  await server.close();
  pair.remove();
  unmountBpffs(join(folder, 'bpf'));
  rmSync(folder, { recursive: true });
}

async function startAgent(scope: string, intervalMs: number, more: readonly string[] = []): Promise<ChildProcess> {
  const child = spawn(
    join(ROOT, 'bin', 'netloom'),
    ['agent', '--node', 'bench', '--scheduler', server.address, '--interval', `${intervalMs}ms`]
      .concat(['--scope', scope])
      .concat(more),
    // A cache of its own: the first start is a first start.
    { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, XDG_CACHE_HOME: folder } },
  );
  children.add(child);
  let log = '';
  await new Promise<void>((resolve, reject) => {
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      log += text;
      if (log.includes('measuring')) resolve();
    });
    child.once('exit', () => reject(new Error(`the agent ended:\n${log}`)));
  });
  child.removeAllListeners('exit');
  return child;
}

async function stop(child: ChildProcess): Promise<void> {
  const exited = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await exited;
  children.delete(child);
}

async function bareNode(): Promise<number> {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
  children.add(child);
  await sleep(1000);
  const rssKb = status(child, 'VmRSS');
  await stop(child);
  return rssKb;
}

function status(child: ChildProcess, field: 'VmRSS' | 'VmHWM'): number {
  const text = readFileSync(`/proc/${child.pid}/status`, 'latin1');
  return Number(new RegExp(`^${field}:\\s*(\\d+) kB`, 'm').exec(text)![1]);
}

/** User and system time; proc_pid_stat(5) fields 14 and 15. */
function cpuSeconds(child: ChildProcess): number {
  const fields = readFileSync(`/proc/${child.pid}/stat`, 'latin1')
    .replace(/^.*\) /s, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** CPU time of asking every socket of both namespaces once. */
function ssSeconds(): number {
  const command = `for n in ${pair.a} ${pair.b}; do ip netns exec $n ss -tinH >/dev/null; done`;
  const { stderr } = spawnSync('bash', ['-c', `TIMEFORMAT='%U %S'; time { ${command}; }`], { encoding: 'utf8' });
  const [user, system] = stderr.trim().split('\n').at(-1)!.split(' ').map(Number);
  return user! + system!;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function mb(kb: number): number {
  return Number((kb / 1024).toFixed(1));
}

function percent(share: number): number {
  return Number((share * 100).toPrecision(3));
}
