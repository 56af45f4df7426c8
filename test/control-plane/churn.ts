import { expect, onTestFinished } from 'vitest';
import { Processes, type SchedulerProcess } from '../support/netloom.ts';
import { RESOURCES } from '../../scheduler/kubernetes/resources.ts';
import { createNamespace, createPods, deletePods } from './bare-pods.ts';
import { binaries } from './binaries.ts';
import { ClusterWatcher, metricOf, poll } from './cluster-watcher.ts';
import { ControlPlane } from './control-plane.ts';
import { createNodes } from './nodes.ts';
import { residentBytes } from './resident-bytes.ts';
import { StatusWriter } from './status-writer.ts';

const BATCHES = 5;

interface Churn {
  readonly pods: number;
  readonly nodes: number;
  readonly settleMs: number;
  /** By how much memory may grow while batches come and go: the heap does on a busy machine, whatever is left in it. */
  readonly slackBytes: number;
}

/**
 * Creates so many pods in batches, lets them run, deletes each batch while the next comes, and at last all: what is known
 * must be the API server's state object by object, by the one list of each collection with which it began.
 */
export async function churn({ pods, nodes, settleMs, slackBytes }: Churn) {
  const plane = await ControlPlane.start({ binaries: binaries() });
  const processes = new Processes();
  const writer = new StatusWriter(plane.api);
  const watchers: ClusterWatcher[] = [];
  // Also after a time-out.
  onTestFinished(async () => {
    await Promise.all(watchers.map(({ source }) => source.stop()));
    await processes.cleanup();
    await writer.stop();
    await plane.stop();
  });
  await createNodes(
    plane.api,
    Array.from({ length: nodes }, (_, i) => ({ name: `node-${i}`, zone: `zone-${i % 3}` })),
  );
  writer.start();
  const watcher = await (await ClusterWatcher.start(plane.kubeconfig)).untilSynced();
  watchers.push(watcher);
  const netloom = await processes.scheduler(['--kubeconfig', plane.kubeconfig, '--events-up-to-nodes', '0'], {
    startMs: 60_000,
  });
  await poll('it is ready', 60_000, async () => (await metricOf(netloom, 'netloom_cluster_ready')) === 1);
  const { now: beforeBytes } = residentBytes(netloom.process.pid);
  const before = await requests(netloom);
  const startedMs = performance.now();

  const batch = pods / BATCHES;
  const grownBytes: number[] = [];
  for (let b = 0; b < BATCHES; b++) {
    await createNamespace(plane.api, `batch-${b}`);
    await Promise.all([
      createPods(plane.api, `batch-${b}`, [b * batch, (b + 1) * batch], nodes),
      b === 0 ? undefined : deletePods(plane.api, `batch-${b - 1}`),
    ]);
    grownBytes.push(residentBytes(netloom.process.pid).now - beforeBytes);
  }
  await createPods(plane.api, 'batch-0', [0, batch], nodes);
  const left = 2 * batch;
  await poll('the writer has let all run', settleMs, () => runningOf(watcher) === left);
  await watcher.untilEqual(plane.api, settleMs);
  const podsOf = async () => metricOf(netloom, 'netloom_cluster_objects{kind="pods"}');
  await poll('the process knows as many', settleMs, async () => (await podsOf()) === left);

  await Promise.all([deletePods(plane.api, 'batch-0'), deletePods(plane.api, `batch-${BATCHES - 1}`)]);
  await poll('all are gone', settleMs, async () => watcher.state.podCount === 0 && (await podsOf()) === 0);
  await watcher.untilEqual(plane.api, settleMs);

  const { now, peak } = residentBytes(netloom.process.pid);
  const asked = await requests(netloom);
  const mb = (bytes: number) => `${Math.round(bytes / 1e6)} MB`;
  console.log(
    `${pods + batch} pods created and deleted: ${asked.changes - before.changes} changes, ` +
      `${asked.lists - before.lists} lists, ${asked.pages - before.pages} pages, ${asked.watches - before.watches} watches; ` +
      `RSS ${mb(beforeBytes)} before, at most ${mb(peak)}, ${mb(now)} after; ` +
      `grown by ${grownBytes.map(mb).join(', ')} after each batch`,
  );
  expect(before.lists).toBe(RESOURCES.length);
  expect(asked.lists).toBe(before.lists);
  expect(asked.pages).toBe(before.pages);
  // An API server ends a watch after 5 to 10 minutes, as it is asked to, or when it falls behind.
  const watchesEach = 5 + (performance.now() - startedMs) / 300_000;
  expect(asked.watches - before.watches).toBeLessThanOrEqual(watchesEach * RESOURCES.length);
  expect(watcher.counts.lists).toBe(RESOURCES.length);
  expect(asked.changes - before.changes).toBeGreaterThanOrEqual(2 * pods);
  // Each batch is as the one before: what came and went leaves nothing behind.
  expect(grownBytes.at(-1)! - grownBytes[1]!).toBeLessThan(slackBytes + 0.5 * grownBytes[1]!);
  expect(peak - beforeBytes).toBeLessThan(500e6);
}

function runningOf({ state }: ClusterWatcher): number {
  let running = 0;
  for (const { phase } of state.pods()) if (phase === 'Running') running++;
  return running;
}

async function requests(netloom: SchedulerProcess) {
  const [lists, pages, watches, changes] = await Promise.all(
    [
      'netloom_kube_lists_total',
      'netloom_kube_requests_total{kind="page"}',
      'netloom_kube_requests_total{kind="watch"}',
      'netloom_kube_events_total{kind="change"}',
    ].map((name) => metricOf(netloom, name)),
  );
  return { lists: lists!, pages: pages!, watches: watches!, changes: changes! };
}
