import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { bpfObjectPath, loadBpf } from '../../lib/bpf/index.ts';
import { buildBpf } from '../support/bpf.ts';
import { until } from '../support/netloom.ts';
import { LimitsRig } from './limit-support/limits-rig.ts';
import { TRAFFIC, startTraffic } from './limit-support/listener.ts';
import { seenAt, watch } from './limit-support/look.ts';
import type { Outside, Pod } from './limit-support/pods.ts';
import {
  HTB_BURST_MS,
  POLICER_BURST_MS,
  UdpStream,
  burstMs,
  sleep,
  type Arrivals,
} from './limit-support/udp-stream.ts';

/** Ways out of a pod that HTB does not see, where the kernel has no sch_fq. */

const MBIT = 1_000_000;
const LIMIT = 20 * MBIT;
const MOST = 1.01;
/** HTB loses time on a busy machine: how exact it is, is for test/pacing to say (case 23). */
const LEAST = 0.8;
/** Of a full TCP segment with timestamps: payload, and with all headers. */
const [SEGMENT, SEGMENT_WIRE] = [1448, 1514];
const heldTo20M = { state: 'shaped-htb', configuredBps: LIMIT, reason: '' } as const;

let rig: LimitsRig;
let sender: Pod;
beforeAll(buildBpf);
beforeEach(() => {
  rig = new LimitsRig();
  sender = rig.addPod(1, { egress: '20M' });
});
afterEach(() => rig.remove());

interface Target {
  readonly netns: string;
  readonly address: string;
}

/** The node itself, by an address that no uplink has. */
const theNode = (): Target => ({ netns: rig.node.name, address: '192.0.2.2' });

/** Another device of the node, with a connected route only. */
const secondNic = (): Outside => rig.node.addNic('nic0');

/** Sends at three times the limit to each at once. The first second is not measured: a policer lets 250 ms pass at first. */
async function flood(...targets: readonly Target[]): Promise<{ shares: number[]; arrivals: Arrivals[] }> {
  const streams: UdpStream[] = [];
  for (const [i, target] of targets.entries()) {
    streams.push(await UdpStream.start(sender, target, 3 * LIMIT, 6000 + i));
  }
  await sleep(1200);
  const fromMs = Date.now();
  await sleep(2500);
  const toMs = Date.now();
  const arrivals: Arrivals[] = [];
  for (const stream of streams) arrivals.push(await stream.stop());
  return { shares: arrivals.map((each) => each.meanBps(fromMs, toMs) / LIMIT), arrivals };
}

/** Bits a second on the wire of one connection, as a share of the limit. */
async function tcpShare({ netns, address }: Target, bytes: number, port = 5001): Promise<number> {
  const sink = await startTraffic(netns, 'tcp-sink', port);
  const startedMs = performance.now();
  sender.run(`python3 ${TRAFFIC} tcp ${address} ${port} ${bytes}`);
  const seconds = (performance.now() - startedMs) / 1000;
  expect(Number(await sink.last())).toBe(bytes);
  return (8 * bytes * SEGMENT_WIRE) / SEGMENT / seconds / LIMIT;
}

const total = (shares: readonly number[]): number => shares.reduce((sum, share) => sum + share, 0);
const text = (shares: readonly number[]): string => shares.map((share) => share.toFixed(3)).join(' + ');

describe('what a limited pod sends is no more than its limit', () => {
  it.each<[string, () => Target[]]>([
    ['by a second NIC without default route', () => [secondNic()]],
    ['to a process of its own node', () => [theNode()]],
    ['to a pod next door', () => [rig.addPod(2)]],
    ['to the outside and to a pod next door at once', () => [rig.outside, rig.addPod(2)]],
    ['by both NICs, to the node and next door at once', () => [rig.outside, secondNic(), theNode(), rig.addPod(2)]],
  ])('%s', async (_name, targets) => {
    const to = targets();
    rig.publish();
    const agent = rig.startChild();
    await rig.stands('p1', 'egress', heldTo20M);
    const { shares, arrivals } = await flood(...to);
    console.log(`UDP at 3 times the limit on each way: ${text(shares)} of the limit`);
    expect(burstMs(arrivals, LIMIT)).toBeLessThan(POLICER_BURST_MS);
    expect(total(shares)).toBeGreaterThan(LEAST);
    const row = await rig.counted('p1', 'egress');
    expect(row.dropped).toBeGreaterThan(1000);
    expect(row.state).toBe('shaped-htb');
    await agent.end();
  });

  it.each<[string, () => Target]>([
    ['next door', () => rig.addPod(2)],
    ['to the node', theNode],
    ['by a second NIC', secondNic],
  ])('and TCP has most of it where nothing holds it back: %s', async (_name, target) => {
    const to = target();
    rig.publish();
    const agent = rig.startChild();
    await rig.stands('p1', 'egress', heldTo20M);
    const share = await tcpShare(to, 12_500_000);
    console.log(`TCP: ${share.toFixed(3)} of the limit`);
    expect(share).toBeGreaterThan(0.85);
    // Over 5 s, and 250 ms passed at once.
    expect(share).toBeLessThan(1.065);
    await agent.end();
  });

  it('and all of it through HTB, however much is dropped there: the backstop drops nothing', async () => {
    rig.publish();
    const agent = rig.startChild();
    await rig.stands('p1', 'egress', heldTo20M);
    const ports = [5001, 5002, 5003, 5004];
    const sinks = await Promise.all(ports.map((port) => startTraffic(rig.outside.netns, 'tcp-sink', port)));
    const senders = ports.map((port) => startTraffic(sender.netns, 'tcp', rig.outside.address, port, 5_000_000));
    await sleep(1500);
    // Outside of the readings, which may take a while: no share is too high for that.
    const [fromMs, before] = [performance.now(), await rig.stat('p1', 'egress')];
    await sleep(5000);
    const [after, toMs] = [await rig.stat('p1', 'egress'), performance.now()];
    const share = (8000 * Number(after.bytes - before.bytes)) / (toMs - fromMs) / LIMIT;
    const dropped = after.droppedPackets - before.droppedPackets;
    console.log(`TCP through HTB: ${share.toFixed(4)} of the limit, ${dropped} packets dropped`);
    await Promise.all(senders);
    for (const sink of sinks) expect(Number(await sink.last())).toBe(5_000_000);
    expect(share).toBeLessThan(MOST);
    expect(dropped).toBeGreaterThan(10n);
    const { shares, arrivals } = await flood(rig.outside);
    console.log(`UDP through HTB: ${text(shares)} of the limit`);
    const { droppedPackets, droppedAtUplinks } = await rig.stat('p1', 'egress');
    expect(droppedPackets).toBeGreaterThan(5000n);
    expect(droppedAtUplinks).toBe(droppedPackets);
    expect(burstMs(arrivals, LIMIT)).toBeLessThan(HTB_BURST_MS);
    expect(total(shares)).toBeGreaterThan(LEAST);
    await agent.end();
  });
});

it('counters are of every way: passed is what arrived, and with dropped it is what was sent', async () => {
  const [nic, neighbour] = [secondNic(), rig.addPod(2)];
  rig.publish();
  const agent = rig.startChild();
  await rig.stands('p1', 'egress', heldTo20M);
  for (const targets of [[rig.outside], [neighbour], [nic, rig.outside, theNode()]]) {
    await rig.settles();
    const before = await rig.stat('p1', 'egress');
    const stream = targets.length === 1 ? undefined : await UdpStream.start(sender, targets[0]!, 2 * LIMIT, 7000);
    const { arrivals } = await flood(...targets);
    const more = stream === undefined ? [] : [await stream.stop()];
    const row = await rig.counted('p1', 'egress');
    const after = await rig.stat('p1', 'egress');
    const all = [...arrivals, ...more];
    const arrived = all.reduce((sum, { datagrams }) => sum + datagrams, 0);
    const sent = all.reduce((sum, each) => sum + each.sent, 0);
    const passed = Number(after.packets - before.packets);
    const dropped = Number(after.droppedPackets - before.droppedPackets);
    // ICMP and the like of the pod's own come on top.
    expect(passed).toBeGreaterThanOrEqual(arrived);
    expect(passed).toBeLessThan(arrived + 50);
    expect(passed + dropped).toBeGreaterThanOrEqual(sent);
    expect(passed + dropped).toBeLessThan(sent + 50);
    expect(Number(after.offeredPackets - after.exemptPackets)).toBe(Number(after.packets + after.droppedPackets));
    expect(row.passed).toBeGreaterThanOrEqual(Number(before.packets) + passed);
  }
  // While it goes on: what passes and how long of the time something waits, also where HTB sees nothing.
  for (const target of [rig.outside, neighbour]) {
    const stream = await UdpStream.start(sender, target, 3 * LIMIT, 7001);
    // Figures are of two seconds, in any of which the machine may have stood still.
    await until('both are told', async () => {
      const { measuredBps, throttledShare } = (await rig.row('p1', 'egress'))!;
      return Math.abs(measuredBps! / LIMIT - 1) < 0.15 && throttledShare! > 0.8;
    });
    await stream.stop();
  }
  await agent.end();
});

describe('--uplink', () => {
  const hasClasses = (device: string): boolean => rig.node.run(`tc class show dev ${device}`).includes('class htb');

  it('names devices of any kind: those are shaped, and no others; what is not there is told, and taken once it is', async () => {
    const nic = secondNic();
    rig.publish();
    const agent = rig.start('--enforce', '--uplink', 'eth0,nic0', '--uplink', 'later0,lo');
    await rig.stands('p1', 'egress', heldTo20M);
    expect(['eth0', 'nic0'].map(hasClasses)).toEqual([true, true]);
    const { shares, arrivals } = await flood(rig.outside, nic);
    console.log(`two uplinks: ${text(shares)} of the limit`);
    expect(burstMs(arrivals, LIMIT)).toBeLessThan(POLICER_BURST_MS);
    const told = agent.log().filter(({ level }) => level === 'warn');
    const texts = told.map(({ msg }) => msg);
    expect(texts).toContain('--uplink later0: there is no such device');
    expect(texts).toContain('--uplink lo: nothing leaves the node through loopback');
    rig.node.run('ip link add later0 type bridge; ip link set later0 up');
    await until('it has classes', () => hasClasses('later0'));
    await agent.end();

    const only = rig.start('--enforce', '--uplink', 'nic0');
    await until('eth0 has no classes', () => !hasClasses('eth0') && hasClasses('nic0') && !hasClasses('later0'));
    await rig.stands('p1', 'egress', heldTo20M);
    const one = await flood(nic);
    expect(burstMs(one.arrivals, LIMIT)).toBeLessThan(HTB_BURST_MS);
    expect(total(one.shares)).toBeGreaterThan(LEAST);
    await only.end();
  });

  it('of none that exists leaves a policer', async () => {
    rig.publish();
    const agent = rig.startChild({ uplinks: ['eth9'] });
    const reason = 'the node has no uplink that could hold packets back';
    await rig.stands('p1', 'egress', { state: 'policed', reason });
    const { arrivals } = await flood(rig.outside);
    expect(burstMs(arrivals, LIMIT)).toBeLessThan(POLICER_BURST_MS);
    await agent.end();
  });
});

it('a bridge and its port, both uplinks, judge a packet once', async () => {
  rig.node.run(`ip link add br1 type bridge; ip link set br1 up; ip link set eth0 master br1
    ip addr flush dev eth0; ip addr add 192.0.2.2/24 dev br1; ip route add default via 192.0.2.1 dev br1`);
  rig.publish();
  const agent = rig.startChild({ uplinks: ['br1', 'eth0'] });
  await rig.stands('p1', 'egress', heldTo20M);
  for (const device of ['br1', 'eth0']) expect(rig.node.run(`tc class show dev ${device}`)).toContain('class htb');
  const { shares, arrivals } = await flood(rig.outside);
  const stat = await rig.stat('p1', 'egress');
  expect(burstMs(arrivals, LIMIT)).toBeLessThan(HTB_BURST_MS);
  expect(total(shares)).toBeGreaterThan(LEAST);
  expect(Number(stat.packets)).toBeLessThan(arrivals[0]!.datagrams + 50);
  expect(stat.offeredPackets - stat.exemptPackets).toBe(stat.packets + stat.droppedPackets);
  await agent.end();
});

describe('a program before ours at the pod’s interface that ends the chain', () => {
  it('leaves the limit where HTB sees the pod by its interface, and nowhere else; both is told', async () => {
    const neighbour = rig.addPod(2);
    rig.publish();
    const policy = await loadBpf({ object: bpfObjectPath('limit-policy') });
    const agent = rig.startChild();
    try {
      await rig.stands('p1', 'egress', heldTo20M);
      rig.node.inside(() => policy.program('policy').attachTcx(sender.ifindex, 'ingress'));
      const bypassed = 'bypassed by policy (tcx ingress of pod1)';
      const there = await UdpStream.start(sender, neighbour, 2 * LIMIT);
      await rig.stands('p1', 'egress', { state: 'unsupported', reason: bypassed });
      const out = await flood(rig.outside);
      await rig.stands('p1', 'egress', {
        state: 'shaped-htb',
        reason: `held only where it leaves by eth0; ${bypassed}`,
      });
      expect(burstMs(out.arrivals, LIMIT)).toBeLessThan(HTB_BURST_MS);
      expect(total(out.shares)).toBeGreaterThan(LEAST);
      const unheld = await there.stop();
      expect(unheld.datagrams).toBe(unheld.sent);
    } finally {
      policy.close();
    }
    await agent.end();
  });
});

it('departure times to come that a pod sets are cleared where only the uplink sees its packets, and its limit holds there', async () => {
  rig.publish();
  const policy = await loadBpf({ object: bpfObjectPath('limit-policy') });
  const probes = await loadBpf({ object: bpfObjectPath('limit-probes') });
  const agent = rig.startChild();
  try {
    await rig.stands('p1', 'egress', heldTo20M);
    watch(probes, rig.outside.ifindex);
    // As a filter it comes after programs of tcx.
    rig.node.inside(() => probes.program('look').attachTcx(rig.outside.ifindex, 'egress', { kind: 'clsact' }));
    rig.node.inside(() => policy.program('policy').attachTcx(sender.ifindex, 'ingress'));
    for (const aheadMs of ['+8000', '+20']) {
      const before = seenAt(probes, rig.outside.ifindex);
      const stream = await UdpStream.start(sender, rig.outside, 3 * LIMIT, 6000, aheadMs);
      await sleep(2500);
      const arrivals = await stream.stop();
      const after = seenAt(probes, rig.outside.ifindex);
      expect(after['large']! - before['large']!).toBeGreaterThan(1000);
      // Behind ours: it sees what that leaves on the packets.
      expect(after['largeCarried']! - before['largeCarried']!).toBe(after['large']! - before['large']!);
      expect(after['future']).toBe(before['future']);
      expect(arrivals.mostBps()).toBeLessThan(1.06 * LIMIT);
      expect(arrivals.datagrams).toBeGreaterThan(1000);
    }
  } finally {
    policy.close();
    probes.close();
  }
  await agent.end();
});

it('counters start anew when a shadow becomes a limit, and when a limit becomes a shadow', async () => {
  rig.publish();
  const shadow = rig.startChild({ purpose: 'shadow' });
  await rig.stands('p1', 'egress', { state: 'shadow' });
  await flood(rig.outside);
  const would = await rig.counted('p1', 'egress');
  expect(would.dropped).toBeGreaterThan(1000);
  await shadow.end();
  const again = rig.startChild({ purpose: 'shadow' });
  await rig.stands('p1', 'egress', { state: 'shadow' });
  expect((await rig.counted('p1', 'egress')).dropped).toBe(would.dropped);
  await again.end();

  const real = rig.startChild();
  await rig.stands('p1', 'egress', heldTo20M);
  const anew = await rig.counted('p1', 'egress');
  expect([anew.dropped, anew.delayed]).toEqual([0, 0]);
  expect(anew.passed).toBeLessThan(50);
  await flood(rig.outside);
  expect((await rig.counted('p1', 'egress')).dropped).toBeGreaterThan(1000);
  await real.end();
  const back = rig.startChild({ purpose: 'shadow' });
  await rig.stands('p1', 'egress', { state: 'shadow' });
  expect((await rig.counted('p1', 'egress')).dropped).toBe(0);
  await back.end();
});
