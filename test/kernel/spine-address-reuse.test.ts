import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, it } from 'vitest';
import type { StatusReply } from '../../scheduler/api/replies.ts';
import type { Counters } from '../../scheduler/graph/counters.ts';
import { clusterFile, podName } from '../support/cluster-file.ts';
import { Processes, until } from '../support/netloom.ts';
import { Actor } from './collector-support/actor-process.ts';
import { makePair, netnsPath, sh } from './collector-support/namespaces.ts';
import { NOTHING_LOST } from './lab-spine.ts';

const INTERVAL_MS = 200;
/** Addresses that pods of other workloads have one after the other. */
const CLIENT = '10.77.0.11';
const SERVER = '10.77.0.21';
/** Pods that stay. */
const CRON = '10.77.0.1';
const STORE = '10.77.0.2';
const PORT = 9000;

const processes = new Processes();
const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  await processes.cleanup();
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

it('an address that goes from pod to pod: what it moves belongs to whose it was, and other traffic is not disturbed', async () => {
  const pair = makePair();
  cleanups.push(() => pair.remove());
  sh(`ip -n ${pair.a} addr add ${CLIENT}/24 dev eth0; ip -n ${pair.b} addr add ${SERVER}/24 dev eth0`);
  const dir = await mkdtemp(join(tmpdir(), 'netloom-e2e-'));
  cleanups.push(() => rm(dir, { recursive: true, force: true }));
  const snapshot = join(dir, 'cluster.json');
  /** The two addresses are those of a pod of `client` and of one of `server`; the pods before are gone. */
  const owned = async (client: string, server: string, suffix: string): Promise<void> => {
    const text = clusterFile({
      namespace: 'shop',
      nodes: ['alpha', 'beta'].map((name) => ({ name, zone: 'east' })),
      workloads: [
        { name: 'cron', pods: [{ suffix: 'aaaaa', node: 'alpha', address: CRON }] },
        { name: 'store', pods: [{ suffix: 'aaaaa', node: 'beta', address: STORE }] },
        { name: client, pods: [{ suffix, node: 'alpha', address: CLIENT }] },
        { name: server, pods: [{ suffix, node: 'beta', address: SERVER }] },
      ],
    });
    await writeFile(`${snapshot}.new`, text);
    await rename(`${snapshot}.new`, snapshot);
  };
  await owned('web', 'api', 'first');

  const scheduler = await processes.scheduler(['--snapshot', snapshot]);
  for (const [node, netns] of [
    ['alpha', pair.a],
    ['beta', pair.b],
  ] as const) {
    const scope = join(dir, `scope-${node}`);
    await writeFile(scope, `${netnsPath(netns)}\n`);
    const agent = processes.start(
      ['agent', '--node', node, '--scheduler', scheduler.agents, '--scope', scope, '--log-format', 'json'].concat([
        '--interval',
        `${INTERVAL_MS}ms`,
        '--uplink-netns',
        netnsPath(netns),
      ]),
    );
    await agent.says('measuring');
  }
  const client = await Actor.start(pair.a);
  cleanups.push(() => client.stop());
  const server = await Actor.start(pair.b);
  cleanups.push(() => server.stop());
  for (const host of [SERVER, STORE]) await server.do({ op: 'listen', host, port: host === SERVER ? PORT : PORT + 1 });

  const steady = await client.do<number>({ op: 'connect', host: STORE, port: PORT + 1, localHost: CRON });
  const [steadyServer] = await server.do<number[]>({ op: 'accepted', port: PORT + 1, count: 1 });
  let [cronBytes, accepted] = [0, 0];
  const truth = new Map<string, number>();
  /** Three connections with so many bytes out and twice as many in, ended as those of a pod that is deleted. */
  const talk = async (names: string, bytes: number): Promise<void> => {
    for (let i = 0; i < 3; i++) {
      const conn = await client.do<number>({ op: 'connect', host: SERVER, port: PORT, localHost: CLIENT });
      const served = (await server.do<number[]>({ op: 'accepted', port: PORT, count: ++accepted })).at(-1)!;
      await client.do({ op: 'write', conn, bytes });
      await server.do({ op: 'read', conn: served, bytes });
      await server.do({ op: 'write', conn: served, bytes: 2 * bytes });
      await client.do({ op: 'read', conn, bytes: 2 * bytes });
      await client.do({ op: 'end', conn });
      await server.do({ op: 'end', conn: served });
      truth.set(names, (truth.get(names) ?? 0) + 3 * bytes);
      await client.do({ op: 'write', conn: steady, bytes: 777 });
      cronBytes += 777;
    }
    await server.do({ op: 'read', conn: steadyServer!, bytes: cronBytes });
    truth.set('cron store', cronBytes);
  };
  const reports = async (): Promise<number[]> =>
    (await scheduler.get<StatusReply>('/v1/status')).agents.map((agent) => agent.reports);
  let counters: Counters;
  const learned = async (by = 'workload'): Promise<Map<string, number>> => {
    counters = await scheduler.get<Counters>('/v1/counters', { by });
    return new Map(
      counters.edges.map((edge) => [`${edge.client.name} ${edge.server.name}`, edge.bytesOut + edge.bytesIn]),
    );
  };
  const total = (edges: Map<string, number>): number => [...edges.values()].reduce((sum, bytes) => sum + bytes, 0);

  const owners = [
    ['web', 'api', 'first'],
    ['mobile', 'search', 'other'],
    ['web', 'search', 'third'],
    ['web', 'api', 'later'],
  ] as const;
  for (const [i, [from, to, suffix]] of owners.entries()) {
    if (i > 0) {
      await owned(from, to, suffix);
      const pod = `shop/${podName(from, suffix)}`;
      await until(`the scheduler knows ${pod}`, () =>
        scheduler.get('/v1/explain', { pod }).then(
          () => true,
          () => false,
        ),
      );
      // A report's bytes go to who had the address for most of its period: those that come now began after the change.
      const before = await reports();
      await until('all agents have reported twice', async () =>
        (await reports()).every((count, agent) => count >= before[agent]! + 2),
      );
    }
    await talk(`${from} ${to}`, 10_007 * (i + 1));
    await until('all of it is reported', async () => total(await learned()) >= total(truth));
  }
  await sleep(3 * INTERVAL_MS);

  expect(await learned()).toEqual(truth);
  expect(counters!.lost).toMatchObject(NOTHING_LOST);
  const pods = new Map([
    [`${podName('cron', 'aaaaa')} ${podName('store', 'aaaaa')}`, cronBytes],
    ...owners.map(([from, to, suffix], i): [string, number] => {
      return [`${podName(from, suffix)} ${podName(to, suffix)}`, 9 * 10_007 * (i + 1)];
    }),
  ]);
  expect(await learned('pod')).toEqual(pods);
});
