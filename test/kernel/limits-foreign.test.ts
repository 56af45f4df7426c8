import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { buildBpf } from '../support/bpf.ts';
import { until } from '../support/netloom.ts';
import { LimitsRig } from './limit-support/limits-rig.ts';
import { UdpStream, sleep } from './limit-support/udp-stream.ts';

const MBIT = 1_000_000;
const LIMIT = 20 * MBIT;
const heldTo20M = { state: 'shaped-htb', configuredBps: LIMIT, reason: '' } as const;
const TBF = 'tbf rate 1gbit burst 200k latency 25ms';

let rig: LimitsRig;
beforeAll(buildBpf);
beforeEach(() => {
  rig = new LimitsRig();
});
afterEach(() => rig.remove());

/** Lines of tc about a device that are not of ours. */
function othersOn(device: string): string[] {
  return rig
    .tc()
    .split('\n')
    .filter((line) => line.includes(`dev ${device} `) && !line.includes('4e4c:'));
}

describe('the root qdisc of somebody else on the uplink', () => {
  const policed = {
    state: 'policed',
    configuredBps: LIMIT,
    reason: "tbf 7: at root on eth0 is another's",
  } as const;

  it('that was there before stays in charge: what exceeds the limit is dropped at the pod; once gone, HTB holds', async () => {
    const sender = rig.addPod(1, { egress: '20M', ingress: '20M' });
    rig.node.run(`tc qdisc add dev eth0 root handle 7: ${TBF}`);
    const foreign = othersOn('eth0');
    rig.publish();
    const agent = rig.startChild();
    await rig.stands('p1', 'egress', policed);
    await rig.stands('p1', 'ingress', heldTo20M);
    expect(othersOn('eth0')).toEqual(foreign);
    const stream = await UdpStream.start(sender, rig.outside, 3 * LIMIT);
    await sleep(2500);
    const arrivals = await stream.stop();
    console.log(`policed: ${(arrivals.mostBps() / LIMIT).toFixed(3)} of the limit`);
    // A policer's bucket is 250 ms; in the second second it is empty.
    expect(arrivals.mostBps()).toBeLessThan(1.3 * LIMIT);
    expect(arrivals.mostBps()).toBeGreaterThan(0.9 * LIMIT);

    rig.node.run('tc qdisc del dev eth0 root handle 7:');
    await rig.stands('p1', 'egress', heldTo20M);
    await rig.classHas('eth0', 'ceil 20Mbit');
    await agent.end();
    rig.note();
    await rig.detach();
    expect(await rig.leftInKernel()).toEqual([]);
  });

  it('that comes in the place of ours is left alone, and stays when ours is detached', async () => {
    rig.addPod(1, { egress: '20M' });
    rig.publish();
    const agent = rig.startChild();
    await rig.stands('p1', 'egress', heldTo20M);
    rig.node.run(`tc qdisc replace dev eth0 root handle 7: ${TBF}`);
    const foreign = othersOn('eth0');
    await rig.stands('p1', 'egress', policed);
    await rig.settles();
    expect(othersOn('eth0')).toEqual(foreign);
    expect(agent.log().at(-1)).toMatchObject({ level: 'warn', msg: 'limit', state: 'policed', reason: policed.reason });
    await agent.end();
    await rig.detach();
    expect(othersOn('eth0')).toEqual(foreign);
    expect(rig.tc()).not.toContain('4e4c');
  });
});

describe("on a pod's interface", () => {
  it("the CNI plugin's token bucket is in charge of what the pod receives, and ours again when it is gone", async () => {
    rig.addPod(1, { egress: '20M', ingress: '20M' });
    rig.addPod(2, { ingress: '20M' });
    rig.publish();
    const agent = rig.startChild();
    await rig.stands('p1', 'ingress', heldTo20M);
    rig.node.run(`tc qdisc replace dev pod1 root handle 8001: ${TBF}`);
    const foreign = othersOn('pod1');
    const reason = 'tbf 8001: at root (as the CNI bandwidth plugin and Calico set it) on pod1 is in charge';
    await rig.stands('p1', 'ingress', { state: 'unsupported', reason });
    await rig.stands('p1', 'egress', heldTo20M);
    await rig.stands('p2', 'ingress', heldTo20M);
    expect(othersOn('pod1')).toEqual(foreign);
    await agent.end('SIGKILL');
    const again = rig.startChild();
    await rig.stands('p1', 'ingress', { state: 'unsupported', reason });
    expect(othersOn('pod1')).toEqual(foreign);
    rig.node.run('tc qdisc del dev pod1 root handle 8001:');
    await rig.stands('p1', 'ingress', heldTo20M);
    await again.end();
  });

  it('another qdisc makes what the pod receives a policer, and stays', async () => {
    const receiver = rig.addPod(1, { ingress: '20M' });
    rig.node.run('tc qdisc add dev pod1 root handle 5: pfifo limit 777');
    const foreign = othersOn('pod1');
    rig.publish();
    const agent = rig.startChild();
    await rig.stands('p1', 'ingress', { state: 'policed', reason: "pfifo 5: at root on pod1 is another's" });
    const stream = await UdpStream.start(rig.outside, receiver, 3 * LIMIT);
    await sleep(1500);
    expect((await stream.stop()).mostBps()).toBeLessThan(1.3 * LIMIT);
    expect(othersOn('pod1')).toEqual(foreign);
    await agent.end();
    await rig.detach();
    expect(othersOn('pod1')).toEqual(foreign);
  });

  it("the CNI plugin's redirect to an ifb is in charge of what the pod sends", async () => {
    rig.addPod(1, { egress: '20M', ingress: '20M' });
    rig.node.run(`ip link add bwp0123456789a type ifb; ip link set bwp0123456789a up
      tc qdisc add dev bwp0123456789a root handle 9: ${TBF}; tc qdisc add dev pod1 ingress
      tc filter add dev pod1 parent ffff: protocol all u32 match u8 0 0 action mirred egress redirect dev bwp0123456789a`);
    const before = rig.tc();
    rig.publish();
    const agent = rig.startChild();
    const reason = "the CNI's bandwidth plugin on pod1 is in charge";
    await rig.stands('p1', 'egress', { state: 'unsupported', reason });
    await rig.stands('p1', 'ingress', heldTo20M);
    rig.node.run('tc filter del dev pod1 ingress; tc qdisc del dev pod1 ingress; ip link del bwp0123456789a');
    await rig.stands('p1', 'egress', heldTo20M);
    rig.node.run(`ip link add bwp0123456789a type ifb; ip link set bwp0123456789a up
      tc qdisc add dev bwp0123456789a root handle 9: ${TBF}; tc qdisc add dev pod1 ingress
      tc filter add dev pod1 parent ffff: protocol all u32 match u8 0 0 action mirred egress redirect dev bwp0123456789a`);
    await rig.stands('p1', 'egress', { state: 'unsupported', reason });
    await agent.end();
    await rig.detach();
    expect(rig.tc()).toBe(before);
  });
});

it('what somebody takes away of ours is put back, and what he adds beside it stays', async () => {
  rig.addPod(1, { egress: '20M', ingress: '20M' });
  rig.publish();
  const agent = rig.startChild();
  await rig.stands('p1', 'egress', heldTo20M);
  await rig.stands('p1', 'ingress', heldTo20M);
  // The kernel chooses handles of leaves, and the order of what was made anew.
  const asWanted = (): string =>
    rig
      .tc()
      .replaceAll(/\b[89a-f][0-9a-f]{3}:/g, 'X:')
      .split('\n')
      .sort()
      .join('\n');
  const wanted = asWanted();
  const classId = /class htb (4e4c:\S+) parent/.exec(rig.node.run('tc class show dev eth0'))![1]!;
  for (const damage of [
    'tc qdisc del dev eth0 root',
    'tc qdisc del dev pod1 root; tc qdisc del dev eth0 root',
    `tc qdisc replace dev eth0 parent ${classId} pfifo limit 3`,
    `tc class change dev eth0 parent 4e4c: classid ${/class htb (4e4c:\S+) root/.exec(wanted)![1]!} htb rate 1gbit`,
    `tc qdisc del dev eth0 parent ${classId}; tc class del dev eth0 classid ${classId}`,
  ]) {
    rig.node.run(damage);
    await until(`all is as before: ${damage}`, () => asWanted() === wanted);
  }
  await rig.settles();
  await rig.stands('p1', 'egress', heldTo20M);
  expect(agent.log().filter(({ level }) => level === 'error')).toEqual([]);
  await agent.end();
});
