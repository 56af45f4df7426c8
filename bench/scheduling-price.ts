/**
 * What an extender costs the real kube-scheduler: pods a second and CPU a pod with none, with one that answers `[]` at
 * once (what the protocol costs; the baseline), and with Netloom and a loaded graph. Pods are made while no scheduler
 * runs; then it starts, and the middle 80 % of the binds are timed. Runs alternate, for the machine's speed drifts.
 *
 *   node bench/scheduling-price.ts [--nodes 1000] [--percent 0] [--pairs 9] [--pods 600]
 *       --percent: percentageOfNodesToScore, 0 for kube-scheduler's own choice
 */
import { fork } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { parse } from 'yaml';
import { binaries } from '../test/control-plane/binaries.ts';
import type { Component } from '../test/control-plane/component.ts';
import { ControlPlane } from '../test/control-plane/control-plane.ts';
import { createNodes } from '../test/control-plane/nodes.ts';
import { StatusWriter } from '../test/control-plane/status-writer.ts';
import { Processes, until } from '../test/support/netloom.ts';

const { values } = parseArgs({
  options: {
    nodes: { type: 'string', default: '1000' },
    percent: { type: 'string', default: '0' },
    pairs: { type: 'string', default: '9' },
    pods: { type: 'string', default: '600' },
  },
});
const [NODES, PERCENT, PAIRS, PODS] = [values.nodes, values.percent, values.pairs, values.pods].map(Number) as [
  number,
  number,
  number,
  number,
];
const APPS = 20;
const SCHEDULER = 'measured';

interface Run {
  readonly podsPerSecond: number;
  readonly cpuMsPerPod: number;
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
  await createNodes(
    plane.api,
    Array.from({ length: NODES }, (_, i) => ({ name: `node-${i}`, zone: `zone-${i % 3}`, region: 'test' })),
  );
  writer = new StatusWriter(plane.api).start();
  // Every app talks to a database of its own, and to one that all share.
  const database = await plane.startScheduler({ name: 'databases' });
  const names = Array.from({ length: APPS }, (_, i) => `app-${i}`);
  for (const name of names) await deploy(`db-${name}`, 3, 'default-scheduler');
  await deploy('shared', 30, 'default-scheduler');
  await until('the databases run', async () => (await boundPods('tier=db')) === APPS * 3 + 30, 120_000);
  await plane.stopScheduler(database);
  for (const name of names) await deploy(name, 0, SCHEDULER);
  writeFileSync(
    join(folder, 'traffic.csv'),
    [
      'namespace,workload_kind,workload,peer_namespace,peer_kind,peer,bytes_per_second_out,bytes_per_second_in',
      ...names.flatMap((name) => [
        `default,Deployment,${name},default,Deployment,db-${name},4000000,9000000`,
        `default,Deployment,${name},default,Deployment,shared,1000000,2000000`,
      ]),
      '',
    ].join('\n'),
  );
  const netloom = await processes.scheduler([
    ...['--kubeconfig', plane.kubeconfig, '--traffic', join(folder, 'traffic.csv')],
    ...['--events-up-to-nodes', '0'],
  ]);
  await until('Netloom knows the cluster', async () => (await netloom.metric('netloom_cluster_ready')) === 1, 60_000);
  const floorAddress = `127.0.0.1:${await floorPort}`;
  const addresses: Record<Way, string | undefined> = {
    none: undefined,
    floor: floorAddress,
    netloom: netloom.extender,
  };

  const runs: Record<Way, Run[]> = { none: [], floor: [], netloom: [] };
  const namedBefore = await netloom.metric('netloom_extender_names_answered_total');
  for (let pair = 0; pair < PAIRS; pair++) {
    const ways: Way[] = pair % 2 === 0 ? ['floor', 'netloom'] : ['netloom', 'floor'];
    if (pair % 3 === 0) ways.push('none');
    for (const way of ways) {
      const run = await measure(names, addresses[way]);
      runs[way].push(run);
      console.error(`${way}: ${run.podsPerSecond.toFixed(0)} pods/s, ${run.cpuMsPerPod.toFixed(2)} ms CPU a pod`);
    }
  }
  const named = ((await netloom.metric('netloom_extender_names_answered_total')) - namedBefore) / (PAIRS * PODS);
  const rows = Object.fromEntries(
    (Object.keys(runs) as Way[]).map((way) => [
      way,
      {
        runs: runs[way].length,
        'pods/s': round(median(runs[way].map((run) => run.podsPerSecond))),
        'CPU ms/pod': round(median(runs[way].map((run) => run.cpuMsPerPod))),
      },
    ]),
  );
  console.log(
    `${NODES} nodes, percentageOfNodesToScore ${PERCENT}, ${PODS} pods a run, ${named.toFixed(1)} nodes named a pod`,
  );
  console.table(rows);
  const ratio = round(median(runs.netloom.map((run, i) => run.podsPerSecond / runs.floor[i]!.podsPerSecond)));
  console.log(
    JSON.stringify({
      name: 'scheduling-price',
      figures: rows['netloom'],
      baseline: rows['floor'],
      none: rows['none'],
      ratio,
    }),
  );
}

async function measure(names: readonly string[], address: string | undefined): Promise<Run> {
  const { api } = plane!;
  for (const [i, name] of names.entries()) await scale(name, Math.floor(PODS / APPS) + (i < PODS % APPS ? 1 : 0));
  await until('all pods are there', async () => (await countPods('tier=app')) === PODS, 120_000);
  const abort = new AbortController();
  const bound = new Map<string, number>();
  const list = await api.call<{ metadata: { resourceVersion: string } }>(
    'GET',
    '/api/v1/pods?labelSelector=tier%3Dapp',
  );
  const watching = (async () => {
    const path = `/api/v1/pods?watch=1&labelSelector=tier%3Dapp&resourceVersion=${list.metadata.resourceVersion}`;
    try {
      for await (const { object } of api.watch<{ metadata: { uid: string }; spec: { nodeName?: string } }>(
        path,
        abort.signal,
      )) {
        if (object.spec.nodeName !== undefined && !bound.has(object.metadata.uid))
          bound.set(object.metadata.uid, performance.now());
      }
    } catch {
      // Aborted at the end.
    }
  })();
  let scheduler: Component | undefined;
  try {
    scheduler = await start(address);
    await until('all pods are bound', () => bound.size === PODS, 300_000);
    const times = [...bound.values()].sort((a, b) => a - b);
    const [from, to] = [Math.floor(PODS * 0.1), Math.floor(PODS * 0.9)];
    return {
      podsPerSecond: ((to - from) * 1000) / (times[to]! - times[from]!),
      cpuMsPerPod: (scheduler.cpuSeconds() * 1000) / PODS,
    };
  } finally {
    abort.abort();
    await watching;
    if (scheduler !== undefined) await plane!.stopScheduler(scheduler);
    for (const name of names) await scale(name, 0);
    await until('the pods are gone', async () => (await countPods('tier=app')) === 0, 120_000);
  }
}

async function start(address: string | undefined): Promise<Component> {
  const config = {
    profiles: [{ schedulerName: SCHEDULER }],
    ...(PERCENT === 0 ? {} : { percentageOfNodesToScore: PERCENT }),
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
