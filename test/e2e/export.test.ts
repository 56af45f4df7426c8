import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { EdgesReply, StatusReply } from '../../scheduler/api/replies.ts';
import { clusterFile, pendingPod } from '../support/cluster-file.ts';
import { Processes, until, type SchedulerProcess } from '../support/netloom.ts';
import { Rig } from '../support/report-rig.ts';
import { serverPeriod } from '../support/server-period.ts';

const NODES = ['alpha', 'beta', 'gamma', 'delta'];
const pods = (nodes: readonly number[], host: number) =>
  nodes.map((n, i) => ({ suffix: `aaaa${i}`, node: NODES[n]!, address: `10.7.${n}.${host + i}` }));
const CLUSTER = clusterFile({
  namespace: 'shop',
  nodes: NODES.map((name, i) => ({ name, zone: i < 2 ? 'east' : 'west' })),
  workloads: [
    { name: 'web', pods: pods([0, 1, 1], 10), replicas: 4 },
    { name: 'api', pods: pods([2, 2], 30) },
    { name: 'store', pods: pods([3], 50) },
    { name: 'idle', pods: pods([0], 70) },
  ],
});
const WORKLOADS = ['web', 'api', 'store', 'idle'];
const HOUR_MS = 3_600_000;

let dir: string;
let processes: Processes;
let rig: Rig;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'netloom-e2e-'));
  await writeFile(join(dir, 'cluster.json'), CLUSTER);
  processes = new Processes();
  rig = new Rig();
});

afterEach(async () => {
  await rig.cleanup();
  await processes.cleanup();
  await rm(dir, { recursive: true, force: true });
});

const answers = (scheduler: SchedulerProcess) =>
  Promise.all(WORKLOADS.map((workload) => scheduler.prioritize(pendingPod('shop', workload), NODES)));

describe('netloom graph --export', () => {
  it('writes files with which another scheduler gives the same answers', async () => {
    const live = await processes.scheduler(['--snapshot', join(dir, 'cluster.json')]);
    // Hours in one report, as after an outage: measured long enough to be believed as a file is, but for 0.05 %.
    const measured = (node: string, edges: Parameters<typeof serverPeriod>[0]): void => {
      rig.agent(live.agents, node).offer(serverPeriod(edges, 20 * HOUR_MS));
    };
    const MB = 1_000_000;
    measured('gamma', [
      { server: '10.7.2.30', client: '10.7.0.10', bytesOut: 1_700 * MB, bytesIn: 91_000 * MB },
      { server: '10.7.2.31', client: '10.7.1.11', bytesOut: 2_300 * MB, bytesIn: 55_000 * MB },
      { server: '10.7.2.31', client: '203.0.113.7', bytesOut: 1_000 * MB, bytesIn: 9_000 * MB },
    ]);
    measured('delta', [{ server: '10.7.3.50', client: '10.7.2.30', bytesOut: 37_000 * MB, bytesIn: 4_100 * MB }]);
    measured('alpha', [{ server: '10.7.0.70', client: '10.7.3.50', bytesOut: 3, bytesIn: 5 }]);
    await until('all is learned', async () => (await live.get<EdgesReply>('/v1/edges')).edges.length === 4);
    await until('placement uses it', async () => (await answers(live)).slice(0, 3).every((hosts) => hosts.length > 0));

    const folder = join(dir, 'made', 'by', 'it');
    const run = await processes.run(['graph', '--export', folder, '--api', live.api]);
    const files = ['snapshot.json', 'traffic.csv'].map((name) => join(folder, name));
    expect(run).toMatchObject({ status: 0, stderr: '', stdout: files.map((file) => `wrote ${file}\n`).join('') });
    expect((await readdir(folder)).sort()).toEqual(['snapshot.json', 'traffic.csv']);

    const second = await processes.scheduler(['--snapshot', files[0]!, '--traffic', files[1]!]);
    const { cluster } = await second.get<StatusReply>('/v1/status');
    expect(cluster).toEqual((await live.get<StatusReply>('/v1/status')).cluster);
    const expected = await answers(live);
    expect(new Set(expected.slice(0, 3).map((hosts) => JSON.stringify(hosts))).size).toBe(3);
    expect(expected.flat().some(({ Score }) => Score > 10)).toBe(true);
    expect(await answers(second)).toEqual(expected);

    // And once more: what came out of a file goes into the next as it was.
    const again = join(dir, 'again');
    expect(await processes.run(['graph', '--export', again, '--api', second.api])).toMatchObject({ status: 0 });
    for (const name of ['snapshot.json', 'traffic.csv'])
      expect(await readFile(join(again, name), 'utf8')).toBe(await readFile(join(folder, name), 'utf8'));
  });

  it('leaves nothing half written, and says why, where it cannot write', async () => {
    const live = await processes.scheduler(['--snapshot', join(dir, 'cluster.json')]);
    const inTheWay = join(dir, 'cluster.json', 'sub');
    const run = await processes.run(['graph', '--export', inTheWay, '--api', live.api]);
    expect(run).toMatchObject({ status: 2, stdout: '' });
    expect(run.stderr).toContain('EXPORT_FAILED');
    expect(run.stderr).toContain(inTheWay);
  });
});
