import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, open, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { StatusReply } from '../../scheduler/api/replies.ts';
import { TRAFFIC_HEADER } from '../../scheduler/cluster/traffic.ts';
import { clusterFile, pendingPod } from '../support/cluster-file.ts';
import { Processes, until, type SchedulerProcess } from '../support/netloom.ts';

const NODES = ['alpha', 'beta', 'gamma'];
/** `db` runs on the node that is named. */
const cluster = (dbOn: string): string =>
  clusterFile({
    namespace: 'shop',
    nodes: NODES.map((name) => ({ name, zone: name })),
    workloads: [
      { name: 'web', replicas: 2, pods: [{ suffix: 'aaaaa', node: 'alpha', address: '10.1.0.1' }] },
      { name: 'db', pods: [{ suffix: 'aaaaa', node: dbOn, address: '10.1.0.2' }] },
      { name: 'cache', pods: [{ suffix: 'aaaaa', node: 'gamma', address: '10.1.0.3' }] },
    ],
  });
const traffic = (peer: string): string => `${TRAFFIC_HEADER}\nshop,Deployment,web,shop,Deployment,${peer},1e6,1e6\n`;

const processes = new Processes();
let dir: string;
let snapshot: string;
let rows: string;
let scheduler: SchedulerProcess;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'netloom-bad-files-'));
  snapshot = join(dir, 'snapshot.json');
  rows = join(dir, 'traffic.csv');
  await writeFile(snapshot, cluster('beta'));
  await writeFile(rows, traffic('db'));
  scheduler = await processes.scheduler(['--snapshot', snapshot, '--traffic', rows]);
});
afterAll(async () => {
  await processes.cleanup();
  await rm(dir, { recursive: true, force: true });
});

async function replace(path: string, content: string | Uint8Array): Promise<void> {
  await writeFile(`${path}.next`, content);
  await rename(`${path}.next`, path);
}

const bestNode = async (): Promise<string | undefined> =>
  (await scheduler.prioritize(pendingPod('shop', 'web'), NODES))[0]?.Host;
const goesTo = (node: string) => until(`pods go to ${node}`, async () => (await bestNode()) === node);

/** What is told of a file that cannot be read: monitoring, status, and the log all know; answers and readiness go on. */
async function toldOf(source: 'cluster' | 'traffic', ...parts: readonly RegExp[]): Promise<void> {
  const samples = async () =>
    (await scheduler.get<StatusReply>('/v1/status')).cluster.problems.map(({ sample }) => sample).join('\n');
  await until(`status tells ${parts.join(', ')}`, async () => {
    const text = await samples();
    return parts.every((part) => part.test(text));
  });
  expect(await scheduler.metric(`netloom_source_faults{source="${source}"}`)).toBe(1);
  const warned = scheduler.process.log().filter(({ level }) => level === 'warn');
  for (const part of parts) expect(String(warned.at(-1)!['problem'])).toMatch(part);
  const ready = await fetch(`http://127.0.0.1:${scheduler.ports.extender}/readyz`);
  expect(ready.status).toBe(200);
}
const healed = (source: 'cluster' | 'traffic') =>
  until(`${source} is read`, async () => (await scheduler.metric(`netloom_source_faults{source="${source}"}`)) === 0);

describe('a scheduler whose snapshot goes bad keeps the last good state, says why, and takes the next good one:', () => {
  it.each<[string, string | Uint8Array, ...RegExp[]]>([
    [
      'truncated',
      cluster('alpha').slice(0, -40),
      /ends in the middle.*snapshot\.json:1:\d+ \(byte \d+\)/,
      /write it anew/,
    ],
    ['YAML', 'kind: List\nitems: []\n', /snapshot\.json:1:1 .*YAML/, /-o json/],
    ['UTF-16', Buffer.from(`\ufeff${cluster('alpha')}`, 'utf16le'), /UTF-16/, /Out-File -Encoding utf8/],
    ['an empty List', '{"kind":"List","items":[]}', /snapshot\.json.*an empty list/, /kubectl get nodes/],
    ['half a gzip', gzipSync(cluster('alpha')).subarray(0, 300), /snapshot\.json.*gzip/, /Compress the file anew/],
  ])('%s', async (_, bad, ...parts) => {
    await replace(snapshot, cluster('beta'));
    await goesTo('beta');
    await replace(snapshot, bad);
    await toldOf('cluster', ...parts);
    expect(await bestNode()).toBe('beta');
    await replace(snapshot, cluster('gamma'));
    await goesTo('gamma');
    await healed('cluster');
  });

  it('of a kind that can be read but not be used: that is shown', async () => {
    await replace(snapshot, JSON.stringify(pendingPod('shop', 'web')));
    const problems = async () => (await scheduler.get<StatusReply>('/v1/status')).cluster.problems;
    await until('the lack of nodes is shown', async () => JSON.stringify(await problems()).includes('holds no nodes'));
    expect(JSON.stringify(await problems())).toContain('kubectl get nodes,pods');
    await replace(snapshot, cluster('beta'));
    await goesTo('beta');
    await until('nothing is shown', async () => (await problems()).length === 0);
  });

  it('deleted and coming back, a directory, a pipe', async () => {
    await replace(snapshot, cluster('beta'));
    await goesTo('beta');
    await rm(snapshot);
    await toldOf('cluster', /snapshot\.json.*no such file/, /Check the path/);
    await mkdir(snapshot);
    await toldOf('cluster', /snapshot\.json.*a directory/);
    await rm(snapshot, { recursive: true });
    execFileSync('mkfifo', [snapshot]);
    await toldOf('cluster', /snapshot\.json.*a named pipe/, /into a file/);
    expect(await bestNode()).toBe('beta');
    await rm(snapshot);
    // The very same content again is good news too.
    await writeFile(snapshot, cluster('beta'));
    await healed('cluster');
    await replace(snapshot, cluster('gamma'));
    await goesTo('gamma');
  });

  it('written to slowly in its place: half of it is never taken', async () => {
    await replace(snapshot, cluster('beta'));
    await goesTo('beta');
    const text = JSON.stringify(JSON.parse(cluster('gamma')), null, 4);
    const file = await open(snapshot, 'w');
    await file.write(text.slice(0, 2_000));
    // Longer than it has to stand still for: now it is read, and refused.
    await toldOf('cluster', /ends in the middle.*snapshot\.json/, /still writing/);
    expect(await bestNode()).toBe('beta');
    await file.write(text.slice(2_000));
    await file.close();
    await goesTo('gamma');
    await healed('cluster');
  });
});

describe('a scheduler whose traffic file goes bad does the same:', () => {
  it.each<[string, string | Uint8Array, ...RegExp[]]>([
    [
      'a bad number',
      `${traffic('cache')}shop,Deployment,web,shop,Deployment,db,NaN,1\n`,
      /traffic\.csv:3.*"NaN"/,
      /Correct/,
    ],
    ['without header', traffic('cache').slice(TRAFFIC_HEADER.length + 1), /traffic\.csv:1.*column 1/, /Begin the file/],
    ['UTF-16', Buffer.from(`\ufeff${traffic('cache')}`, 'utf16le'), /traffic\.csv.*UTF-16/, /Out-File/],
  ])('%s', async (_, bad, ...parts) => {
    await replace(snapshot, cluster('beta'));
    await replace(rows, traffic('db'));
    await goesTo('beta');
    await replace(rows, bad);
    await toldOf('traffic', ...parts);
    expect(await bestNode()).toBe('beta');
    await replace(rows, traffic('cache'));
    await goesTo('gamma');
    await healed('traffic');
  });

  it('deleted and coming back', async () => {
    await replace(rows, traffic('cache'));
    await goesTo('gamma');
    await rm(rows);
    await toldOf('traffic', /traffic\.csv.*no such file/);
    expect(await bestNode()).toBe('gamma');
    await writeFile(rows, traffic('db'));
    await goesTo('beta');
    await healed('traffic');
  });
});

describe('a scheduler that is started with such a file', () => {
  it('ends at once, and tells the same', async () => {
    const pipe = join(dir, 'pipe');
    execFileSync('mkfifo', [pipe]);
    const good = join(dir, 'good.json');
    await writeFile(good, cluster('beta'));
    const anywhere = ['--listen', '127.0.0.1:0', '--listen-agents', '127.0.0.1:0', '--listen-api', '127.0.0.1:0'];
    for (const [args, text] of [
      [['--snapshot', pipe], /SNAPSHOT_UNREADABLE[^]*pipe[^]*a named pipe[^]*into a file/],
      [['--snapshot', join(dir, 'none')], /SNAPSHOT_UNREADABLE[^]*none[^]*no such file/],
      [['--snapshot', good, '--traffic', pipe], /TRAFFIC_UNREADABLE[^]*pipe[^]*a named pipe/],
      [['--snapshot', good, '--traffic', good], /TRAFFIC_HEADER[^]*good\.json[^]*Begin the file with/],
    ] as const) {
      const { status, stderr } = await processes.run(['scheduler', ...anywhere, ...args]);
      expect(status).toBe(1);
      expect(stderr).toMatch(text);
    }
  });
});
