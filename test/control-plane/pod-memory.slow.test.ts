import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Processes, type SchedulerProcess } from '../support/netloom.ts';
import { pendingPod } from '../support/cluster-file.ts';
import { barePod } from './bare-pods.ts';
import { binaries } from './binaries.ts';
import { metricOf, poll, throughPort } from './cluster-watcher.ts';
import { ControlPlane } from './control-plane.ts';
import { createNodes } from './nodes.ts';
import { residentBytes } from './resident-bytes.ts';
import { TcpProxy } from './tcp-proxy.ts';

const PODS = 100_000;
const NODES = 1_000;
const PODS_OF_A_NAMESPACE = 1_000;
/** etcd takes 128 puts in a transaction, and 1.5 MB in a request. */
const PUTS = 100;

let plane: ControlPlane;
let proxy: TcpProxy;
const processes = new Processes();

beforeAll(async () => {
  plane = await ControlPlane.start({ binaries: binaries() });
  await createNodes(
    plane.api,
    Array.from({ length: NODES }, (_, i) => ({ name: `node-${i}`, zone: `zone-${i % 3}` })),
  );
  // Reads 100,000 pods and more than once: what it does with them is not the subject.
  await plane.controllerManager!.stop();
  proxy = await TcpProxy.start(Number(new URL(plane.url).port));
}, 300_000);

afterAll(async () => {
  await processes.cleanup();
  await proxy?.stop();
  await plane?.stop();
});

test('100,000 pods add at most 300 MB to the scheduler, also while they are listed again', async () => {
  const kubeconfig = await throughPort(plane.kubeconfig, proxy.port);
  const start = async () => {
    const netloom = await processes.scheduler(['--kubeconfig', kubeconfig, '--events-up-to-nodes', '0'], {
      startMs: 300_000,
    });
    await poll('it is ready', 600_000, async () => (await metricOf(netloom, 'netloom_cluster_ready')) === 1);
    await sleep(10_000);
    return netloom;
  };
  const empty = await start();
  const without = residentBytes(empty.process.pid);
  await empty.end();

  const bytes = await seedPods();
  const netloom = await start();
  expect(await metricOf(netloom, 'netloom_cluster_objects{kind="pods"}')).toBe(PODS);
  const first = residentBytes(netloom.process.pid);

  const mb = (count: number) => `${(count / 1e6).toFixed(0)} MB`;
  console.log(
    `${PODS} pods of ${(bytes / PODS / 1000).toFixed(1)} kB: RSS at most ${mb(without.peak)} without, ${mb(first.peak)} with, ` +
      `${mb(first.now)} at rest: ${Math.round((first.peak - without.peak) / PODS)} bytes a pod`,
  );

  const calm = await latencies(netloom, () => sleep(5_000));
  const lists = await metricOf(netloom, 'netloom_kube_lists_total');
  proxy.line = { kind: 'refusing' };
  proxy.cut();
  await plane.api.call('POST', '/api/v1/namespaces', { metadata: { name: 'moves-the-version' } });
  // Reading 100,000 pods again takes it longer than others are given.
  await plane.restartApiserver().catch(() => undefined);
  await poll('the API server is back', 600_000, async () => (await plane.api.ask('GET', '/readyz')).status === 200);
  const relisting = await latencies(netloom, async () => {
    proxy.line = { kind: 'clear' };
    await poll('all is listed again', 600_000, async () => {
      const { lists: now, faults } = {
        lists: await metricOf(netloom, 'netloom_kube_lists_total'),
        faults: await metricOf(netloom, 'netloom_kube_faults'),
      };
      return now >= lists + 10 && faults === 0;
    });
  });
  const again = residentBytes(netloom.process.pid);
  console.log(
    `listed again: RSS at most ${mb(again.peak)}, ${Math.round((again.peak - without.peak) / PODS)} bytes a pod; ` +
      `/prioritize p50, p99: ${calm}, meanwhile ${relisting}`,
  );
  expect(await metricOf(netloom, 'netloom_cluster_objects{kind="pods"}')).toBe(PODS);
  expect(first.peak - without.peak).toBeLessThan(300e6);
  expect(again.peak - without.peak).toBeLessThan(300e6);
}, 3_600_000);

/**
 * Into etcd, where the API server keeps them: by way of the API server each would cost two requests and a quarter of an
 * hour. What lists them cannot tell. @returns their size as JSON in all
 */
async function seedPods(): Promise<number> {
  let bytes = 0;
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  for (let from = 0; from < PODS; from += PUTS) {
    const puts = Array.from({ length: PUTS }, (_, n) => {
      const i = from + n;
      const namespace = `load-${Math.floor(i / PODS_OF_A_NAMESPACE)}`;
      const pod = runningPod(namespace, i);
      const text = JSON.stringify(pod);
      bytes += text.length;
      return { requestPut: { key: base64(`/registry/pods/${namespace}/${pod.metadata.name}`), value: base64(text) } };
    });
    const reply = await fetch(`${plane.etcdUrl}/v3/kv/txn`, {
      method: 'POST',
      body: JSON.stringify({ success: puts }),
    });
    if (!reply.ok) throw new Error(`etcd answered ${reply.status}: ${await reply.text()}`);
  }
  return bytes;
}

interface PodLike {
  metadata: { name: string; labels: Record<string, string>; [key: string]: unknown };
  [key: string]: unknown;
}

/** As a pod of a Deployment looks that runs: owner, managedFields, conditions, addresses. */
function runningPod(namespace: string, i: number): PodLike {
  const pod = barePod(namespace, i, NODES) as PodLike;
  const time = '2026-01-01T00:00:00Z';
  const ip = `10.${128 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}`;
  const fields = Object.fromEntries(Array.from({ length: 30 }, (_, n) => [`f:field-number-${n}`, {}]));
  return {
    ...pod,
    metadata: {
      ...pod.metadata,
      uid: randomUUID(),
      creationTimestamp: time,
      ownerReferences: [
        {
          apiVersion: 'apps/v1',
          kind: 'ReplicaSet',
          name: `${pod.metadata.labels['app']}-7d4b9c6f5d`,
          uid: `00000000-0000-4000-8000-${String(Math.floor(i / 20)).padStart(12, '0')}`,
          controller: true,
          blockOwnerDeletion: true,
        },
      ],
      managedFields: [
        {
          manager: 'kube-controller-manager',
          operation: 'Update',
          apiVersion: 'v1',
          time,
          fieldsType: 'FieldsV1',
          fieldsV1: { 'f:spec': fields },
        },
      ],
    },
    status: {
      phase: 'Running',
      podIP: ip,
      podIPs: [{ ip }],
      hostIP: '172.16.0.1',
      startTime: time,
      conditions: ['Initialized', 'Ready', 'ContainersReady', 'PodScheduled'].map((type) => ({
        type,
        status: 'True',
        lastTransitionTime: time,
      })),
    },
  };
}

/** Of one caller that asks about 500 nodes all the time while `during` lasts, as text. */
async function latencies(netloom: SchedulerProcess, during: () => Promise<void>): Promise<string> {
  const took: number[] = [];
  const names = Array.from({ length: 500 }, (_, i) => `node-${i}`);
  let over = false;
  const asking = (async () => {
    while (!over) {
      const fromMs = performance.now();
      await netloom.prioritize(pendingPod('load-0', 'service-0'), names);
      took.push(performance.now() - fromMs);
      await sleep(5);
    }
  })();
  try {
    await during();
  } finally {
    over = true;
    await asking;
  }
  took.sort((a, b) => a - b);
  const at = (share: number) => `${took[Math.floor(share * (took.length - 1))]!.toFixed(1)} ms`;
  return `${at(0.5)}, ${at(0.99)} (${took.length} calls)`;
}
