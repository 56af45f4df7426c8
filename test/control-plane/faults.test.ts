import { readFileSync } from 'node:fs';
import { copyFile, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { parse } from 'yaml';
import type { StatusReply } from '../../scheduler/api/replies.ts';
import { Processes, until, type SchedulerProcess } from '../support/netloom.ts';
import { schedulerPorts } from '../support/ports.ts';
import { binaries } from './binaries.ts';
import { BlackHole } from './black-hole.ts';
import type { Component } from './component.ts';
import { ControlPlane } from './control-plane.ts';
import { DroppingPath } from './dropping-path.ts';
import { FaultProxy, type Fault } from './fault-proxy.ts';
import { createNodes } from './nodes.ts';
import { LOAD_TRAFFIC, PodLoad } from './pod-load.ts';

const NODES = 100;
const PODS = 30;
/** Where this machine's load is not the subject: a call that fails fails at once, and one that is only slow is waited for. */
const PATIENT = { httpTimeout: '20s' };

let plane: ControlPlane;
let folder: string;
let netloom: SchedulerProcess;
let netloomArgs: string[];
let proxy: FaultProxy;
let load: PodLoad;
const kubeSchedulers = new Map<string, Component>();
const processes = new Processes();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), `nlt${process.pid}-faults-`));
  plane = await ControlPlane.start({ binaries: binaries() });
  await createNodes(
    plane.api,
    Array.from({ length: NODES }, (_, i) => ({ name: `node-${i}`, zone: `zone-${i % 3}` })),
  );
  load = await PodLoad.create(plane.api);
  await writeFile(join(folder, 'traffic.csv'), LOAD_TRAFFIC);
  const kubeconfig = await plane.kubeconfigOf('netloom', '/O=system:masters/CN=netloom');
  netloomArgs = ['--kubeconfig', kubeconfig, '--traffic', join(folder, 'traffic.csv'), '--events-up-to-nodes', '0'];
  netloom = await processes.scheduler(netloomArgs);
  await netloom.ready();
  proxy = await FaultProxy.start(netloom.extender);
  await startScheduler('through-proxy', proxy.address);
});

afterAll(async () => {
  await plane?.stop();
  await proxy?.stop();
  await processes.cleanup();
  await rm(folder, { recursive: true, force: true });
});

beforeEach(() => {
  proxy.fault = { kind: 'none' };
});

/** With the entry as we print it for these options, at the given address. */
async function startScheduler(name: string, address: string, change: object = {}, args: string[] = []): Promise<void> {
  const printed = await processes.run(['scheduler', '--print-kube-scheduler-config', '--listen', address, ...args]);
  const { extenders } = parse(printed.stdout) as { extenders: object[] };
  const entry = { ...extenders[0], ...change };
  kubeSchedulers.set(
    name,
    await plane.startScheduler({ name, extenders: [entry], config: { profiles: [{ schedulerName: name }] } }),
  );
}

/** What kube-scheduler itself says: that each pod took one attempt, and none ended in an error. @returns what to print */
async function expectOneAttemptEach(name: string): Promise<string> {
  const metrics = await plane.schedulerMetrics(kubeSchedulers.get(name)!);
  const attempts = 'scheduler_pod_scheduling_attempts';
  expect(metrics.sum(`${attempts}_count`)).toBeGreaterThan(0);
  expect(metrics.sum(`${attempts}_sum`)).toBe(metrics.sum(`${attempts}_count`));
  for (const result of ['error', 'unschedulable']) {
    expect(metrics.sum('scheduler_schedule_attempts_total', { result })).toBe(0);
  }
  const seconds = 'scheduler_scheduling_attempt_duration_seconds';
  const ms = [0.5, 0.99].map((q) => `p${q * 100} <= ${Math.round(metrics.quantile(seconds, q) * 1000)} ms`);
  return `${metrics.sum(`${attempts}_count`)} pods since its start, an attempt each, ${ms.join(', ')}`;
}

type Fates = Record<string, number>;

/** Of pods that were bound, what became of our answers, once all are known. */
async function fatesSince(before: Fates, pods: number): Promise<Fates> {
  let fates: Fates = {};
  await until(`${pods} pods are known to be bound`, async () => {
    const now = await fatesNow();
    fates = Object.fromEntries(Object.entries(now).map(([fate, count]) => [fate, count - (before[fate] ?? 0)]));
    return Object.values(fates).reduce((sum, count) => sum + count, 0) === pods;
  }).catch((error: unknown) => {
    throw new Error(`known are ${JSON.stringify(fates)}`, { cause: error });
  });
  return fates;
}

/** A few pods that are asked about, all of them known afterwards. */
async function warmUp(name: string): Promise<void> {
  const before = await fatesNow();
  await load.many(name, 3);
  await fatesSince(before, 3);
}

async function fatesNow(): Promise<Fates> {
  return (await netloom.get<StatusReply>('/v1/status')).kubeScheduler.bound;
}

async function problems(): Promise<string> {
  return JSON.stringify((await netloom.get<StatusReply>('/v1/status')).cluster.problems);
}

const UNANSWERED = 'kube-scheduler places pods without our answers, though it used to ask';
const ANSWERED_AGAIN = 'kube-scheduler asks and gets answers again';

describe('a fault of the extender never keeps the real kube-scheduler from scheduling', () => {
  test('that is well is asked once a pod, says so, and its answers are followed', async () => {
    const [calls, before] = [proxy.calls, await fatesNow()];
    await load.many('through-proxy', PODS);
    expect(proxy.calls - calls).toBeLessThanOrEqual(PODS);
    const fates = await fatesSince(before, PODS);
    console.log(JSON.stringify(fates), await expectOneAttemptEach('through-proxy'));
    expect(fates['followed']).toBeGreaterThan(0);
    expect(netloom.process.log().filter(({ msg }) => msg === 'called for the first time')).toHaveLength(1);
    const { stdout } = await processes.run(['graph', '--api', netloom.api]);
    expect(stdout).toMatch(/kube-scheduler asked \d+ times, last .* ago\./);
  });

  const garbage: [string, Fault][] = [
    ['answers after two seconds', { kind: 'slow', ms: 2_000 }],
    ['is silent', { kind: 'silent' }],
    ['cuts its answers', { kind: 'cut' }],
    ['answers 500', { kind: 'answer', status: 500, body: 'oops' }],
    ['answers HTML', { kind: 'answer', status: 200, body: '<html>login</html>' }],
    ['answers nothing', { kind: 'answer', status: 200, body: '' }],
    ['answers an object', { kind: 'answer', status: 200, body: '{}' }],
    ['names nodes that are not there', { kind: 'answer', status: 200, body: '[{"Host":"nowhere","Score":10}]' }],
    ['answers fractions', { kind: 'answer', status: 200, body: '[{"Host":"node-1","Score":7.5}]' }],
  ];
  test.each(garbage)('that %s: one call and one attempt a pod, and Netloom sees it', async (_what, fault) => {
    const [calls, before] = [proxy.calls, await fatesNow()];
    proxy.fault = fault;
    const rate = await load.many('through-proxy', PODS);
    // Never more than one: kube-scheduler does not try again.
    expect(proxy.calls - calls).toBeLessThanOrEqual(PODS);
    expect(proxy.calls - calls).toBeGreaterThan(0);
    const fates = await fatesSince(before, PODS);
    const own = await expectOneAttemptEach('through-proxy');
    console.log(`${JSON.stringify(fault)}: ${rate.toFixed(1)} pods/s; ${JSON.stringify(fates)}; ${own}`);
    // Where the call gets through to us only its answer is lost: that shows as answers that are not followed.
    if (fault.kind === 'silent' || fault.kind === 'answer') expect(fates['not_asked']).toBe(PODS);
  });

  test('to which packets are dropped from the first: told in log, status and graph, and over once it is asked again', async () => {
    const hole = await BlackHole.open();
    onTestFinished(() => hole.close());
    await startScheduler('into-black-hole', hole.address);
    const before = await fatesNow();
    const rate = await load.many('into-black-hole', 60);
    const fates = await fatesSince(before, 60);
    const own = await expectOneAttemptEach('into-black-hole');
    console.log(`black hole: ${rate.toFixed(1)} pods/s on ${NODES} nodes; ${own}`);
    expect(fates).toMatchObject({ not_asked: 60 });
    await until('it is told', async () => (await problems()).includes('kube-scheduler places pods without'), 30_000);
    expect(await netloom.process.says(UNANSWERED)).toMatchObject({ level: 'warn' });
    expect((await processes.run(['graph', '--api', netloom.api])).stdout).toContain(
      'kube-scheduler places pods without',
    );
    const told = netloom.process.log().map(({ msg }) => msg);
    // A minute of it is one line; what was before the last answers is another time.
    const warned = told.slice(told.lastIndexOf(ANSWERED_AGAIN) + 1).filter((msg) => msg === UNANSWERED);
    expect(warned).toHaveLength(1);
    await startScheduler('well-again', netloom.extender, PATIENT);
    await load.many('well-again', 3);
    await until('it is over', async () => !(await problems()).includes('kube-scheduler places pods without'));
    await netloom.process.says(ANSWERED_AGAIN);
  });

  test.skipIf(process.getuid?.() !== 0)(
    'to which packets are dropped while its connection stands, and let through again (needs root)',
    async () => {
      const path = await DroppingPath.open(netloom.extender);
      onTestFinished(() => path.close());
      await startScheduler('dropping', path.address);
      await warmUp('dropping');
      const before = await fatesNow();
      await path.drop();
      const rate = await load.many('dropping', PODS);
      expect(await fatesSince(before, PODS)).toMatchObject({ not_asked: PODS });
      await path.restore();
      await warmUp('dropping');
      expect((await fatesSince(before, PODS + 3))['not_asked']).toBeLessThan(PODS + 3);
      console.log(
        `dropped on a standing connection: ${rate.toFixed(1)} pods/s; ${await expectOneAttemptEach('dropping')}`,
      );
    },
  );

  test('that is frozen: what it then answers too late is counted and told', async () => {
    await startScheduler('frozen', netloom.extender);
    await warmUp('frozen');
    const before = await fatesNow();
    netloom.process.signal('SIGSTOP');
    await load.many('frozen', PODS);
    netloom.process.signal('SIGCONT');
    const fates = await fatesSince(before, PODS);
    // All that it was sent; a connection that was not made in time brought nothing.
    expect(fates['late']! + fates['not_asked']!).toBe(PODS);
    expect(fates['late']).toBeGreaterThan(0);
    expect(await netloom.metric('netloom_extender_late_total')).toBeGreaterThan(0);
    await netloom.process.says('extender: the caller went away before it was answered');
    console.log(`frozen: ${JSON.stringify(fates)}; ${await expectOneAttemptEach('frozen')}`);
  });

  test('that is restarted again and again under load, in order and by kill, with its store', async () => {
    const args = [...netloomArgs, '--store', join(folder, 'graph.db')];
    const ports = await schedulerPorts();
    let other = await processes.scheduler(args, { ports });
    await startScheduler('restarting', other.extender);
    const ends: object[] = [];
    const pods = await load.whilst('restarting', async () => {
      for (const signal of ['SIGTERM', 'SIGKILL', 'SIGTERM', 'SIGKILL'] as const) {
        ends.push(await other.end(signal));
        other = await processes.scheduler(args, { ports });
        await until('it is ready', async () => (await other.metric('netloom_cluster_ready')) === 1);
      }
    });
    expect(ends.map((end) => (end as { status: number | null }).status)).toEqual([0, null, 0, null]);
    console.log(`restarted 4 times: ${pods} pods; ${await expectOneAttemptEach('restarting')}`);
    await load.many('restarting', 3);
    await other.end();
  });

  test('whose certificate is replaced under load: no call fails, and a bad file changes nothing', async () => {
    const [cert, key] = [join(folder, 'tls.crt'), join(folder, 'tls.key')];
    const install = async (n: number): Promise<string> => {
      const pair = await plane.issue(`netloom-${n}`, `/CN=netloom-${n}`, 'IP:127.0.0.1');
      for (const [from, to] of [
        [pair.key, key],
        [pair.cert, cert],
      ] as const) {
        await copyFile(from, `${to}.new`);
        await rename(`${to}.new`, to);
      }
      return `netloom-${n}`;
    };
    await install(0);
    const tls = ['--tls-cert', cert, '--tls-key', key, '--tls-client-ca', plane.caFile];
    const secure = await processes.scheduler([...netloomArgs, ...tls]);
    await until('it knows the cluster', async () => {
      const { nodes, pods, services } = (await secure.get<StatusReply>('/v1/status')).cluster;
      return nodes === NODES && pods > 0 && services > 0;
    });
    const client = await plane.issue('kube-scheduler-client', '/CN=kube-scheduler');
    const served = () => servedName(secure.ports.extender, client);
    const tlsConfig = { caFile: plane.caFile, certFile: client.cert, keyFile: client.key };
    await startScheduler('secure', secure.extender, { tlsConfig, ...PATIENT }, tls);
    expect(await served()).toBe('netloom-0');
    const pods = await load.whilst('secure', async () => {
      for (let n = 1; n <= 3; n++) {
        const name = await install(n);
        await until(`${name} is served`, async () => (await served()) === name);
        if (n !== 2) continue;
        await writeFile(cert, 'not a certificate');
        await secure.process.says('extender certificate not changed: the new files cannot be used, the old ones stay');
        expect(await served()).toBe(name);
      }
    });
    const { kubeScheduler } = await secure.get<StatusReply>('/v1/status');
    console.log(
      `certificate replaced 3 times: ${pods} pods; ${JSON.stringify(kubeScheduler)}; ${await expectOneAttemptEach('secure')}`,
    );
    expect(await secure.process.says('called for the first time')).toMatchObject({
      by: expect.stringContaining('Go-http-client'),
    });
    let fates: Fates = {};
    const known = async (): Promise<boolean> => {
      fates = (await secure.get<StatusReply>('/v1/status')).kubeScheduler.bound;
      return Object.values(fates).reduce((sum, count) => sum + count, 0) === pods;
    };
    await until('each pod is known', known).catch((error: unknown) => {
      throw new Error(`of ${pods} pods are known: ${JSON.stringify(fates)}; ${secure.process.stderr}`, {
        cause: error,
      });
    });
    // Each was asked about and answered in time, whatever the answer was.
    expect(fates).toMatchObject({ late: 0, not_asked: 0, never_asked: 0 });
    const { calls } = (await secure.get<StatusReply>('/v1/status')).kubeScheduler;
    expect(calls).toBe(pods);
    await secure.end();
  });

  test('whose API server went away and came back', async () => {
    await plane.restartApiserver(500);
    await until(
      'the API server is watched again',
      async () => (await netloom.metric('netloom_kube_faults')) === 0,
      60_000,
    );
    expect(await netloom.metric('netloom_kube_failures_total')).toBeGreaterThan(0);
    await netloom.process.says('the API server cannot be watched; what is known stays');
    await netloom.process.says('watching again');
    await load.many('through-proxy', PODS);
    console.log(`API server away: ${await expectOneAttemptEach('through-proxy')}`);
  });
});

/** The subject of the certificate that a new connection gets. */
function servedName(port: number, { cert, key }: { readonly cert: string; readonly key: string }): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = {
      port,
      host: '127.0.0.1',
      rejectUnauthorized: false,
      cert: readFileSync(cert),
      key: readFileSync(key),
    };
    const socket = connect(options, () => {
      resolve(String(socket.getPeerCertificate().subject.CN));
      socket.destroy();
    }).on('error', reject);
  });
}
