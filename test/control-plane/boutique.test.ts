import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { silentLogger } from '../../lib/log.ts';
import type { ExplainReply } from '../../scheduler/api/replies.ts';
import { ClusterState } from '../../scheduler/cluster/state.ts';
import { KubeClient } from '../../scheduler/kubernetes/kube-client.ts';
import { KubeSource } from '../../scheduler/kubernetes/kube-source.ts';
import { Processes, until, type SchedulerProcess } from '../support/netloom.ts';
import { binaries } from './binaries.ts';
import { Boutique, deleteDeployments } from './boutique.ts';
import { ControlPlane } from './control-plane.ts';
import { createNodes } from './nodes.ts';
import { StatusWriter } from './status-writer.ts';
import { TrafficFeed } from './traffic-feed.ts';

const ORDERS = 20;
const NODES = ['node-0', 'node-1', 'node-2'];
const PERIOD_MS = 200;

let boutique: Boutique;
let plane: ControlPlane;
let writer: StatusWriter;
let netloom: SchedulerProcess;
let feed: TrafficFeed;
let source: KubeSource;
const processes = new Processes();
const state = new ClusterState();

beforeAll(async () => {
  boutique = await Boutique.load();
  plane = await ControlPlane.start({ binaries: binaries() });
  const capacity = { cpu: `${Math.round(0.6 * boutique.milliCpu)}m`, memory: '8Gi', pods: '110' };
  await createNodes(
    plane.api,
    NODES.map((name, i) => ({ name, zone: `zone-${i}`, region: 'test', capacity })),
  );
  writer = new StatusWriter(plane.api).start();
  await plane.startScheduler();
  netloom = await processes.scheduler([
    '--kubeconfig',
    await plane.kubeconfigOf('netloom', '/O=system:masters/CN=netloom'),
  ]);
  // As shipped, with the port that was free here.
  const printed = await processes.run(['scheduler', '--print-kube-scheduler-config', '--listen', netloom.extender]);
  const { extenders } = parse(printed.stdout) as { extenders: object[] };
  await plane.startScheduler({
    name: 'with-netloom',
    extenders,
    config: { profiles: [{ schedulerName: 'with-netloom' }] },
  });
  source = new KubeSource({ api: await KubeClient.create({ kubeconfig: plane.kubeconfig }), logger: silentLogger });
  await source.start({ apply: (events) => state.apply(events), synced: () => undefined, failed: () => undefined });
  feed = new TrafficFeed({
    target: netloom.agents,
    nodes: NODES,
    state,
    edges: boutique.edges,
    namespaces: () => ['shop'],
    periodMs: PERIOD_MS,
  });
  await plane.kubectl('create', 'namespace', 'shop');
});

afterAll(async () => {
  await feed?.stop();
  await source?.stop();
  await writer?.stop();
  await processes.cleanup();
  await plane?.stop();
});

const settled = (): number =>
  boutique.workloads.filter(({ name }) => state.workload(`shop/Deployment/${name}`)?.placed === 1).length;

/** Deploys the workloads in the given order, and returns where the traffic stays. */
async function deploy(order: readonly string[], schedulerName: string): Promise<number> {
  for (const name of order) {
    await plane.api.call(
      'POST',
      '/apis/apps/v1/namespaces/shop/deployments',
      boutique.deployment(name, 'shop', schedulerName),
    );
    await until(`the pod of ${name} is placed`, () => state.workload(`shop/Deployment/${name}`)?.placed === 1);
  }
  return boutique.localShare(state, 'shop', (node) => node);
}

async function clear(): Promise<void> {
  await deleteDeployments(plane.api, 'shop');
  await until('all pods are gone', () => settled() === 0 && state.podCount === 0);
}

/** The same orders at every run. */
function shuffled(names: readonly string[], seed: number): string[] {
  let random = seed * 2654435761 + 1;
  const next = () => (random = (random * 1103515245 + 12345) % 2147483648) / 2147483648;
  return names
    .map((name) => ({ name, at: next() }))
    .sort((a, b) => a.at - b.at)
    .map(({ name }) => name);
}

test('Online Boutique on three nodes, scheduled by the real kube-scheduler without and with Netloom', async () => {
  const names = boutique.workloads.map(({ name }) => name);
  await deploy(names, 'default-scheduler');
  // Learns what talks to what from the report streams of the three nodes.
  await new Promise((resolve) => setTimeout(resolve, 6_000));
  await clear();
  const shares: { without: number; with: number }[] = [];
  for (let order = 0; order < ORDERS; order++) {
    const arrival = shuffled(names, order);
    const without = await deploy(arrival, 'default-scheduler');
    await clear();
    shares.push({ without, with: await deploy(arrival, 'with-netloom') });
    await clear();
  }
  const mean = (of: 'without' | 'with') => shares.reduce((sum, share) => sum + share[of], 0) / shares.length;
  const worse = shares.filter((share) => share.with < share.without).length;
  console.log(
    `node-local share over ${ORDERS} orders: ${(100 * mean('without')).toFixed(1)} % without, ` +
      `${(100 * mean('with')).toFixed(1)} % with Netloom (${(mean('with') / mean('without')).toFixed(2)} times); worse in ${worse}`,
  );
  expect(writer.failures).toEqual([]);
  expect(mean('with') / mean('without')).toBeGreaterThanOrEqual(1.7);
  expect(worse).toBeLessThanOrEqual(4);
});

test('a pod that was really scheduled says why it is where it is', async () => {
  const names = boutique.workloads.map(({ name }) => name);
  await deploy(names, 'with-netloom');
  const [pod] = [...state.workload('shop/Deployment/cartservice')!.pods];
  const replies: ExplainReply[] = [];
  for (const target of [`shop/${pod!.name}`, `pod shop/${pod!.name}`]) {
    const { stdout, status } = await processes.run([
      'explain',
      '--api',
      netloom.api,
      '-o',
      'json',
      ...target.split(' '),
    ]);
    expect(status).toBe(0);
    replies.push(JSON.parse(stdout) as ExplainReply);
  }
  for (const { lastDecision, pod: explained } of replies) {
    expect(explained?.node).toBe(pod!.node);
    expect(lastDecision).toMatchObject({ podUid: pod!.uid, candidates: expect.any(Number) });
  }
  const events = async () => {
    const { items } = await plane.api.call<{ items: { reason: string; message: string }[] }>(
      'GET',
      `/api/v1/namespaces/shop/events?fieldSelector=${encodeURIComponent('reason=NetworkAwarePlacement')}`,
    );
    return items.map(({ message }) => message);
  };
  await expect.poll(async () => (await events()).length, { timeout: 10_000 }).toBeGreaterThan(0);
  for (const message of await events())
    expect(message).toMatch(/^Netloom scored node-\d (best of \d nodes: )?\d+ of 80/);
  expect((await events()).join('\n')).toMatch(/Of its traffic, that with shop\/Deployment\/\w+.* stays on the node\./);
  console.log((await events())[0]);
  await clear();
});
