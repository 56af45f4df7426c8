import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { askLimits } from '../../cli/limits-client.ts';
import { bpfObjectPath, loadBpf, type BpfObject } from '../../lib/bpf/index.ts';
import { buildBpf, temporaryDir } from '../support/bpf.ts';
import { BIN, until } from '../support/netloom.ts';
import { anotherObject } from './limit-support/another-object.ts';
import { LimitsRig, type Direction } from './limit-support/limits-rig.ts';
import { listen, TRAFFIC } from './limit-support/listener.ts';
import type { Pod } from './limit-support/pods.ts';
import { UdpStream, sleep } from './limit-support/udp-stream.ts';

const MBIT = 1_000_000;
const LIMIT = 20 * MBIT;
const OVER = 1.03;
const KINDS = ['tcx', 'clsact'] as const;

let rig: LimitsRig;
beforeAll(buildBpf);
beforeEach(() => {
  rig = new LimitsRig();
});
afterEach(() => rig.remove());

const heldTo20M = { state: 'shaped-htb', configuredBps: LIMIT } as const;

function filters(device: string, direction: 'ingress' | 'egress'): string[] {
  const text = rig.node.run(`tc filter show dev ${device} ${direction}`);
  return [...text.matchAll(/filter protocol all pref (\d+) bpf chain 0 handle (\S+) (\S+):\[/g)].map(
    ([, pref, handle, name]) => `${pref} ${handle} ${name}`,
  );
}

/** Packets that came out of a pod. */
const received = (device: string): number => Number(rig.node.run(`cat /sys/class/net/${device}/statistics/rx_packets`));

async function detachLeaves(expected: string): Promise<void> {
  rig.note();
  expect(await rig.detach()).toMatchObject({ status: 0, stderr: '' });
  expect(rig.tc()).toBe(expected);
  expect(await rig.leftInKernel()).toEqual([]);
}

describe('where the kernel has no tcx', () => {
  it('limits are filters, which outlive the agent, are taken over and upgraded without a gap, and leave no trace', async () => {
    const sender = rig.addPod(1, { egress: '20M', ingress: '20M' });
    rig.addPod(2);
    const before = rig.tc();
    rig.publish();
    const first = rig.startChild({ hooks: 'clsact' });
    await rig.stands('p1', 'egress', heldTo20M);
    await rig.stands('p1', 'ingress', heldTo20M);
    expect(rig.links()).toEqual([]);
    expect(filters('pod1', 'ingress')).toEqual(['1 0x4e4c from_pod']);
    expect(filters('pod1', 'egress')).toEqual(['1 0x4e4c to_pod']);
    expect(filters('pod2', 'ingress')).toEqual(['1 0x4e4c from_pod']);
    expect(filters('eth0', 'egress')).toEqual(['1 0x4e4c leave']);
    expect(filters('eth0', 'ingress')).toEqual([]);
    rig.note();

    // Up to one moment: the kernel's own solicitations may come at any.
    const counts = async (): Promise<bigint> => {
      for (;;) {
        const { offeredPackets } = await rig.stat('p1', 'egress');
        const packets = received('pod1');
        if ((await rig.stat('p1', 'egress')).offeredPackets === offeredPackets) return BigInt(packets) - offeredPackets;
      }
    };
    const uncounted = await counts();
    const out = await UdpStream.start(sender, rig.outside, 3 * LIMIT);
    const into = await UdpStream.start(rig.outside, sender, 3 * LIMIT, 6001);
    await sleep(1200);
    await first.end('SIGKILL');
    await sleep(500);
    const dir = temporaryDir();
    const second = rig.startChild({ hooks: 'clsact', bpfObject: anotherObject(dir.path) });
    await rig.stands('p1', 'egress', heldTo20M);
    await sleep(500);
    expect(await second.end()).toEqual({ status: 0, signal: null });
    await sleep(700);
    for (const arrivals of [await out.stop(), await into.stop()]) {
      console.log(`most in a second ${(arrivals.mostBps() / LIMIT).toFixed(3)} of the limit`);
      expect(arrivals.mostBps()).toBeLessThan(OVER * LIMIT);
      expect(arrivals.mostBps()).toBeGreaterThan(0.9 * LIMIT);
    }
    dir.remove();
    // Each packet that came out of the pod met one of the two programs.
    expect(received('pod1')).toBeGreaterThan(10_000);
    expect(await counts()).toBe(uncounted);
    expect(filters('pod1', 'ingress')).toEqual(['1 0x4e4c from_pod']);
    await detachLeaves(before);
  });

  it('a clsact qdisc of somebody else stays, and so does ours while somebody has a filter there', async () => {
    const policy = `bpf da obj ${bpfObjectPath('limit-policy')} sec tc`;
    rig.addPod(1, { egress: '20M' });
    rig.addPod(2, { egress: '20M' });
    rig.addPod(3, { egress: '20M' });
    rig.node.run('tc qdisc add dev pod1 clsact');
    const empty = rig.tc();
    rig.node.run(`tc qdisc add dev pod3 clsact; tc filter add dev pod3 ingress pref 7 handle 1 protocol all ${policy}`);
    const before = rig.tc();
    rig.publish();
    const first = rig.startChild({ hooks: 'clsact' });
    for (const pod of ['p1', 'p2', 'p3']) await rig.stands(pod, 'egress', heldTo20M);
    rig.node.run(`tc filter add dev pod2 ingress pref 50 handle 1 protocol all ${policy}`);
    await first.end('SIGKILL');
    const second = rig.startChild({ hooks: 'clsact' });
    for (const pod of ['p1', 'p2', 'p3']) await rig.stands(pod, 'egress', heldTo20M);

    // Without limits: nothing of ours but the qdisc in which somebody has a filter; it goes when that goes.
    for (const pod of ['p1', 'p2', 'p3']) rig.annotate(pod, {});
    rig.publish();
    await until('the filters are gone', () => !rig.tc().includes('from_pod'));
    await rig.settles();
    expect(filters('pod2', 'ingress')).toEqual(['50 0x1 limit-policy.bpf.o']);
    const withoutOurs = rig.tc();
    expect(withoutOurs.match(/qdisc clsact .* pod\d/g)).toHaveLength(3);
    rig.node.run('tc filter del dev pod2 ingress pref 50');
    await until('our qdisc is gone', () => rig.tc() === before);

    rig.node.run('tc filter del dev pod3 ingress pref 7; tc qdisc del dev pod3 clsact');
    for (const pod of ['p1', 'p2', 'p3']) rig.annotate(pod, { egress: '20M' });
    rig.publish();
    for (const pod of ['p1', 'p2', 'p3']) await rig.stands(pod, 'egress', heldTo20M);
    await second.end();
    await detachLeaves(empty);
  });

  it('limits of other folders are named and refused, a dry run tells of them, and they are taken away as it is said', async () => {
    const pod = rig.addPod(1, { egress: '20M', ingress: '20M' });
    const before = rig.tc();
    rig.publish();
    const first = rig.startChild({ hooks: 'clsact' });
    await rig.stands('p1', 'egress', heldTo20M);
    await first.end('SIGKILL');
    rig.note();
    const held = rig.tc();

    const agent = (...args: string[]) =>
      rig.processes.program('nsenter', [`--net=/run/netns/${rig.node.name}`, BIN, 'agent', ...args]);
    const other = join(rig.bpffs, 'other');
    const own = ['--pins', other, '--state', rig.state];
    const refusedToo = rig.startChild({ hooks: 'clsact', pins: join(other, 'limits') });
    await until('it is refused', () => !refusedToo.running);
    expect(refusedToo.stderr).toContain('AGENT_LIMITS_ELSEWHERE');
    for (const purpose of ['--enforce', '--shadow']) {
      const refused = await agent('--node', 'n1', purpose, '--snapshot', rig.snapshot, ...own);
      expect(refused.status).toBe(1);
      expect(refused.stderr).toContain('AGENT_LIMITS_ELSEWHERE');
      expect(refused.stderr).toContain(`2 interfaces with limits pinned in ${rig.pins}`);
      expect(refused.stderr).toContain(`netloom agent --detach --pins ${rig.pins}`);
    }
    const detached = await agent('--detach', ...own);
    expect(detached.status).toBe(1);
    expect(detached.stdout).toContain(`netloom agent --detach --pins ${rig.pins}`);
    expect(rig.tc()).toBe(held);
    expect(existsSync(other)).toBe(false);

    for (const [pins, told] of [
      [join(other, 'limits'), `limits of another agent are in force at eth0, pod1, pinned in ${rig.pins}. Take`],
      [rig.limitPins, `limits of an earlier agent are in force at 2 interfaces, pinned in ${rig.limitPins}`],
    ] as const) {
      const dry = rig.startChild({ purpose: 'dry-run', pins });
      const reason = 'would be shaped-htb; limits of another agent are in force there';
      await rig.stands('p1', 'egress', { state: 'dry-run', reason });
      expect((await askLimits(rig.socket)).warnings).toEqual([expect.stringContaining(told)]);
      await dry.end();
    }
    // They hold all the while.
    const stream = await UdpStream.start(pod, rig.outside, 3 * LIMIT);
    await sleep(1300);
    expect((await stream.stop()).mostBps()).toBeLessThan(OVER * LIMIT);
    await detachLeaves(before);
  });

  it('a device whose qdisc for filters is only one of ingress is held on that side, and the other side is told', async () => {
    rig.addPod(1, { egress: '20M', ingress: '20M' });
    rig.node.run('tc qdisc add dev pod1 ingress');
    rig.publish();
    const agent = rig.startChild({ hooks: 'clsact' });
    await rig.stands('p1', 'egress', heldTo20M);
    const { reason } = await rig.stands('p1', 'ingress', { state: 'unsupported' });
    expect(reason).toContain('cannot be attached');
    rig.node.run('tc qdisc del dev pod1 ingress');
    await rig.stands('p1', 'ingress', heldTo20M);
    await agent.end();
  });
});

it('the one kind of hook takes over from the other: no packet is judged twice for long, and nothing is left', async () => {
  const sender = rig.addPod(1, { egress: '20M', ingress: '20M' });
  const before = rig.tc();
  rig.publish();
  let agent = rig.startChild({ hooks: 'tcx' });
  await rig.stands('p1', 'egress', heldTo20M);
  rig.note();
  const stream = await UdpStream.start(sender, rig.outside, 3 * LIMIT);
  /** Programs that a packet met, at least and at most: counters of programs are read before and after those of the device. */
  const perPacket: [least: number, most: number][] = [];
  const offered = async (): Promise<number> => Number((await rig.stat('p1', 'egress')).offeredPackets);
  for (const hooks of ['clsact', 'tcx', 'clsact'] as const) {
    await agent.end('SIGKILL');
    agent = rig.startChild({ hooks });
    await rig.stands('p1', 'egress', heldTo20M);
    await rig.settles();
    expect(rig.links()).toHaveLength(hooks === 'tcx' ? 3 : 0);
    expect(filters('pod1', 'ingress')).toHaveLength(hooks === 'tcx' ? 0 : 1);
    if (hooks === 'tcx') expect(rig.tc()).not.toContain('clsact');
    rig.note();
    const from = [await offered(), received('pod1'), await offered()] as const;
    await sleep(1200);
    const to = [await offered(), received('pod1'), await offered()] as const;
    const packets = to[1] - from[1];
    perPacket.push([(to[0] - from[2]) / packets, (to[2] - from[0]) / packets]);
  }
  expect((await stream.stop()).mostBps()).toBeLessThan(OVER * LIMIT);
  // Counted twice it would be 2.
  for (const [least, most] of perPacket) {
    expect(least).toBeLessThan(1.2);
    expect(most).toBeGreaterThan(0.8);
  }
  await agent.end();
  await detachLeaves(before);
});

describe.each(KINDS)('programs of others at the same interface (%s)', (kind) => {
  let sender: Pod;
  let policy: BpfObject;
  const closers: (() => unknown)[] = [];
  beforeEach(async () => {
    sender = rig.addPod(1, { egress: '20M', ingress: '20M' });
    rig.publish();
    policy = await loadBpf({ object: bpfObjectPath('limit-policy') });
  });
  afterEach(() => {
    for (const close of closers.splice(0).reverse()) close();
    policy.close();
  });

  /** Attaches the policy: with tcx before all that are there, with clsact as a filter. */
  function attachPolicy(direction: 'ingress' | 'egress', pref: number): () => void {
    if (kind === 'tcx') {
      const link = rig.node.inside(() => policy.program('policy').attachTcx(sender.ifindex, direction, { kind }));
      return () => link.detach();
    }
    const object = `bpf da obj ${bpfObjectPath('limit-policy')} sec tc`;
    rig.node.run(`tc qdisc add dev pod1 clsact 2>/dev/null || true
      tc filter add dev pod1 ${direction} pref ${pref} handle 1 protocol all ${object}`);
    return () => rig.node.run(`tc filter del dev pod1 ${direction} pref ${pref} handle 1 protocol all bpf`);
  }

  it('a policy behind ours still drops what it should, and the limit holds', async () => {
    closers.push(attachPolicy('ingress', 50));
    const agent = rig.startChild({ hooks: kind });
    await rig.stands('p1', 'egress', heldTo20M);
    const blocked = await listen(rig.outside.netns, 'sink', '9999');
    sender.run(`python3 ${TRAFFIC} udp ${rig.outside.address} 9999 50 100`);
    const stream = await UdpStream.start(sender, rig.outside, 3 * LIMIT);
    await sleep(1300);
    const arrivals = await stream.stop();
    expect(await blocked.counted()).toEqual([0, 0]);
    expect(arrivals.mostBps()).toBeLessThan(OVER * LIMIT);
    expect(arrivals.mostBps()).toBeGreaterThan(0.9 * LIMIT);
    await rig.stands('p1', 'egress', heldTo20M);
    await agent.end();
  });

  it.each<[Direction, 'ingress' | 'egress']>([
    ['egress', 'ingress'],
    ['ingress', 'egress'],
  ])('one before ours that ends the chain is noticed and named, and that it went (%s)', async (direction, point) => {
    const agent = rig.startChild({ hooks: kind });
    await rig.stands('p1', direction, heldTo20M);
    const [from, to] = direction === 'egress' ? [sender, rig.outside] : [rig.outside, sender];
    const stream = await UdpStream.start(from, to, 10 * MBIT);
    await sleep(1500);
    await rig.stands('p1', direction, heldTo20M);
    const remove = attachPolicy(point, 1);
    const attachedMs = performance.now();
    const bypassed =
      kind === 'tcx'
        ? `bypassed by policy (tcx ${point} of pod1)`
        : `bypassed by limit-policy.bpf.o:[tc] (filter 1 at ${point} of pod1)`;
    // What the pod sends is still known by its interface where it leaves the node.
    const [state, reason] =
      direction === 'egress'
        ? (['shaped-htb', `held only where it leaves by eth0; ${bypassed}`] as const)
        : (['unsupported', bypassed] as const);
    await rig.stands('p1', direction, { state, reason });
    const noticedMs = performance.now() - attachedMs;
    console.log(`bypass noticed after ${noticedMs.toFixed(0)} ms`);
    const told = () => agent.log().filter((line) => line.msg === 'limit' && line['direction'] === direction);
    await until('it is told', () => told().at(-1)?.['reason'] === reason);
    expect(told().at(-1)).toMatchObject({ level: 'warn', state, reason });
    // That it went is noticed also while nothing is sent.
    await stream.stop();
    remove();
    await rig.stands('p1', direction, { ...heldTo20M, reason: '' });
    await agent.end();
  });

  it('one before ours that passes on is not in the way', async () => {
    const probes = await loadBpf({ object: bpfObjectPath('limit-probes') });
    closers.push(() => probes.close());
    const agent = rig.startChild({ hooks: kind });
    await rig.stands('p1', 'egress', heldTo20M);
    rig.node.inside(() => probes.program('empty').attachTcx(sender.ifindex, 'ingress', { kind: 'tcx' }));
    const stream = await UdpStream.start(sender, rig.outside, 3 * LIMIT);
    await sleep(3500);
    await rig.stands('p1', 'egress', { ...heldTo20M, reason: '' });
    expect((await stream.stop()).mostBps()).toBeLessThan(OVER * LIMIT);
    await agent.end();
  });
});

it('one before ours at the uplink, where HTB holds back, is noticed and named; packets for the node itself are no sign of one', async () => {
  const sender = rig.addPod(1, { egress: '20M' });
  rig.publish();
  const agent = rig.startChild();
  await rig.stands('p1', 'egress', heldTo20M);
  const toNode = await UdpStream.start(sender, { netns: rig.node.name, address: '192.0.2.2' }, 5 * MBIT);
  await sleep(3500);
  await rig.stands('p1', 'egress', { ...heldTo20M, reason: '' });
  await toNode.stop();
  const policy = await loadBpf({ object: bpfObjectPath('limit-policy') });
  try {
    const link = rig.node.inside(() => policy.program('policy').attachTcx(rig.outside.ifindex, 'egress'));
    const stream = await UdpStream.start(sender, rig.outside, 10 * MBIT);
    // What exceeds the limit is still dropped as it leaves the pod.
    await rig.stands('p1', 'egress', { state: 'policed', reason: 'bypassed by policy (tcx egress of eth0)' });
    link.detach();
    await rig.stands('p1', 'egress', { ...heldTo20M, reason: '' });
    await stream.stop();
  } finally {
    policy.close();
  }
  await agent.end();
});

it('a program of ours that somebody takes away is put back', async () => {
  const sender = rig.addPod(1, { egress: '20M' });
  rig.publish();
  const agent = rig.startChild();
  await rig.stands('p1', 'egress', heldTo20M);
  const stream = await UdpStream.start(sender, rig.outside, 10 * MBIT);
  const link = rig.links().find((path) => path.endsWith('_from_pod'))!;
  rig.node.run(`rm ${link}`);
  await until('it is there again', () => rig.links().includes(link));
  await stream.stop();
  await rig.stands('p1', 'egress', heldTo20M);
  await agent.end();
});
