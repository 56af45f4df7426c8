import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { parse } from 'yaml';
import { displayWidth } from '../../lib/output/index.ts';
import { NO_LOSSES } from '../../proto/report.ts';
import type { StatusReply } from '../../scheduler/api/replies.ts';
import { clusterFile, pendingPod, podName } from '../support/cluster-file.ts';
import { BIN, Processes, until, type SchedulerProcess } from '../support/netloom.ts';
import { Rig } from '../support/report-rig.ts';
import { serverPeriod } from '../support/server-period.ts';

/** Names as long as clusters have them; a pod's may be 63 characters and more. */
const NAMESPACE = 'production-eu-central-1-team-checkout';
const NODES = [1, 2, 3].map((n) => `ip-10-123-45-6${n}.eu-central-1.compute.internal`);
const FRONT = 'frontend-with-server-side-rendering-canary';
const BACK = 'recommendation-and-personalization-service-v2';
const CACHE = 'redis-cluster-for-personalization-sessions';
const CLUSTER = clusterFile({
  namespace: NAMESPACE,
  nodes: NODES.map((name, i) => ({ name, zone: `eu-central-1${'abc'[i]}` })),
  workloads: [
    { name: FRONT, pods: [{ suffix: 'x2x4z', node: NODES[0]!, address: '10.7.0.10' }], replicas: 12 },
    { name: BACK, pods: [{ suffix: 'q8f7k', node: NODES[1]!, address: '10.7.1.10' }] },
    { name: CACHE, pods: [{ suffix: 'm5n2p', node: NODES[2]!, address: '10.7.2.10' }] },
  ],
});

let dir: string;
const processes = new Processes();
const rig = new Rig();
let scheduler: SchedulerProcess;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'netloom-e2e-'));
  await writeFile(join(dir, 'cluster.json'), CLUSTER);
  scheduler = await processes.scheduler(['--snapshot', join(dir, 'cluster.json')]);
  const uplinks = ['bond0.1234', 'wireguard-mesh0'].map((name) => {
    return { name, txBytes: 24_654_321_000, rxBytes: 12_345_678_900, speedBps: 25e9, speedSource: 'device' as const };
  });
  const cost = { bpfRuns: 12_345, bpfRunNs: 9_876_543, cpuUs: 45_678, rssBytes: 87_654_321 };
  const report = (
    node: string,
    server: string,
    clients: readonly string[],
    bytes: number,
    losses = NO_LOSSES,
  ): void => {
    const edges = clients.map((client, i) => ({ server, client, bytesOut: bytes * (i + 1), bytesIn: bytes * 7 }));
    rig.agent(scheduler.agents, node).offer({ ...serverPeriod(edges, 10_000), uplinks, losses, cost });
  };
  report(NODES[1]!, '10.7.1.10', ['10.7.0.10', '10.7.9.9', '203.0.113.7', '2001:db8:1234:5678::9'], 123_456_789);
  report(NODES[2]!, '10.7.2.10', ['10.7.1.10', '10.7.0.10'], 345_678_901);
  report(NODES[0]!, '10.7.0.10', [], 0, lossesOf(123_456));
  await until('all reported', async () => {
    const { agents, graph } = await scheduler.get<StatusReply>('/v1/status');
    return agents.filter(({ reports }) => reports > 0).length === 3 && graph.workloadEdges === 6;
  });
  await until('placement uses it', async () => {
    return (await scheduler.prioritize(pendingPod(NAMESPACE, FRONT, 'x2x4z'), NODES)).length > 0;
  });
  // A pod that was asked about is explained with its answer.
  await until('the answer is kept', async () => {
    const reply = await scheduler.get<{ lastDecision?: object }>('/v1/explain', { pod: `${NAMESPACE}/${FRONT_POD}` });
    return reply.lastDecision !== undefined;
  });
});

afterAll(async () => {
  await rig.cleanup();
  await processes.cleanup();
  await rm(dir, { recursive: true, force: true });
});

function lossesOf(count: number) {
  return {
    mapFullConnections: count,
    mapFullBytes: 80_000 * count,
    storageFailed: count,
    readFailed: count,
    droppedEdges: count,
    droppedBytes: 80_000 * count,
  };
}

const FRONT_POD = podName(FRONT, 'x2x4z');
const COMMANDS: readonly (readonly [string, readonly string[], readonly string[]])[] = [
  ['graph', [], ['CLIENT', 'OUT', 'IN', 'SURE']],
  ['graph', ['--by', 'pod'], ['CLIENT', 'OUT', 'IN', 'SURE']],
  ['graph', ['--counters'], ['CLIENT', 'OUT', 'IN', 'CONN']],
  ['graph', ['--counters', '--by', 'pod'], ['CLIENT', 'OUT', 'IN', 'CONN']],
  ['top', [], ['SENT', 'RECEIVED', 'PEERS', 'AGENT', 'TX', 'OF LINK', 'CPU']],
  ['top', ['--by', 'pod'], ['SENT', 'RECEIVED', 'PEERS', 'AGENT']],
  ['explain', [`${NAMESPACE}/deployment/${FRONT}`], ['TALKS TO', 'SHARE', 'NODE', 'SCORE', 'IN ZONE']],
  ['explain', [`${NAMESPACE}/${FRONT_POD}`], ['TALKS TO', 'SHARE', 'NODE', 'SCORE', 'IN ZONE', 'Answered']],
];

const ask = async (command: string, args: readonly string[], output: string): Promise<string> => {
  const run = await processes.run([command, ...args, '--api', scheduler.api, '-o', output]);
  expect(run).toMatchObject({ status: 0, stderr: '' });
  return run.stdout;
};

/** On a terminal of its own, 80 columns wide; without what colours it. */
async function onTerminal(command: string, args: readonly string[], output: string): Promise<string> {
  const words = [BIN, command, ...args, '--api', scheduler.api, '-o', output].map((word) => `'${word}'`);
  const shell = `stty cols 80 rows 24 && exec ${words.join(' ')}`;
  const env = { ...process.env, TERM: 'xterm-256color', NO_COLOR: '' };
  const run = await processes.program('script', ['-qefc', shell, '/dev/null'], { env });
  expect(run.status).toBe(0);
  return run.stdout.replaceAll(/\x1b\[[0-9;]*m/g, '').replaceAll('\r\n', '\n');
}

/** From the line of headers to the end of the paragraph; sentences and headings may be longer, the terminal wraps them. */
function tablesOf(text: string): string[] {
  return text.split('\n\n').flatMap((paragraph) => {
    const lines = paragraph.split('\n');
    const head = lines.findIndex((line) => /\S {2,}[A-Z][A-Z ]*$/.test(line));
    return head < 0 ? [] : lines.slice(head);
  });
}

it('what stands below the table of netloom graph stands in its json, too', async () => {
  const { kubeScheduler, problems } = JSON.parse(await ask('graph', [], 'json')) as Partial<
    StatusReply['cluster'] & StatusReply
  >;
  expect(kubeScheduler!.calls).toBeGreaterThan(0);
  expect(problems).toEqual([]);
});

it('netloom explain takes a kind before the name, as kubectl does', async () => {
  const explained = async (...target: string[]) =>
    (JSON.parse(await ask('explain', target, 'json')) as { workload: string }).workload;
  for (const kind of ['deployment', 'deploy', 'Deployment']) {
    expect(await explained(kind, `${NAMESPACE}/${BACK}`)).toBe(`${NAMESPACE}/Deployment/${BACK}`);
  }
  expect(await explained('pod', `${NAMESPACE}/${FRONT_POD}`)).toBe(`${NAMESPACE}/Deployment/${FRONT}`);
});

describe.each(COMMANDS)('netloom %s %j', (command, args, headers) => {
  it('says the same as json and as yaml', async () => {
    // The scheduler lives on between the two questions: its figures may move.
    await vi.waitFor(
      async () => {
        const [json, yaml] = [await ask(command, args, 'json'), await ask(command, args, 'yaml')];
        const [fromJson, fromYaml] = [JSON.parse(json) as object, parse(yaml) as object];
        expect(Object.keys(fromJson).length).toBeGreaterThan(1);
        expect(withoutAges(fromYaml)).toEqual(withoutAges(fromJson));
      },
      { timeout: 15_000 },
    );
  });

  it('shows whole names in a pipe, as table and wide', async () => {
    const [table, wide] = [await ask(command, args, 'table'), await ask(command, args, 'wide')];
    for (const header of headers) {
      expect(table).toContain(header);
      expect(wide).toContain(header);
    }
    for (const text of [table, wide]) {
      expect(text).toContain(BACK);
      expect(text).not.toContain('…');
      expect(text).not.toContain('\x1b');
    }
    const widest = (text: string): number => Math.max(...text.split('\n').map((line) => displayWidth(line)));
    expect(widest(wide)).toBeGreaterThanOrEqual(widest(table));
  });

  it('keeps within the 80 columns of a terminal', async () => {
    const shown = await onTerminal(command, args, 'table');
    for (const header of headers) expect(shown).toContain(header);
    const lines = tablesOf(shown);
    expect(lines.length).toBeGreaterThan(2);
    expect(lines.filter((line) => displayWidth(line) > 80)).toEqual([]);
    // What is cut is cut in the middle: both ends of a name tell it from others.
    expect(lines.join('\n')).toMatch(/\w…\w/);
  });
});

/** What the clock changes between two questions. */
function withoutAges(reply: object): unknown {
  return JSON.parse(
    JSON.stringify(reply, (key, value: unknown) => {
      return ['confidence', 'reasons', 'lossShare', 'builtAtMs'].includes(key) ? undefined : value;
    }),
  );
}
