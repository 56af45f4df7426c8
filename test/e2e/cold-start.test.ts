import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Processes, until, type SchedulerProcess } from '../support/netloom.ts';

const NODES = ['alpha', 'beta', 'gamma', 'delta'];
const TRAFFIC =
  'namespace,workload_kind,workload,peer_namespace,peer_kind,peer,bytes_per_second_out,bytes_per_second_in\n' +
  'shop,Deployment,web,shop,Deployment,cart,4000000,6000000\n';

interface PodSpec {
  readonly workload: string;
  readonly hash?: string;
  readonly suffix?: string;
  readonly node?: string;
  readonly image?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string>>;
  readonly args?: readonly string[];
}

const podName = ({ workload, hash = '6f9c', suffix = 'aaaaa' }: PodSpec): string => `${workload}-${hash}-${suffix}`;

function pod(spec: PodSpec): object {
  const { workload, hash = '6f9c', node, image = 'main', labels, annotations, env = {}, args = [] } = spec;
  const owner = {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    name: `${workload}-${hash}`,
    uid: `uid-${workload}-${hash}`,
  };
  const variables = Object.entries(env).map(([name, value]) => ({ name, value }));
  return {
    kind: 'Pod',
    metadata: {
      name: podName(spec),
      namespace: 'shop',
      uid: `uid-${podName(spec)}`,
      labels: { app: workload, 'pod-template-hash': hash, ...labels },
      annotations,
      ownerReferences: [{ ...owner, controller: true }],
    },
    spec: {
      containers: [{ name: 'main', image, env: variables, args }],
      ...(node === undefined ? {} : { nodeName: node }),
    },
    status: { phase: node === undefined ? 'Pending' : 'Running' },
  };
}

const deployment = (name: string): object => ({
  kind: 'Deployment',
  metadata: { name, namespace: 'shop', uid: `uid-${name}` },
  spec: { replicas: 1 },
});
const service = (name: string): object => ({
  kind: 'Service',
  metadata: { name, namespace: 'shop', uid: `uid-service-${name}` },
  spec: { clusterIP: '10.96.0.7', selector: { app: name } },
});
const node = (name: string): object => ({
  kind: 'Node',
  metadata: { name, uid: `uid-${name}`, labels: { 'topology.kubernetes.io/zone': name } },
  status: { allocatable: { cpu: '8', memory: '16Gi', pods: '110' } },
});

const WEB = { workload: 'web', image: 'registry.example.com/shop/web:1', labels: { 'app.kubernetes.io/name': 'web' } };

/** What a pod says of itself, the node of whom it is to be near, and what is said of why. */
const RUNGS: readonly (readonly [rung: string, pod: PodSpec, node: string, because: string, peers: string])[] = [
  ['its owner', { ...WEB, suffix: 'zzzzz' }, 'beta', 'by the traffic of its workload', ''],
  ['the name of its workload', { ...WEB, hash: '77777' }, 'beta', 'by the traffic of its workload', ''],
  [
    'its annotation',
    { workload: 'noted', annotations: { 'netloom.io/peers': 'shop/db=5Mi/s' } },
    'gamma',
    'by its annotation netloom.io/peers',
    'what its annotation netloom.io/peers says',
  ],
  [
    'a workload with its image and labels',
    { ...WEB, workload: 'canary', image: 'registry.example.com/shop/web:2' },
    'beta',
    'by the traffic of a workload with its image and labels',
    'the peers of a workload with its image and labels',
  ],
  [
    'the Service that its env names',
    { workload: 'reader', env: { DB_HOST: 'db.shop.svc.cluster.local:5432' } },
    'gamma',
    'by the Services that env and args name',
    'the Services that its env and args name',
  ],
  [
    'the Service that its args name',
    { workload: 'warmer', args: ['--cache=redis://cache:6379'] },
    'delta',
    'by the Services that env and args name',
    'the Services that its env and args name',
  ],
  [
    'its annotation before its env',
    {
      workload: 'both',
      annotations: { 'netloom.io/peers': 'shop/db=5Mi/s' },
      env: { CACHE: 'cache:6379' },
    },
    'gamma',
    'by its annotation netloom.io/peers',
    'what its annotation netloom.io/peers says',
  ],
];

let dir: string;
const processes = new Processes();

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'netloom-e2e-'));
  await writeFile(join(dir, 'traffic.csv'), TRAFFIC);
});

afterAll(async () => {
  await processes.cleanup();
  await rm(dir, { recursive: true, force: true });
});

/** @param pending pods that the cluster state has beside those that stand */
async function start(file: string, pending: readonly PodSpec[]): Promise<SchedulerProcess> {
  const items = [
    ...NODES.map(node),
    ...['web', 'cart', 'db', 'cache'].flatMap((name) => [deployment(name), service(name)]),
    pod({ ...WEB, node: 'alpha' }),
    ...(
      [
        ['cart', 'beta'],
        ['db', 'gamma'],
        ['cache', 'delta'],
      ] as const
    ).map(([workload, at]) => pod({ workload, node: at, image: workload })),
    ...[...new Set(pending.map(({ workload }) => workload))].filter((name) => name !== 'web').map(deployment),
    ...pending.map(pod),
  ];
  await writeFile(join(dir, file), JSON.stringify({ kind: 'List', items }));
  const scheduler = await processes.scheduler(['--snapshot', join(dir, file), '--traffic', join(dir, 'traffic.csv')]);
  await until('placement uses the traffic', async () => {
    return (await scheduler.prioritize(pod({ ...WEB, suffix: 'first' }), NODES)).length > 0;
  });
  return scheduler;
}

async function explained(scheduler: SchedulerProcess, spec: PodSpec): Promise<string> {
  const target = `shop/${podName(spec)}`;
  await until('the answer is kept', async () => {
    const reply = await processes.run(['explain', target, '--api', scheduler.api, '-o', 'json']);
    return reply.status === 0 && (JSON.parse(reply.stdout) as { lastDecision?: object }).lastDecision !== undefined;
  });
  const { status, stdout } = await processes.run(['explain', target, '--api', scheduler.api]);
  expect(status).toBe(0);
  return stdout;
}

describe('a pod without traffic is put near its peers', () => {
  let known: SchedulerProcess;
  let unknown: SchedulerProcess;
  beforeAll(async () => {
    known = await start(
      'known.json',
      RUNGS.map(([, spec]) => spec),
    );
    unknown = await start('unknown.json', []);
  });

  it.each(RUNGS)('by %s, when it is pending in the cluster state', async (_, spec, at, because, peers) => {
    const [best] = await known.prioritize(pod(spec), NODES);
    expect(best).toMatchObject({ Host: at });
    const text = await explained(known, spec);
    expect(text).toContain(because);
    expect(text).toContain(peers);
    expect(text).toMatch(new RegExp(`${at} +[1-9]\\d* `));
  });

  it.each(RUNGS)('by %s, when kube-scheduler asks before it was seen', async (_, spec, at, because) => {
    const [best] = await unknown.prioritize(pod(spec), NODES);
    expect(best).toMatchObject({ Host: at });
    const text = await explained(unknown, spec);
    expect(text).toContain(because);
    expect(text).toMatch(new RegExp(`\n  ${at} [1-9]\\d*`));
    expect(text).not.toContain('no opinion');
  });

  it('by nothing, where it says nothing of itself', async () => {
    const silent = { workload: 'silent' };
    for (const scheduler of [known, unknown]) expect(await scheduler.prioritize(pod(silent), NODES)).toEqual([]);
    expect(await explained(unknown, silent)).toContain('no opinion (unknown-workload)');
  });
});
