import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { limitBusiestPod } from '../../demo/limited-pod.ts';
import { startNetloom } from '../../demo/netloom-process.ts';
import { annotatePod, labDown, labEnv, labUp, limitsDir, nodeExec, snapshotFile, type Lab } from '../../lab/index.ts';
import { until } from '../support/netloom.ts';
import { askLimits } from '../../cli/limits-client.ts';
import { labName, labRoot, smallScenario, sweep, traces } from './lab-support.ts';

const root = labRoot();
const names: string[] = [];
afterAll(async () => {
  await sweep(names, root);
});

const mounts = (lab: Lab): string[] =>
  readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(lab.dir));

async function busyLab(): Promise<Lab> {
  const name = labName();
  names.push(name);
  // One client, which receives 40 Mbit/s over the bridge of its node: from next door and from the other node.
  const edge = { mode: 'keep-alive', requestsPerSecond: 100, requestBytes: 200, responseBytes: 50_000, connections: 8 };
  return labUp({ name, root, scenario: smallScenario(edge) });
}

it('the pod that receives most is held to half of it, and nothing is left of that', async () => {
  const lab = await busyLab();
  const tc = async (): Promise<string> => {
    const child = nodeExec(lab, 'node-0', ['tc', 'qdisc', 'show'], { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    for await (const chunk of child.stdout!) text += String(chunk);
    return text;
  };
  const before = await tc();
  const limited = await limitBusiestPod(lab, (what) => expect.fail(what));
  const { limitBps, beforeBps, heldBps, afterBps, report } = limited;
  console.log(
    limited.pod,
    limited.limit,
    [beforeBps, heldBps, afterBps].map((bps) => (bps / 1e6).toFixed(2)).join(', '),
  );
  expect(limited.pod).toMatch(/^client-/);
  expect(limitBps).toBeLessThanOrEqual(beforeBps / 2);
  expect(heldBps).toBeLessThan(limitBps);
  expect(heldBps).toBeGreaterThan(0.8 * limitBps);
  expect(afterBps).toBeGreaterThan(1.2 * limitBps);
  expect(report.rows).toMatchObject([{ pod: limited.pod, direction: 'ingress', configuredBps: limitBps }]);
  expect(await tc()).toBe(before);
  expect(mounts(lab)).toEqual([]);
  await labDown({ name: lab.state.name, root });
  expect(traces(lab.state.name, root)).toEqual([]);
});

it('a lab goes down with limits in force and their agent killed', async () => {
  const lab = await busyLab();
  const pod = lab.state.pods.find(({ workload }) => workload === 'client')!;
  await annotatePod(lab, pod.name, { egress: '5M', ingress: '5M' });
  const state = limitsDir(lab, 'node-0');
  const agent = await startNetloom(
    ['agent', '--node', 'node-0', '--enforce', '--snapshot', snapshotFile(lab), '--state', state],
    labEnv(lab),
    () => undefined,
    true,
    lab.state.nodes[0]!.netns,
  );
  const socket = join(state, 'limits.sock');
  await until('both directions are held', async () => {
    const rows = existsSync(socket) ? (await askLimits(socket)).rows : [];
    return rows.length === 2 && rows.every((row) => row.state === 'shaped-htb');
  });
  process.kill(agent.pid, 'SIGKILL');
  expect(mounts(lab)).toHaveLength(1);
  await labDown({ name: lab.state.name, root });
  expect(mounts(lab)).toEqual([]);
  expect(traces(lab.state.name, root)).toEqual([]);
});
