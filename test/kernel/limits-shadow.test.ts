import { existsSync } from 'node:fs';
import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { parseBandwidth } from '../../bandwidth/contract/bandwidth.ts';
import type { LimitRow } from '../../bandwidth/status/report.ts';
import { buildBpf } from '../support/bpf.ts';
import { until, type Ended } from '../support/netloom.ts';
import { LimitsRig } from './limit-support/limits-rig.ts';
import { UdpStream, sleep } from './limit-support/udp-stream.ts';

const MBIT = 1_000_000;
const LIMIT = 20 * MBIT;

let rig: LimitsRig;
beforeAll(buildBpf);
beforeEach(() => {
  rig = new LimitsRig();
});
afterEach(() => rig.remove());

const limits = (...args: string[]): Promise<Ended> =>
  rig.processes.run(['limits', '-A', '--socket', rig.socket, ...args]);

it('shadow counts what limits would have done to packets, and does nothing to them; enforcing then does', async () => {
  const pod = rig.addPod(1, { egress: '20M', ingress: '20M' });
  rig.addPod(2);
  const before = rig.tc();
  rig.publish();
  const shadow = rig.start('--shadow');
  await rig.stands('p1', 'egress', { state: 'shadow', configuredBps: LIMIT });
  await rig.stands('p2', 'ingress', { state: 'shadow', configuredBps: null });
  expect(rig.tc()).toBe(before);
  expect(rig.note().links).toBe(4);
  const out = await UdpStream.start(pod, rig.outside, 3 * LIMIT);
  const into = await UdpStream.start(rig.outside, pod, 3 * LIMIT, 6001);
  await sleep(1500);
  for (const arrivals of [await out.stop(), await into.stop()]) {
    expect(arrivals.datagrams).toBe(arrivals.sent);
    expect(arrivals.mostBps()).toBeGreaterThan(1.5 * LIMIT);
  }
  for (const direction of ['egress', 'ingress'] as const) {
    const row = await rig.counted('p1', direction);
    expect(row.delayed).toBeGreaterThan(500);
    expect(row.dropped).toBeGreaterThan(500);
    expect(row.queue.reduce((sum, { packets }) => sum + packets, 0)).toBeGreaterThan(1000);
  }
  const { stdout } = await limits();
  expect(stdout).toContain('Shadow: counted as if limits held; nothing is delayed or dropped.');
  await shadow.end();

  const agent = rig.start('--enforce');
  await rig.stands('p1', 'egress', { state: 'shaped-htb', configuredBps: LIMIT });
  // Nothing is counted of pods without limits any more.
  expect(await rig.row('p2', 'ingress')).toBeUndefined();
  expect(rig.tc()).toContain('htb 4e4c:');
  await agent.end('SIGKILL');

  const again = rig.start('--shadow');
  await rig.stands('p1', 'egress', { state: 'shadow' });
  await rig.settles();
  expect(rig.tc()).toBe(before);
  await again.end();
  rig.note();
  expect(await rig.detach()).toMatchObject({ status: 0 });
  expect(rig.tc()).toBe(before);
  expect(await rig.leftInKernel()).toEqual([]);
});

it('proposes limits from what was asked for', async () => {
  const pod = rig.addPod(1);
  rig.publish();
  const agent = rig.startChild({ purpose: 'shadow', sampleMs: 50 });
  await rig.stands('p1', 'egress', { state: 'shadow' });
  const early = await limits('--suggest');
  expect(early.stdout).toMatch(/default\/p1 +egress +- +- +\d+ s more/);
  const stream = await UdpStream.start(pod, rig.outside, 10 * MBIT);
  await until('a hundred samples were taken', async () => (await rig.row('p1', 'egress'))!.secondsSeen > 120, 60_000);
  await stream.stop();
  const { suggestedBps, demandP99Bps } = (await rig.row('p1', 'egress'))!;
  console.log(`asked for 10 Mbit/s: p99 ${demandP99Bps}, suggested ${suggestedBps}`);
  expect(demandP99Bps).toBeGreaterThan(9 * MBIT);
  expect(suggestedBps).toBeGreaterThan(demandP99Bps!);
  const { stdout } = await limits('--suggest');
  const line = stdout.split('\n').find((text) => text.includes('egress'))!;
  expect(line).toMatch(/default\/p1 +egress +- +[\d.]+ Mbit\/s +\d+(\.\d+)?[Mk] +\d+ s$/);
  // As an annotation takes it.
  const quantity = / (\d+(?:\.\d+)?[Mk]) /.exec(line)![1]!;
  const wish = parseBandwidth(quantity);
  const configuredBps = wish.kind === 'limit' ? Number(wish.bps) : 0;
  // Seconds in which nothing was asked for came since.
  expect([suggestedBps, (await rig.row('p1', 'egress'))!.suggestedBps]).toContain(configuredBps);
  rig.annotate('p1', { egress: quantity });
  rig.publish();
  await rig.stands('p1', 'egress', { configuredBps, invalid: false });
  await agent.end();
});

it('a dry run says how each limit would be held, and attaches nothing', async () => {
  rig.addPod(1, { egress: '20M', ingress: 'lots' });
  rig.addPod(2, { ingress: '20M' });
  rig.tell({ name: 'host', ips: ['192.0.2.2'], hostNetwork: true, egress: '20M' });
  rig.node.run('tc qdisc add dev pod2 root handle 8001: tbf rate 1gbit burst 200k latency 25ms');
  const before = rig.tc();
  rig.publish();
  const agent = rig.start('--dry-run');
  await rig.stands('p1', 'egress', { state: 'dry-run', reason: 'would be shaped-htb', configuredBps: LIMIT });
  await rig.stands('p1', 'ingress', { state: 'unsupported', configuredBps: null });
  const tbf = 'tbf 8001: at root (as the CNI bandwidth plugin and Calico set it) on pod2 is in charge';
  await rig.stands('p2', 'ingress', { state: 'unsupported', reason: tbf });
  await rig.stands('host', 'egress', { state: 'unsupported' });
  expect(rig.tc()).toBe(before);
  expect(existsSync(rig.limitPins)).toBe(false);
  const rows = JSON.parse((await limits('-o', 'json')).stdout) as LimitRow[];
  expect(rows).toHaveLength(4);
  expect((await limits()).stdout).toContain('Dry run: this agent attaches nothing.');
  await agent.end();
  expect(rig.tc()).toBe(before);
});

it('a dry run does not use slots up: more pods than there are slots come and go', async () => {
  const pod = rig.addPod(1, { egress: '20M', ingress: '20M' });
  rig.publish();
  const agent = rig.startChild({ purpose: 'dry-run', slots: 4 });
  for (let egress = 20; egress < 26; egress++) {
    rig.tell({ name: 'p1', uid: `uid-${egress}`, ips: [pod.address], egress: `${egress}M`, ingress: '20M' });
    rig.publish();
    await rig.stands('p1', 'egress', { state: 'dry-run', configuredBps: egress * MBIT });
    await rig.stands('p1', 'ingress', { state: 'dry-run' });
  }
  await agent.end();
});

it('the table fits into 80 columns and says why; JSON has the fields that were promised', async () => {
  rig.addPod(1, { egress: '20M', ingress: '63k' });
  rig.addPod(2, { egress: 'lots' });
  rig.publish();
  const agent = rig.startChild();
  await rig.stands('p1', 'egress', { state: 'shaped-htb' });
  const { stdout } = await limits();
  console.log(stdout);
  for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
  expect(stdout).toContain('default/p1 ingress: below 64k');
  const rows = JSON.parse((await limits('-o', 'json')).stdout) as LimitRow[];
  expect(rows.map(({ pod, direction, state }) => [pod, direction, state])).toEqual([
    ['p1', 'egress', 'shaped-htb'],
    ['p1', 'ingress', 'unsupported'],
    ['p2', 'egress', 'unsupported'],
  ]);
  const promised = ['namespace', 'pod', 'direction', 'configuredBps', 'measuredBps', 'state', 'reason'];
  for (const row of rows) {
    expect(Object.keys(row)).toEqual(
      expect.arrayContaining([...promised, 'throttledShare', 'delayed', 'marked', 'dropped']),
    );
  }
  expect((await rig.processes.run(['limits', '--socket', rig.socket, '-n', 'other'])).stdout).toContain(
    'no pod of n1 has a limit in namespace other; -A shows all namespaces',
  );
  await agent.end();
  const dead = await limits();
  expect(dead.status).not.toBe(0);
  expect(dead.stderr).toContain('AGENT_UNREACHABLE');
});
