import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { clusterFile } from '../support/cluster-file.ts';
import { Processes, until } from '../support/netloom.ts';
import { Rig } from '../support/report-rig.ts';
import { serverPeriod } from '../support/server-period.ts';

const NODES = ['alpha', 'beta'];
const on = (net: number) => NODES.map((node, i) => ({ suffix: `aaaa${i}`, node, address: `10.7.${i}.${net}` }));

let dir: string;
const processes = new Processes();
const rig = new Rig();

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'netloom-e2e-'));
});

afterAll(async () => {
  await rig.cleanup();
  await processes.cleanup();
  await rm(dir, { recursive: true, force: true });
});

it('a Service whose trafficDistribution its proxy does not heed is told by graph, explain and a metric', async () => {
  const list = JSON.parse(
    clusterFile({
      namespace: 'shop',
      nodes: NODES.map((name) => ({ name, zone: 'east' })),
      workloads: [
        { name: 'web', pods: on(10) },
        { name: 'cart', pods: on(20) },
      ],
    }),
  ) as { items: { kind: string; status?: object }[] };
  const nodeInfo = { kubeletVersion: 'v1.35.2' };
  const items = list.items.map((item) =>
    item.kind === 'Node' ? { ...item, status: { ...item.status, nodeInfo } } : item,
  );
  const spec = { clusterIP: '10.96.0.7', selector: { app: 'cart' }, trafficDistribution: 'PreferSameNode' };
  const service = { kind: 'Service', metadata: { name: 'cart', namespace: 'shop', uid: 'uid-cart' }, spec };
  await writeFile(join(dir, 'cluster.json'), JSON.stringify({ kind: 'List', items: [...items, service] }));
  const scheduler = await processes.scheduler(['--snapshot', join(dir, 'cluster.json')]);
  for (const [i, node] of NODES.entries()) {
    const edges = [0, 1].map((from) => ({
      server: `10.7.${i}.20`,
      client: `10.7.${from}.10`,
      bytesOut: 1_000_000,
      bytesIn: 1_000_000,
      connections: 50,
    }));
    rig.agent(scheduler.agents, node).offer(serverPeriod(edges, 10_000));
  }
  // Edges are looked through once a minute.
  const metric = 'netloom_services_distribution_ignored';
  await until('it is seen', async () => (await scheduler.metric(metric)) === 1, 100_000);
  const found =
    'shop/cart (PreferSameNode): of 200 connections of shop/Deployment/web 50 % stayed near, 50 % by chance';
  const shown = async (...args: string[]): Promise<string> =>
    (await processes.run([...args, '--api', scheduler.api])).stdout;
  expect(await shown('graph')).toContain(found);
  for (const workload of ['web', 'cart']) {
    expect(await shown('explain', `shop/deployment/${workload}`)).toContain(`The proxy does not heed ${found}.`);
  }
}, 150_000);
