/**
 * What a prioritize call costs kube-scheduler over real HTTP, at 500 and 5,000 names: 100,000 pods and 50,000 workload
 * edges on 5,000 nodes are loaded. Baseline, called in turn: the same server answering `[]` at once.
 *
 *   node bench/prioritize.ts [--calls 2000]
 *       the extender alone, in a process of its own
 *   node bench/prioritize.ts --whole [--agents 1000] [--edges 200] [--interval 10000]
 *       `netloom scheduler` with everything, while that many simulated agents report
 *   node bench/prioritize.ts --url http://127.0.0.1:7700 [--agents N]
 *       a scheduler that is running with the cluster of --write
 *   node bench/prioritize.ts --write DIR [--agents N]
 *       only writes that cluster's snapshot.json and traffic.csv
 */
import { fork, spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { startSimulatedAgents, type SimulatedAgents } from '../test/support/simulated-agents.ts';
import { PODS_PER_NODE, requestBody, writeCluster } from './support/big-cluster.ts';
import { requestBytes, SerialClient } from './support/serial-client.ts';

const { values } = parseArgs({
  options: {
    calls: { type: 'string', default: '2000' },
    url: { type: 'string' },
    whole: { type: 'boolean', default: false },
    write: { type: 'string' },
    agents: { type: 'string' },
    edges: { type: 'string', default: '200' },
    interval: { type: 'string', default: '10000' },
  },
});
const CALLS = Number(values.calls);
const AGENTS = Number(values.agents ?? (values.whole ? 1000 : 0));
const SIZES = [500, 5_000];
const BODIES = 64;
const BLOCK = 50;
const WARM_UP = 300;
const ROOT = join(import.meta.dirname, '..');

interface Percentiles {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}

const children: ChildProcess[] = [];
const folder = mkdtempSync(join(tmpdir(), 'netloom-bench-'));
let simulated: SimulatedAgents | undefined;
try {
  if (values.write !== undefined) await writeCluster(values.write, AGENTS);
  else await main();
} finally {
  await simulated?.stop().catch(() => undefined);
  for (const child of children) child.kill();
  rmSync(folder, { recursive: true, force: true });
}

async function main(): Promise<void> {
  const url = new URL(values.url ?? (values.whole ? await startWhole() : await startChild('extender')));
  const floorUrl = new URL(await startChild('floor'));
  const measured = await SerialClient.connect(url);
  const floor = await SerialClient.connect(floorUrl);
  const path = url.pathname === '/' ? '/prioritize' : url.pathname;

  const figures: Record<string, number> = {};
  const baseline: Record<string, number> = {};
  const rows: Record<string, Record<string, string | number>> = {};
  for (const size of SIZES) {
    const requests = Array.from({ length: BODIES }, (_, i) => requestBytes(path, requestBody(i * 61, size, AGENTS)));
    const mine: number[] = [];
    const theirs: number[] = [];
    let named = 0;
    for (let call = 0; call < CALLS + WARM_UP; call += BLOCK) {
      for (const [client, times] of [
        [measured, mine],
        [floor, theirs],
      ] as const) {
        for (let i = 0; i < BLOCK; i++) {
          const request = requests[(call + i) % BODIES]!;
          const startMs = performance.now();
          const reply = await client.post(request);
          const tookMs = performance.now() - startMs;
          if (call >= WARM_UP) times.push(tookMs);
          if (client === measured) named += (JSON.parse(reply) as unknown[]).length;
        }
      }
    }
    const [a, b] = [percentiles(mine), percentiles(theirs)];
    for (const key of ['p50', 'p90', 'p99', 'max'] as const) {
      figures[`${key}Ms${size}`] = round(a[key]);
      baseline[`${key}Ms${size}`] = round(b[key]);
    }
    const namedPerCall = round(named / (CALLS + WARM_UP));
    rows[`${size} names`] = { calls: mine.length, ...rounded(a), 'named per call': namedPerCall };
    rows[`${size} names, []`] = { calls: theirs.length, ...rounded(b), 'named per call': 0 };
  }
  measured.close();
  floor.close();
  if (simulated !== undefined) {
    const stats = await simulated.stats();
    console.log(
      `meanwhile: ${stats.connected} agents connected, ${stats.sentReports} reports sent, ${stats.acknowledged} acknowledged`,
    );
  }
  console.log('milliseconds from the first byte written to the last byte read, one connection, one call at a time');
  console.table(rows);
  const ratio = round(figures['p99Ms5000']! / baseline['p99Ms5000']!);
  console.log(JSON.stringify({ name: 'prioritize', figures, baseline, ratio }));
}

function startChild(what: 'extender' | 'floor'): Promise<string> {
  const child = fork(join(import.meta.dirname, 'support/extender-child.ts'), [what, String(AGENTS)]);
  children.push(child);
  return new Promise((resolve, reject) => {
    child.once('message', (message: { port: number }) => resolve(`http://127.0.0.1:${message.port}`));
    child.once('exit', (code) => reject(new Error(`the ${what} ended with code ${code}`)));
  });
}

async function startWhole(): Promise<string> {
  await writeCluster(folder, AGENTS);
  const [listen, agents, api] = [await freePort(), await freePort(), await freePort()];
  const address = (port: number) => `127.0.0.1:${port}`;
  const scheduler = spawn(
    join(ROOT, 'bin/netloom'),
    [
      'scheduler',
      '--listen',
      address(listen),
      '--listen-agents',
      address(agents),
      '--listen-api',
      address(api),
      '--snapshot',
      join(folder, 'snapshot.json'),
      '--traffic',
      join(folder, 'traffic.csv'),
    ],
    { stdio: ['ignore', 'ignore', openSync(join(folder, 'scheduler.log'), 'w')] },
  );
  children.push(scheduler);
  for (let tries = 0; ; tries++) {
    const reply = await fetch(`http://${address(listen)}/readyz`).catch(() => undefined);
    if (reply?.status === 200) break;
    if (tries > 120 || scheduler.exitCode !== null) {
      const log = readFileSync(join(folder, 'scheduler.log'), 'utf8').slice(-2_000);
      throw new Error(`the scheduler is not ready: ${(await reply?.text()) ?? 'no answer'}\n${log}`);
    }
    await sleep(500);
  }
  const intervalMs = Number(values.interval);
  simulated = startSimulatedAgents({
    target: address(agents),
    agents: AGENTS,
    edges: Number(values.edges),
    intervalMs,
    podsPerNode: PODS_PER_NODE,
  });
  await simulated.ready;
  // All have reported twice: the graph has its size, and the code is warm.
  await sleep(2 * intervalMs + 1_000);
  return `http://${address(listen)}`;
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

function percentiles(times: number[]): Percentiles {
  times.sort((a, b) => a - b);
  const at = (share: number) => times[Math.min(times.length - 1, Math.floor(share * times.length))]!;
  return { p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1) };
}

function rounded(of: Percentiles): Record<string, number> {
  return { p50: round(of.p50), p90: round(of.p90), p99: round(of.p99), max: round(of.max) };
}

function round(value: number): number {
  return Number(value.toFixed(3));
}
