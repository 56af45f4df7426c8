import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLogger } from '../../lib/log.ts';
import { DEFAULT_PLACEMENT_SETTINGS } from '../../scheduler/placement/index.ts';
import { startScheduler, type Scheduler } from '../../scheduler/process/scheduler.ts';

const meta = (name: string, more: object = {}) => ({ name, namespace: 'bank', uid: `uid-${name}`, ...more });
const owner = (kind: string, name: string) => ({
  ownerReferences: [{ apiVersion: 'apps/v1', kind, name, uid: `uid-${name}`, controller: true }],
});

function pod(name: string, owned: object, node: string | undefined, address: string | undefined) {
  return {
    kind: 'Pod',
    metadata: meta(name, owned),
    spec: { containers: [{ name: 'c', image: 'x' }], ...(node === undefined ? {} : { nodeName: node }) },
    status: { phase: node === undefined ? 'Pending' : 'Running', ...(address === undefined ? {} : { podIP: address }) },
  };
}

const hashed = (name: string, hash: string) => ({
  ...owner('ReplicaSet', `${name}-${hash}`),
  labels: { 'pod-template-hash': hash },
});

/** A cluster unlike the example: a StatefulSet, a ReplicaSet that is not listed, a DaemonSet; nodes in two zones. */
function snapshot(ledgerNode: string): string {
  const items: object[] = ['alpha', 'beta', 'gamma'].map((name, i) => ({
    kind: 'Node',
    metadata: { name, uid: `uid-${name}`, labels: { 'topology.kubernetes.io/zone': i < 2 ? 'east' : 'west' } },
    spec: { podCIDR: `10.7.${i}.0/24` },
    status: {
      addresses: [{ type: 'InternalIP', address: `172.20.0.${i + 1}` }],
      allocatable: { cpu: '4', pods: '110' },
    },
  }));
  items.push(
    { kind: 'StatefulSet', metadata: meta('ledger'), spec: { replicas: 1 } },
    { kind: 'DaemonSet', metadata: meta('logger'), spec: {} },
    pod('ledger-0', owner('StatefulSet', 'ledger'), ledgerNode, '10.7.0.9'),
    pod('teller-6f9c-aaaaa', hashed('teller', '6f9c'), 'alpha', '10.7.0.10'),
    pod('logger-zz', owner('DaemonSet', 'logger'), 'alpha', '10.7.0.11'),
  );
  return JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
}

const TRAFFIC =
  'namespace,workload_kind,workload,peer_namespace,peer_kind,peer,bytes_per_second_out,bytes_per_second_in\n' +
  'bank,Deployment,teller,bank,StatefulSet,ledger,400000,600000\n' +
  'bank,Deployment,nobody,bank,StatefulSet,ledger,1,1\n';

let dir: string;
let scheduler: Scheduler | undefined;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'netloom-e2e-'));
  await writeFile(join(dir, 'traffic.csv'), TRAFFIC);
  await writeFile(join(dir, 'snapshot.json'), snapshot('gamma'));
});

afterEach(async () => {
  await scheduler?.stop();
  scheduler = undefined;
  await rm(dir, { recursive: true, force: true });
});

async function start(): Promise<Scheduler> {
  const listen = { host: '127.0.0.1', port: 0 };
  scheduler = await startScheduler(
    {
      listen,
      listenAgents: listen,
      listenApi: listen,
      insecureAgents: false,
      snapshot: join(dir, 'snapshot.json'),
      traffic: join(dir, 'traffic.csv'),
      clientGraceMs: 30_000,
      placement: DEFAULT_PLACEMENT_SETTINGS,
      bodyLimitBytes: 1024 * 1024,
      version: 'test',
    },
    { logger: silentLogger, logLevel: 'silent', logFormat: 'text' },
  );
  return scheduler;
}

async function prioritize({ extenderPort }: Scheduler, podObject: object): Promise<unknown> {
  const response = await fetch(`http://127.0.0.1:${extenderPort}/prioritize`, {
    method: 'POST',
    body: JSON.stringify({ Pod: podObject, Nodes: null, NodeNames: ['alpha', 'beta', 'gamma'] }),
  });
  expect(response.status).toBe(200);
  return response.json();
}

async function api<T>({ apiPort }: Scheduler, path: string): Promise<T> {
  const response = await fetch(`http://127.0.0.1:${apiPort}${path}`);
  expect(response.status).toBe(200);
  return (await response.json()) as T;
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (let i = 0; i < 400; i++) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error('waited in vain');
}

const teller = pod('teller-6f9c-bbbbb', hashed('teller', '6f9c'), undefined, undefined);

describe('a scheduler with a snapshot and a traffic file', () => {
  it('scores follow the traffic, and abstain where nothing is known', async () => {
    const running = await start();
    await until(async () => JSON.stringify(await prioritize(running, teller)) !== '[]');
    expect(await prioritize(running, teller)).toEqual([{ Host: 'gamma', Score: 80 }]);
    expect(await prioritize(running, pod('x', owner('ReplicaSet', 'other-1'), undefined, undefined))).toEqual([]);
    expect(await prioritize(running, pod('logger-yy', owner('DaemonSet', 'logger'), undefined, undefined))).toEqual([]);
    const ready = await fetch(`http://127.0.0.1:${running.extenderPort}/readyz`);
    expect(ready.status).toBe(200);
  });

  it('follows a snapshot that is replaced, and keeps the last good one', async () => {
    const running = await start();
    await until(async () => JSON.stringify(await prioritize(running, teller)).includes('gamma'));
    await writeFile(join(dir, 'next.json'), snapshot('beta'));
    await rename(join(dir, 'next.json'), join(dir, 'snapshot.json'));
    await until(async () => JSON.stringify(await prioritize(running, teller)).includes('beta'));
    await writeFile(join(dir, 'snapshot.json'), '{"kind": "List", "items": [');
    await until(async () => (await api<{ reason: string }>(running, '/v1/status')).reason.includes('last good state'));
    expect(JSON.stringify(await prioritize(running, teller))).toContain('beta');
  });

  it('a file that is replaced by a bad one is told with its place and its remedy, also to monitoring', async () => {
    const running = await start();
    const metrics = async () => (await fetch(`http://127.0.0.1:${running.extenderPort}/metrics`)).text();
    expect(await metrics()).toContain('netloom_source_faults{source="traffic"} 0');
    await writeFile(join(dir, 'traffic.csv'), `${TRAFFIC}bank,Deployment,teller,,External,not-a-cidr,5,5\n`);
    await until(async () => (await metrics()).includes('netloom_source_faults{source="traffic"} 1'));
    const status = await api<{ cluster: { problems: { sample: string }[] } }>(running, '/v1/status');
    expect(status.cluster.problems.map(({ sample }) => sample).join('\n')).toMatch(/traffic\.csv:4.*CIDR/s);
  });

  it('workloads are found by the names that tables show', async () => {
    const running = await start();
    const short = await api<{ workload: string }>(running, '/v1/explain?workload=bank/sts/ledger');
    expect(short.workload).toBe('bank/StatefulSet/ledger');
    const { edges } = await api<{ edges: unknown[] }>(running, '/v1/edges?name=sts/ledger');
    expect(edges).toHaveLength(1);
  });

  it('counts rows that name unknown workloads, and shows them', async () => {
    const running = await start();
    const status = await api<{ cluster: { problems: { count: number; sample: string }[] } }>(running, '/v1/status');
    expect(status.cluster.problems).toHaveLength(1);
    expect(status.cluster.problems[0]).toMatchObject({ count: 1 });
    expect(status.cluster.problems[0]!.sample).toContain('nobody');
  });

  it('explains with the figures that it answers with', async () => {
    const running = await start();
    const reply = await api<{ explanation: { nodes: { node: string; score: number }[] } }>(
      running,
      '/v1/explain?workload=bank/deployment/teller',
    );
    expect(reply.explanation.nodes.find(({ node }) => node === 'gamma')?.score).toBe(80);
  });

  it('exports what it knows', async () => {
    const running = await start();
    const csv = await (await fetch(`http://127.0.0.1:${running.apiPort}/v1/export/traffic`)).text();
    expect(csv).toContain('bank,Deployment,teller,bank,StatefulSet,ledger,400000,600000');
    const exported = await api<{ netloom: string; pods: unknown[] }>(running, '/v1/export/snapshot');
    expect(exported.netloom).toBe('snapshot');
    expect(exported.pods).toHaveLength(3);
  });

  it('refuses what a read API on loopback must refuse', async () => {
    const running = await start();
    const url = `http://127.0.0.1:${running.apiPort}`;
    expect((await fetch(`${url}/v1/status`, { method: 'POST' })).status).toBe(405);
    expect((await fetch(`${url}/nothing`)).status).toBe(404);
    expect((await fetch(`${url}/v1/edges?limit=0`)).status).toBe(400);
    expect((await fetch(`${url}/v1/explain?pod=bank/none`)).status).toBe(404);
  });

  it('serves metrics in which no family stands twice', async () => {
    const running = await start();
    const text = await (await fetch(`http://127.0.0.1:${running.extenderPort}/metrics`)).text();
    const families = [...text.matchAll(/^# TYPE (\S+)/gm)].map((match) => match[1]!);
    expect(families.length).toBeGreaterThan(10);
    expect(new Set(families).size).toBe(families.length);
    expect(text).toMatch(/^netloom_ingest_up 1$/m);
  });

  it('does not start on a file that it cannot read, and says which', async () => {
    await writeFile(join(dir, 'snapshot.json'), 'apiVersion: v1\nkind: List\n');
    await expect(start()).rejects.toMatchObject({ code: 'SNAPSHOT_WRONG_FORM' });
  });
});
