import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openPinnedMap } from '../../lib/bpf/index.ts';
import { buildBpf } from '../support/bpf.ts';
import { until } from '../support/netloom.ts';
import { LimitsRig } from './limit-support/limits-rig.ts';
import { TRAFFIC, listen } from './limit-support/listener.ts';
import type { Pod } from './limit-support/pods.ts';
import { UdpStream, burstMs, sleep } from './limit-support/udp-stream.ts';

const MBIT = 1_000_000;
const LIMIT = 20 * MBIT;
const OVER = 1.03;
const heldTo20M = { state: 'shaped-htb', configuredBps: LIMIT, reason: '' } as const;

let rig: LimitsRig;
beforeAll(buildBpf);
beforeEach(() => {
  rig = new LimitsRig();
});
afterEach(() => rig.remove());

/** Devices that the programs know, by ifindex. */
async function knownDevices(): Promise<number[]> {
  const map = openPinnedMap(
    rig.maps().find((path) => path.endsWith('/limit_interfaces'))!,
    { readOnly: true },
  );
  const found: number[] = [];
  await map.readAll((keys, _values, count) => {
    for (let i = 0; i < count; i++) found.push(keys.getUint32(4 * i, true));
  });
  map.close();
  return found.sort((a, b) => a - b);
}

const hooked = (): string[] =>
  rig
    .links()
    .map((path) => path.replace(/.*\//, ''))
    .sort();

describe('pods that come and go', () => {
  it('fast: what is left in the kernel is of those that are there', async () => {
    rig.addPod(1, { egress: '20M' });
    const before = rig.tc();
    rig.publish();
    const agent = rig.startChild({ doubtMs: 0 });
    await rig.stands('p1', 'egress', heldTo20M);
    const alive = new Map<number, Pod>();
    for (let step = 0; step < 30; step++) {
      // Addresses are used again as soon as they are free.
      const number = 2 + (step % 6);
      const old = alive.get(number);
      if (old !== undefined) {
        rig.node.removePod(old);
        alive.delete(number);
        if (step % 3 === 0) rig.forget(`p${number}`);
      } else {
        alive.set(number, rig.node.addPod(number));
        const { address, address6 } = alive.get(number)!;
        rig.tell({ name: `p${number}`, uid: `uid-${step}`, ips: [address, address6], egress: '20M', ingress: '30M' });
      }
      rig.publish();
      await sleep(step % 4 === 0 ? 150 : 10);
    }
    for (let number = 2; number < 8; number++) if (!alive.has(number)) rig.forget(`p${number}`);
    rig.publish();
    for (const number of alive.keys()) await rig.stands(`p${number}`, 'ingress', { state: 'shaped-htb' });
    await rig.settles();
    const devices = ['pod1', ...[...alive.values()].map((pod) => pod.hostInterface)];
    const indexes = devices.map((device) => rig.node.ifindex(device));
    expect(await knownDevices()).toEqual([rig.outside.ifindex, ...indexes].sort((a, b) => a - b));
    expect(hooked()).toEqual(
      [
        `${rig.outside.ifindex}_leave`,
        ...indexes.map((index) => `${index}_from_pod`),
        // The first has no limit of what it receives.
        ...indexes.slice(1).map((index) => `${index}_to_pod`),
      ].sort(),
    );
    expect(Object.keys(await rig.owners())).toHaveLength(1 + 2 * alive.size);
    expect(rig.tc().match(/class htb \S+ root/g)).toHaveLength(1 + 2 * alive.size);
    expect(agent.log().filter(({ level }) => level === 'error')).toEqual([]);

    for (const pod of alive.values()) rig.node.removePod(pod);
    for (let number = 1; number < 8; number++) rig.forget(`p${number}`);
    rig.publish();
    await until('nothing is left', () => hooked().length === 0);
    await rig.settles();
    expect(await knownDevices()).toEqual([]);
    expect(await rig.owners()).toEqual({});
    await agent.end();
    rig.note();
    await rig.detach();
    expect(rig.tc()).toBe(before);
    expect(await rig.leftInKernel()).toEqual([]);
  });

  it.each([
    ['a new index', ''],
    ['the same index', 'index'],
  ])('an interface that is made anew under its name with %s is held as the old one was', async (_name, same) => {
    const pod = rig.addPod(1, { egress: '20M', ingress: '20M' });
    rig.publish();
    const agent = rig.startChild();
    await rig.stands('p1', 'egress', heldTo20M);
    for (let round = 0; round < 3; round++) {
      rig.node.run('ip link del pod1');
      plug(pod, same === '' ? '' : `index ${pod.ifindex}`);
      const stream = await UdpStream.start(pod, rig.outside, 3 * LIMIT);
      await rig.stands('p1', 'egress', heldTo20M);
      await rig.settles();
      const fromMs = Date.now();
      await sleep(1200);
      const arrivals = await stream.stop();
      expect(arrivals.mostBps(1000, fromMs)).toBeLessThan(OVER * LIMIT);
      expect(arrivals.mostBps(1000, fromMs)).toBeGreaterThan(0.8 * LIMIT);
      const ifindex = rig.node.ifindex('pod1');
      expect(ifindex === pod.ifindex).toBe(same !== '');
      expect(hooked()).toEqual([`${rig.outside.ifindex}_leave`, `${ifindex}_from_pod`, `${ifindex}_to_pod`].sort());
    }
    await agent.end();
  });

  it('an address that is given to another pod takes the limit of its new owner', async () => {
    const old = rig.addPod(1, { egress: '20M' });
    rig.publish();
    const agent = rig.startChild();
    await rig.stands('p1', 'egress', heldTo20M);
    // The old pod's namespace stays for a while, as after a kill.
    const next = rig.node.addPod(2);
    rig.node.run(`ip route del ${old.address} dev pod1; ip route add ${old.address} dev pod2`);
    next.run(`ip addr flush dev eth0 scope global; ip addr add ${old.address}/32 dev eth0
      ip route add 169.254.1.1 dev eth0 2>/dev/null || true; ip route replace default via 169.254.1.1 dev eth0`);
    rig.forget('p1');
    rig.tell({ name: 'p2', ips: [old.address], egress: '40M' });
    rig.publish();
    const row = await rig.stands('p2', 'egress', { state: 'shaped-htb', configuredBps: 2 * LIMIT });
    expect(row.interfaces).toEqual(['pod2']);
    await rig.settles();
    expect(hooked().filter((name) => name.endsWith('_from_pod'))).toEqual([`${next.ifindex}_from_pod`]);
    const stream = await UdpStream.start(next, rig.outside, 5 * LIMIT);
    await sleep(1300);
    const arrivals = await stream.stop();
    expect(arrivals.mostBps()).toBeLessThan(OVER * 2 * LIMIT);
    expect(arrivals.mostBps()).toBeGreaterThan(1.6 * LIMIT);
    await agent.end();
  });

  it('a pod that is made anew under its name starts from nothing', async () => {
    const pod = rig.addPod(1, { egress: '20M' });
    rig.publish();
    const agent = rig.startChild();
    await rig.stands('p1', 'egress', heldTo20M);
    pod.run(`python3 ${TRAFFIC} udp ${rig.outside.address} 6000 50 1000 500`);
    expect((await rig.counted('p1', 'egress')).passed).toBeGreaterThanOrEqual(50);
    rig.tell({ name: 'p1', uid: 'another', ips: [pod.address, pod.address6], egress: 'lots' });
    rig.publish();
    // Its annotation was never valid, whatever that of the pod before was.
    await rig.stands('p1', 'egress', { state: 'unsupported', configuredBps: null });
    rig.tell({ name: 'p1', uid: 'another', ips: [pod.address, pod.address6], egress: '20M' });
    rig.publish();
    await rig.stands('p1', 'egress', heldTo20M);
    expect((await rig.counted('p1', 'egress')).passed).toBeLessThan(50);
    await agent.end();
  });
});

/** Puts the pair of a pod back, as Node.addPod made it. */
function plug(pod: Pod, more: string): void {
  rig.node.run(`ip link add pod1 ${more} type veth peer name eth0 netns ${pod.netns}; ip link set pod1 up
    ip addr add 169.254.1.1/32 dev pod1; ip route add ${pod.address}/32 dev pod1`);
  pod.run(`ip link set eth0 up; ip addr add ${pod.address}/32 dev eth0
    ip route add 169.254.1.1 dev eth0; ip route add default via 169.254.1.1 dev eth0`);
}

describe('a pod', () => {
  it('of two interfaces has one limit over both', async () => {
    const pod = rig.addPod(1, { egress: '20M' });
    rig.node.run(`ip link add pod1b type veth peer name net1 netns ${pod.netns}; ip link set pod1b up
      ip addr add 169.254.2.1/32 dev pod1b`);
    pod.run(`ip link set net1 up; ip addr add 10.67.0.1/32 dev net1; ip route add 169.254.2.1 dev net1
      ip route add 192.0.2.3 via 169.254.2.1 dev net1 src 10.67.0.1`);
    rig.node.run('ip route add 10.67.0.1 dev pod1b');
    rig.outside.run('ip addr add 192.0.2.3/24 dev node0; ip route add 10.67.0.1 via 192.0.2.2');
    rig.publish();
    const agent = rig.startChild();
    const { interfaces } = await rig.stands('p1', 'egress', heldTo20M);
    expect(interfaces).toEqual(['pod1', 'pod1b']);
    const one = await UdpStream.start(pod, rig.outside, 2 * LIMIT, 6000);
    const two = await UdpStream.start(pod, { netns: rig.outside.netns, address: '192.0.2.3' }, 2 * LIMIT, 6001);
    const fromMs = Date.now() + 300;
    await sleep(2000);
    const toMs = Date.now();
    const rates = [await one.stop(), await two.stop()].map((arrivals) => arrivals.meanBps(fromMs, toMs) / LIMIT);
    console.log(`two interfaces: ${rates.map((rate) => rate.toFixed(3)).join(' + ')} of the limit`);
    expect(rates[0]! + rates[1]!).toBeLessThan(OVER);
    for (const rate of rates) expect(rate).toBeGreaterThan(0.1);
    await agent.end();
  });

  it('that is limited sends no more than its limit to a pod next door, and its answers are free', async () => {
    const sender = rig.addPod(1, { egress: '20M' });
    const neighbour = rig.addPod(2);
    rig.publish();
    const agent = rig.startChild();
    await rig.stands('p1', 'egress', heldTo20M);
    const there = await UdpStream.start(sender, neighbour, 3 * LIMIT);
    const back = await UdpStream.start(neighbour, sender, 3 * LIMIT, 6001);
    // Nothing holds packets back there: the policer's 250 ms pass at once.
    await sleep(1000);
    const fromMs = Date.now();
    await sleep(2000);
    const toMs = Date.now();
    const [to, from] = [await there.stop(), await back.stop()];
    expect(burstMs([to], LIMIT)).toBeLessThan(275);
    expect(to.meanBps(fromMs, toMs)).toBeGreaterThan(0.9 * LIMIT);
    expect(from.datagrams).toBe(from.sent);
    await agent.end();
  });

  it('of the host network, one that has ended, and one that is not there yet are told as what they are', async () => {
    rig.tell({ name: 'host', ips: ['192.0.2.2'], hostNetwork: true, egress: '20M' });
    rig.tell({ name: 'done', ips: ['10.66.0.3'], phase: 'Succeeded', egress: '20M' });
    rig.tell({ name: 'soon', ips: [], egress: '20M' });
    rig.tell({ name: 'away', ips: ['10.66.0.4'], egress: '20M' });
    rig.tell({ name: 'wrong', ips: ['10.66.0.9'], egress: 'lots' });
    rig.publish();
    const agent = rig.startChild();
    await rig.stands('host', 'egress', { state: 'unsupported', reason: 'it uses the network of the node' });
    await rig.stands('soon', 'egress', { state: 'pending', reason: 'it has no address yet' });
    const reason = 'no veth or netkit of the node leads to 10.66.0.4';
    await rig.stands('away', 'egress', { state: 'pending', reason });
    const { reason: problem } = await rig.stands('wrong', 'egress', { state: 'unsupported', invalid: true });
    expect(problem).toContain('"lots" is no quantity');
    expect(await rig.row('done', 'egress')).toBeUndefined();
    expect(rig.links()).toEqual([]);
    const pod = rig.node.addPod(5);
    rig.tell({ name: 'soon', ips: [pod.address], egress: '20M' });
    rig.publish();
    await rig.stands('soon', 'egress', heldTo20M);
    await agent.end();
  });
});

it('pods without limits beside a limited one exchange at full speed', async () => {
  const limited = rig.addPod(1, { egress: '20M', ingress: '20M' });
  const [a, b] = [rig.addPod(2), rig.addPod(3)];
  const bytes = 400_000_000;
  const speed = async (): Promise<number> => {
    const sink = await listen(b.netns, 'tcp-sink', '5001');
    const startedMs = performance.now();
    a.run(`python3 ${TRAFFIC} tcp ${b.address} 5001 ${bytes}`);
    expect(await sink.counted()).toEqual([bytes]);
    return (bytes * 8000) / (performance.now() - startedMs);
  };
  const free = [await speed(), await speed()];
  rig.publish();
  const agent = rig.startChild();
  await rig.stands('p1', 'egress', heldTo20M);
  const stream = await UdpStream.start(limited, rig.outside, 3 * LIMIT);
  const beside = [await speed(), await speed(), await speed()];
  expect((await stream.stop()).mostBps()).toBeLessThan(OVER * LIMIT);
  const gbit = (values: readonly number[]): string => values.map((bps) => (bps / 1e9).toFixed(1)).join(', ');
  console.log(`Gbit/s without limits ${gbit(free)}; beside a limited pod ${gbit(beside)}`);
  // Nothing of ours slows them: a busy machine may.
  expect(Math.max(...beside)).toBeGreaterThan(50 * LIMIT);
  expect(Math.max(...beside)).toBeGreaterThan(Math.max(...free) / 4);
  for (const device of ['pod2', 'pod3']) {
    expect(rig.node.run(`tc qdisc show dev ${device}`)).not.toContain('4e4c');
  }
  await agent.end();
});
