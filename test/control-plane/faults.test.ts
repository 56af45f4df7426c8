import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { Processes, until, type SchedulerProcess } from '../support/netloom.ts';
import { binaries } from './binaries.ts';
import { BlackHole } from './black-hole.ts';
import { ControlPlane } from './control-plane.ts';
import { FaultProxy, type Fault } from './fault-proxy.ts';
import { createNodes } from './nodes.ts';

const NODES = 100;
const PODS = 30;

let plane: ControlPlane;
let netloom: SchedulerProcess;
let proxy: FaultProxy;
let hole: BlackHole;
let kubeconfig: string;
let made = 0;
const processes = new Processes();

interface PodObject {
  readonly metadata: { readonly name: string };
  readonly spec: { readonly nodeName?: string };
  readonly status: {
    readonly conditions?: readonly { readonly type: string; readonly status: string; readonly message?: string }[];
  };
}

beforeAll(async () => {
  plane = await ControlPlane.start({ binaries: binaries() });
  await createNodes(
    plane.api,
    Array.from({ length: NODES }, (_, i) => ({ name: `node-${i}`, zone: `zone-${i % 3}` })),
  );
  kubeconfig = await plane.kubeconfigOf('netloom', '/O=system:masters/CN=netloom');
  netloom = await processes.scheduler(['--kubeconfig', kubeconfig]);
  proxy = await FaultProxy.start(netloom.extender);
  hole = await BlackHole.open();
  await startScheduler('through-proxy', proxy.address);
  await startScheduler('into-black-hole', hole.address);
});

afterAll(async () => {
  hole?.close();
  await plane?.stop();
  await proxy?.stop();
  await processes.cleanup();
});

beforeEach(() => {
  proxy.fault = { kind: 'none' };
});

/** With the entry as we print it, at the given address. */
async function startScheduler(name: string, address: string): Promise<void> {
  const { stdout } = await processes.run(['scheduler', '--print-kube-scheduler-config', '--listen', address]);
  const { extenders } = parse(stdout) as { extenders: object[] };
  await plane.startScheduler({ name, extenders, config: { profiles: [{ schedulerName: name }] } });
}

/** Makes pods at once; all must be bound, and none may have been refused on the way. @returns pods a second */
async function schedule(
  schedulerName: string,
  count = PODS,
  during: () => Promise<void> = async () => {},
): Promise<number> {
  const batch = `batch-${made++}`;
  const pods = '/api/v1/namespaces/default/pods';
  const startMs = performance.now();
  await Promise.all(
    Array.from({ length: count }, (_, i) =>
      plane.api.call('POST', pods, {
        metadata: { name: `${batch}-${i}`, labels: { batch } },
        spec: {
          schedulerName,
          terminationGracePeriodSeconds: 0,
          containers: [{ name: 'c', image: 'x', resources: { requests: { cpu: '10m' } } }],
        },
      }),
    ),
  );
  await during();
  let refused: string[] = [];
  await until(
    `${count} pods are bound by ${schedulerName}`,
    async () => {
      const { items } = await plane.api.call<{ items: PodObject[] }>('GET', `${pods}?labelSelector=batch%3D${batch}`);
      const conditions = items.flatMap(({ status }) => status.conditions ?? []);
      refused = conditions.filter(({ status }) => status === 'False').map(({ message }) => message ?? '');
      return items.filter(({ spec }) => spec.nodeName !== undefined).length === count;
    },
    120_000,
  );
  const seconds = (performance.now() - startMs) / 1000;
  expect(refused).toEqual([]);
  await plane.api.call('DELETE', `${pods}?labelSelector=batch%3D${batch}`, { gracePeriodSeconds: 0 });
  return count / seconds;
}

describe('a fault of the extender never keeps the real kube-scheduler from scheduling', () => {
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
  test.each(garbage)('that %s', async (_what, fault) => {
    proxy.fault = fault;
    const before = proxy.calls;
    const rate = await schedule('through-proxy');
    console.log(`${JSON.stringify(fault)}: ${rate.toFixed(1)} pods/s`);
    expect(proxy.calls - before).toBeGreaterThanOrEqual(PODS);
  });

  test('whose packets are dropped', async () => {
    const rate = await schedule('into-black-hole', 60);
    console.log(`black hole: ${rate.toFixed(1)} pods/s on ${NODES} nodes`);
  });

  test('that is frozen, thawed, killed and started again while pods arrive', async () => {
    await schedule('through-proxy', PODS, async () => netloom.process.signal('SIGSTOP'));
    netloom.process.signal('SIGCONT');
    await schedule('through-proxy', PODS, async () => {
      const { ports } = netloom;
      await netloom.end('SIGKILL');
      netloom = await processes.scheduler(['--kubeconfig', kubeconfig], { ports });
    });
    await until('it is ready again', async () => (await netloom.metric('netloom_cluster_ready')) === 1);
    await schedule('through-proxy');
  });

  test('whose API server went away and came back', async () => {
    await plane.restartApiserver(500);
    await until(
      'the API server is watched again',
      async () => (await netloom.metric('netloom_kube_faults')) === 0,
      60_000,
    );
    expect(await netloom.metric('netloom_kube_failures_total')).toBeGreaterThan(0);
    await schedule('through-proxy');
  });
});
