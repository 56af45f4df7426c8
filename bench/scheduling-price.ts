/**
 * What an extender costs the real kube-scheduler: pods a second, CPU a pod and the time of an attempt with none, with one
 * that answers `[]` at once (what the protocol costs; the baseline), and with Netloom and a loaded graph. Pods are made
 * while no scheduler runs; then it starts, and the middle 80 % of the binds are timed. Runs alternate, for the machine's
 * speed drifts; ratios are medians over pairs. The time of an attempt is kube-scheduler's own
 * (scheduler_scheduling_attempt_duration_seconds). What an extender adds to it is in its part
 * scheduler_scheduling_algorithm_duration_seconds; the rest is binding, which waits for the API server.
 *
 *   node bench/scheduling-price.ts [--nodes 1000,5000] [--percent 0,100] [--pairs 9] [--pods 600]
 *       --percent: percentageOfNodesToScore, 0 for kube-scheduler's own choice
 */
import { fork } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { parse } from 'yaml';
import { binaries } from '../test/control-plane/binaries.ts';
import { cpuSecondsOf, type Component } from '../test/control-plane/component.ts';
import { ControlPlane } from '../test/control-plane/control-plane.ts';
import { createNodes } from '../test/control-plane/nodes.ts';
import { StatusWriter } from '../test/control-plane/status-writer.ts';
import { Processes, until, type SchedulerProcess } from '../test/support/netloom.ts';

const { values } = parseArgs({
  options: {
    nodes: { type: 'string', default: '1000,5000' },
    percent: { type: 'string', default: '0,100' },
    pairs: { type: 'string', default: '9' },
    pods: { type: 'string', default: '600' },
  },
});
const SIZES = values.nodes
  .split(',')
  .map(Number)
  .sort((a, b) => a - b);
const PERCENTS = values.percent.split(',').map(Number);
const PAIRS = Number(values.pairs);
const APPS = 40;
/** Workloads that talk among themselves, with a pod each, so that the graph holds more than what is asked about. */
const BACKGROUND = 300;
const BACKGROUND_PEERS = 8;
const SCHEDULER = 'measured';

interface Run {
  readonly podsPerSecond: number;
  readonly cpuMsPerPod: number;
  /** Of Netloom's scheduler, with the watch of these pods; where it is not asked, the watch alone. */
  readonly netloomCpuMsPerPod: number;
  /** Of attempts that ended well: mean, and the bounds of the buckets in which median and 99th percentile lie. */
  readonly attemptMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly algorithmMs: number;
}

interface WatchedPod {
  readonly metadata: { readonly uid: string; readonly resourceVersion: string };
  readonly spec: { readonly nodeName?: string };
}

type Way = 'none' | 'floor' | 'netloom';

const folder = mkdtempSync(join(tmpdir(), 'netloom-bench-'));
const processes = new Processes();
let plane: ControlPlane | undefined;
let writer: StatusWriter | undefined;
const floor = fork(join(import.meta.dirname, 'support/extender-child.ts'), ['floor']);
const floorPort = new Promise<number>((resolve) =>
  floor.once('message', ({ port }: { port: number }) => resolve(port)),
);
try {
  await main();
} finally {
  await writer?.stop();
  await processes.cleanup();
  floor.kill();
  await plane?.stop();
  rmSync(folder, { recursive: true, force: true });
}

async function main(): Promise<void> {
  plane = await ControlPlane.start({ binaries: binaries() });
  writer = new StatusWriter(plane.api).start();
  await grow(0, SIZES[0]!);
  // Every app talks to a database of its own, and to one that all share.
  const database = await plane.startScheduler({ name: 'databases' });
  const names = Array.from({ length: APPS }, (_, i) => `app-${i}`);
  const background = Array.from({ length: BACKGROUND }, (_, i) => `background-${i}`);
  for (const name of names) await deploy(`db-${name}`, 3, 'default-scheduler');
  for (const name of background) await deploy(name, 1, 'default-scheduler');
  await deploy('shared', 30, 'default-scheduler');
  const standing = APPS * 3 + BACKGROUND + 30;
  await until('the databases run', async () => (await boundPods('tier=db')) === standing, 300_000);
  await plane.stopScheduler(database);
  for (const name of names) await deploy(name, 0, SCHEDULER);
  const edge = (from: string, to: string, out: number, back: number) =>
    `default,Deployment,${from},default,Deployment,${to},${out},${back}`;
  const rows = [
    ...names.flatMap((name) => [edge(name, `db-${name}`, 4e6, 9e6), edge(name, 'shared', 1e6, 2e6)]),
    ...background.flatMap((name, i) =>
      Array.from({ length: BACKGROUND_PEERS }, (_, k) =>
        edge(name, background[(i + 1 + k * 37) % BACKGROUND]!, 1e5 * (k + 1), 2e5),
      ),
    ),
  ];
  const header =
    'namespace,workload_kind,workload,peer_namespace,peer_kind,peer,bytes_per_second_out,bytes_per_second_in';
  writeFileSync(join(folder, 'traffic.csv'), [header, ...rows, ''].join('\n'));
  const netloom = await processes.scheduler([
    ...['--kubeconfig', plane.kubeconfig, '--traffic', join(folder, 'traffic.csv')],
    ...['--events-up-to-nodes', '0'],
  ]);
  await until('Netloom knows the cluster', async () => (await netloom.metric('netloom_cluster_ready')) === 1, 60_000);
  const addresses: Record<Way, string | undefined> = {
    none: undefined,
    floor: `127.0.0.1:${await floorPort}`,
    netloom: netloom.extender,
  };
  const results: object[] = [];
  for (const [i, nodes] of SIZES.entries()) {
    if (i > 0) await grow(SIZES[i - 1]!, nodes);
    for (const percent of PERCENTS) {
      results.push(await compare({ nodes, percent, names, addresses, edges: rows.length }, netloom));
    }
  }
  console.log(JSON.stringify({ name: 'scheduling-price', results }));
}

interface Case {
  readonly nodes: number;
  readonly percent: number;
  readonly names: readonly string[];
  readonly addresses: Readonly<Record<Way, string | undefined>>;
  readonly edges: number;
}

async function compare(of: Case, netloom: SchedulerProcess): Promise<object> {
  const { nodes, percent } = of;
  // kube-scheduler examines every node for every pod then: 5,000 take 40 ms.
  const pods = Math.ceil(Number(values.pods) / (nodes > 2_000 && percent === 100 ? 3 : 1));
  const runs: Record<Way, Run[]> = { none: [], floor: [], netloom: [] };
  const named = () => netloom.metric('netloom_extender_names_answered_total');
  const namedBefore = await named();
  for (let pair = 0; pair < PAIRS; pair++) {
    const ways: Way[] = pair % 2 === 0 ? ['floor', 'netloom'] : ['netloom', 'floor'];
    if (pair % 3 === 0) ways.push('none');
    for (const way of ways) {
      const run = await measure(of, pods, of.addresses[way], netloom.process.pid);
      runs[way].push(run);
      console.error(
        `${nodes} nodes, ${percent} %, ${way}: ${run.podsPerSecond.toFixed(0)} pods/s, ` +
          `${run.cpuMsPerPod.toFixed(2)} ms CPU a pod, ${run.algorithmMs.toFixed(2)} ms of algorithm an attempt, load ${loadavg()[0]!.toFixed(1)}`,
      );
    }
  }
  const figures = Object.fromEntries(
    (Object.keys(runs) as Way[]).map((way) => {
      const middle = (key: keyof Run) => round(median(runs[way].map((run) => run[key])));
      return [
        way,
        {
          runs: runs[way].length,
          'pods/s': middle('podsPerSecond'),
          'CPU ms/pod': middle('cpuMsPerPod'),
          "Netloom's": middle('netloomCpuMsPerPod'),
          'attempt ms': middle('attemptMs'),
          'p50 <= ms': middle('p50Ms'),
          'p99 <= ms': middle('p99Ms'),
          'algorithm ms': middle('algorithmMs'),
        },
      ];
    }),
  );
  const overPairs = (value: (netloom: Run, floor: Run) => number) =>
    round(median(runs.netloom.map((run, i) => value(run, runs.floor[i]!))));
  const result = {
    nodes,
    percentageOfNodesToScore: percent,
    pods,
    edges: of.edges,
    namedPerPod: round(((await named()) - namedBefore) / (PAIRS * pods)),
    figures: figures['netloom'],
    baseline: figures['floor'],
    none: figures['none'],
    ratio: overPairs((run, floor) => run.podsPerSecond / floor.podsPerSecond),
    cpuRatio: overPairs((run, floor) => run.cpuMsPerPod / floor.cpuMsPerPod),
    addedMsPerAttempt: overPairs((run, floor) => run.algorithmMs - floor.algorithmMs),
  };
  console.log(
    `${nodes} nodes, percentageOfNodesToScore ${percent}, ${pods} pods a run, ${result.namedPerPod} nodes named a pod`,
  );
  console.table(figures);
  console.log(
    `Netloom has ${result.ratio} of the pods/s of an extender that answers [] at once, and adds ${result.addedMsPerAttempt} ms an attempt`,
  );
  return result;
}

async function grow(from: number, to: number): Promise<void> {
  await createNodes(
    plane!.api,
    Array.from({ length: to - from }, (_, i) => ({
      name: `node-${from + i}`,
      zone: `zone-${(from + i) % 3}`,
      region: 'test',
    })),
  );
}

async function measure(
  { names, percent }: Case,
  count: number,
  address: string | undefined,
  netloomPid: number,
): Promise<Run> {
  const { api } = plane!;
  for (const [i, name] of names.entries()) await scale(name, Math.floor(count / APPS) + (i < count % APPS ? 1 : 0));
  await until('all pods are there', async () => (await countPods('tier=app')) === count, 120_000);
  const abort = new AbortController();
  const bound = new Map<string, number>();
  const list = await api.call<{ metadata: { resourceVersion: string } }>(
    'GET',
    '/api/v1/pods?labelSelector=tier%3Dapp',
  );
  let failure: unknown;
  const watching = (async () => {
    let { resourceVersion } = list.metadata;
    // The API server ends a watch that reads too slowly, as on two busy cores; the next goes on where it ended.
    while (!abort.signal.aborted) {
      const path = `/api/v1/pods?watch=1&labelSelector=tier%3Dapp&resourceVersion=${resourceVersion}`;
      for await (const { type, object } of api.watch<WatchedPod>(path, abort.signal)) {
        if (type === 'ERROR') throw new Error(`the watch of pods failed: ${JSON.stringify(object)}`);
        ({ resourceVersion } = object.metadata);
        if (object.spec.nodeName !== undefined && !bound.has(object.metadata.uid))
          bound.set(object.metadata.uid, performance.now());
      }
    }
  })().catch((error: unknown) => {
    failure = error;
  });
  let scheduler: Component | undefined;
  try {
    const netloomBefore = cpuSecondsOf(netloomPid);
    scheduler = await start(address, percent);
    await until(
      'all pods are bound',
      () => {
        if (failure !== undefined) throw new Error('the watch of pods failed', { cause: failure });
        return bound.size === count;
      },
      300_000,
    );
    const times = [...bound.values()].sort((a, b) => a - b);
    const [from, to] = [Math.floor(count * 0.1), Math.floor(count * 0.9)];
    const netloomCpuMsPerPod = ((cpuSecondsOf(netloomPid) - netloomBefore) * 1000) / count;
    const cpuMsPerPod = (scheduler.cpuSeconds() * 1000) / count;
    const own = await plane!.schedulerMetrics(scheduler);
    const attempt = 'scheduler_scheduling_attempt_duration_seconds';
    const well = { result: 'scheduled' };
    return {
      podsPerSecond: ((to - from) * 1000) / (times[to]! - times[from]!),
      cpuMsPerPod,
      netloomCpuMsPerPod,
      attemptMs: own.mean(attempt, well) * 1000,
      p50Ms: own.quantile(attempt, 0.5, well) * 1000,
      p99Ms: own.quantile(attempt, 0.99, well) * 1000,
      algorithmMs: own.mean('scheduler_scheduling_algorithm_duration_seconds') * 1000,
    };
  } finally {
    abort.abort();
    await watching;
    if (scheduler !== undefined) await plane!.stopScheduler(scheduler);
    for (const name of names) await scale(name, 0);
    await until('the pods are gone', async () => (await countPods('tier=app')) === 0, 120_000);
  }
}

async function start(address: string | undefined, percent: number): Promise<Component> {
  const config = {
    profiles: [{ schedulerName: SCHEDULER }],
    ...(percent === 0 ? {} : { percentageOfNodesToScore: percent }),
  };
  if (address === undefined) return plane!.startScheduler({ name: SCHEDULER, config });
  const { stdout } = await processes.run(['scheduler', '--print-kube-scheduler-config', '--listen', address]);
  const { extenders } = parse(stdout) as { extenders: object[] };
  return plane!.startScheduler({ name: SCHEDULER, extenders, config });
}

async function deploy(name: string, replicas: number, schedulerName: string): Promise<void> {
  const labels = { app: name, tier: schedulerName === SCHEDULER ? 'app' : 'db' };
  await plane!.api.call('POST', '/apis/apps/v1/namespaces/default/deployments', {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          schedulerName,
          terminationGracePeriodSeconds: 0,
          containers: [{ name: 'c', image: 'x', resources: { requests: { cpu: '50m', memory: '32Mi' } } }],
        },
      },
    },
  });
}

async function scale(name: string, replicas: number): Promise<void> {
  const path = `/apis/apps/v1/namespaces/default/deployments/${name}/scale`;
  await plane!.api.call('PATCH', path, { spec: { replicas } }, 'application/merge-patch+json');
}

async function pods(selector: string): Promise<readonly { readonly spec: { readonly nodeName?: string } }[]> {
  const path = `/api/v1/pods?resourceVersion=0&labelSelector=${encodeURIComponent(selector)}`;
  return (await plane!.api.call<{ items: { spec: { nodeName?: string } }[] }>('GET', path)).items;
}

async function countPods(selector: string): Promise<number> {
  return (await pods(selector)).length;
}

async function boundPods(selector: string): Promise<number> {
  return (await pods(selector)).filter(({ spec }) => spec.nodeName !== undefined).length;
}

function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;
}

function round(value: number): number {
  return Number(value.toFixed(2));
}
