import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { silentLogger } from '../../lib/log.ts';
import { projectObject } from '../../scheduler/cluster/project.ts';
import { recordKey } from '../../scheduler/cluster/records.ts';
import { ClusterState } from '../../scheduler/cluster/state.ts';
import type { ClusterRecord } from '../../scheduler/cluster/model.ts';
import { connectKube } from '../../scheduler/kubernetes/credentials.ts';
import { KubeSource } from '../../scheduler/kubernetes/kube-source.ts';
import { RESOURCES } from '../../scheduler/kubernetes/resources.ts';
import { binaries } from './binaries.ts';
import { ControlPlane } from './control-plane.ts';
import { createNodes } from './nodes.ts';
import { StatusWriter } from './status-writer.ts';

let plane: ControlPlane;
let writer: StatusWriter;
const sources: KubeSource[] = [];

beforeAll(async () => {
  plane = await ControlPlane.start({ binaries: binaries() });
  await createNodes(
    plane.api,
    Array.from({ length: 6 }, (_, i) => ({ name: `node-${i}`, zone: `zone-${i % 3}`, region: 'test' })),
  );
  await plane.startScheduler();
  writer = new StatusWriter(plane.api).start();
});

afterAll(async () => {
  await Promise.all(sources.map((source) => source.stop()));
  await writer?.stop();
  await plane?.stop();
});

async function watching(kubeconfig = plane.kubeconfig) {
  const state = new ClusterState();
  const faults: string[] = [];
  let synced = 0;
  const source = new KubeSource({ api: await connectKube({ kubeconfig }), logger: silentLogger });
  sources.push(source);
  await source.start({
    apply: (events) => state.apply(events),
    synced: () => void synced++,
    failed: (error) => void faults.push(String(error)),
  });
  return { state, source, faults, synced: () => synced };
}

/** What the API server has, projected as we do, by key. */
async function apiRecords(): Promise<Map<string, ClusterRecord>> {
  const records = new Map<string, ClusterRecord>();
  for (const { path, kind } of RESOURCES) {
    const { items } = await plane.api.call<{ items: object[] }>('GET', path);
    for (const item of items) {
      const projection = projectObject(item, kind);
      if (projection.outcome === 'record') records.set(recordKey(projection.record), projection.record);
    }
  }
  return records;
}

function stateRecords(state: ClusterState): Map<string, ClusterRecord> {
  const all = [...state.nodes(), ...state.pods(), ...state.services(), ...state.controllers()];
  return new Map(all.map((record) => [recordKey(record), record]));
}

/** Object by object, once both have settled. */
async function expectEqual(state: ClusterState): Promise<void> {
  await expect
    .poll(
      async () => {
        const wanted = [...(await apiRecords())].filter(([, { type }]) => type !== 'namespace');
        const found = stateRecords(state);
        const differing = wanted.filter(([key, record]) => JSON.stringify(record) !== JSON.stringify(found.get(key)));
        return { missing: differing.map(([key]) => key), beyond: found.size - wanted.length };
      },
      { timeout: 60_000, interval: 200 },
    )
    .toEqual({ missing: [], beyond: 0 });
}

describe('cluster state from the API server', () => {
  test('is what the API server has, while pods come, run and go', async () => {
    const { state, synced } = await watching();
    await expect.poll(synced, { timeout: 10_000 }).toBe(1);
    expect(state.nodeCount).toBe(6);
    expect(state.node('node-1')).toMatchObject({ zone: 'zone-1', region: 'test' });
    await plane.kubectl('create', 'namespace', 'shop');
    await plane.kubectl('-n', 'shop', 'create', 'deployment', 'web', '--image=x', '--replicas=40');
    await plane.kubectl('-n', 'shop', 'expose', 'deployment', 'web', '--port=80');
    await plane.kubectl('-n', 'shop', 'create', 'cronjob', 'report', '--image=x', '--schedule=0 0 29 2 *');
    await plane.kubectl('-n', 'shop', 'create', 'job', 'now', '--from=cronjob/report');
    await plane.kubectl('-n', 'shop', 'rollout', 'status', 'deployment/web', '--timeout=60s');
    await expect.poll(() => state.workload('shop/CronJob/report')?.placed).toBe(1);
    await expectEqual(state);
    expect(state.workload('shop/Deployment/web')).toMatchObject({ desired: 40, placed: 40 });
    expect(state.workload('shop/CronJob/report')).toMatchObject({ placed: 1 });
    await plane.kubectl('-n', 'shop', 'scale', 'deployment/web', '--replicas=5');
    await plane.kubectl('-n', 'shop', 'delete', 'job', 'now');
    await expect.poll(() => state.workload('shop/Deployment/web')?.placed, { timeout: 90_000 }).toBe(5);
    await expectEqual(state);
    expect(writer.failures).toEqual([]);
  });

  test('outlives a restart of the API server, and lists again only what it must', async () => {
    const { state, source, synced, faults } = await watching();
    await expect.poll(synced).toBe(1);
    const { lists } = source.status().counts;
    await plane.restartApiserver(1_000);
    await plane.kubectl('-n', 'shop', 'scale', 'deployment/web', '--replicas=12');
    await expect.poll(() => state.workload('shop/Deployment/web')?.placed, { timeout: 90_000 }).toBe(12);
    await expectEqual(state);
    expect(faults.length).toBeGreaterThan(0);
    await expect.poll(() => source.status().faults, { timeout: 90_000 }).toEqual([]);
    const { counts } = source.status();
    expect(counts.lists - lists).toBeLessThanOrEqual(RESOURCES.length);
    expect(counts.failures).toBeLessThan(20 * RESOURCES.length);
  });

  test('an account that may not list is told which right it lacks, and starts to work once it has it', async () => {
    const kubeconfig = await plane.kubeconfigOf('stranger', '/CN=stranger');
    const { source, synced } = await watching(kubeconfig);
    await expect.poll(() => source.status().faults.length, { timeout: 10_000 }).toBe(RESOURCES.length);
    expect(source.status().faults.find(({ path }) => path.endsWith('/pods'))?.reason).toMatch(
      /403 Forbidden.*cannot list resource "pods".*needs get, list and watch of pods/s,
    );
    expect(synced()).toBe(0);
    await plane.kubectl('create', 'clusterrolebinding', 'stranger', '--clusterrole=cluster-admin', '--user=stranger');
    await expect.poll(synced, { timeout: 60_000 }).toBeGreaterThan(0);
  });

  test('what cannot name an API server is an error that says what was expected', async () => {
    await expect(connectKube({ kubeconfig: '/nowhere' })).rejects.toMatchObject({ code: 'KUBECONFIG_UNUSABLE' });
    await expect(connectKube({ kubeconfig: undefined })).rejects.toMatchObject({ code: 'KUBECONFIG_UNUSABLE' });
  });
});
