import { closeSync, openSync } from 'node:fs';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { applyNeeds, detachQdiscs, readDevices } from '../../bandwidth/qdiscs/apply.ts';
import { fqSettings } from '../../bandwidth/qdiscs/fq-limits.ts';
import { ROOT_HANDLE, leavesOf, rootOf } from '../../bandwidth/qdiscs/handles.ts';
import { podClasses } from '../../bandwidth/qdiscs/htb-tree.ts';
import { planQdiscs } from '../../bandwidth/qdiscs/plan.ts';
import type { DeviceNeed, DeviceState } from '../../bandwidth/qdiscs/types.ts';
import { NetlinkSocket, TC_ROOT, addQdisc, formatTcHandle, getLink, kernelHasFq } from '../../lib/netlink/index.ts';
import { makeNetns } from '../support/bpf.ts';

let netns: ReturnType<typeof makeNetns>;
let fd: number;
let socket: NetlinkSocket;

beforeEach(() => {
  netns = makeNetns();
  // pod0: as a pod's device; nic0: several queues, as hardware has them.
  netns.run(
    'sh',
    '-ec',
    `ip link add pod0 type veth peer name pod1; ip link add nic0 numtxqueues 3 type ifb; ip link add idle0 type ifb
     ip link set pod0 up; ip link set pod1 up; ip link set nic0 up`,
  );
  fd = openSync(netns.path, 'r');
  socket = new NetlinkSocket({ netnsFd: fd });
});
afterEach(() => {
  socket.close();
  closeSync(fd);
  netns.remove();
});

const index = (name: string): number => getLink(socket, name)!.ifindex;
const mbit = (rate: number): bigint => BigInt(rate) * 125_000n;
const shape = (name: string, ...pods: [slot: number, rate: number][]): DeviceNeed => ({
  ifindex: index(name),
  mode: 'shape',
  pods: pods.map(([slot, rate]) => ({ slot, rateBytesPerSecond: mbit(rate) })),
});
/** All that tc shows but for counters and the places of handles that the kernel chose. */
const tc = (): string => netns.run('sh', '-c', 'tc qdisc show; for d in pod0 nic0; do tc class show dev $d; done');
const verdicts = (needs: readonly DeviceNeed[]): unknown[] => [...applyNeeds(socket, needs).plan.verdicts.values()];

it('shapes, is taken over by the next agent, follows changes, and leaves what was there before', () => {
  const before = tc();
  expect(before).toMatch(/qdisc mq 0: dev nic0 root/);
  const needs = [shape('pod0', [0, 20]), shape('nic0', [0, 20], [1, 100])];
  const first = applyNeeds(socket, needs);
  expect(first.failures).toEqual([]);
  expect([...first.plan.verdicts.values()]).toEqual([{ state: 'ours' }, { state: 'ours' }]);
  const text = tc();
  expect(text).toMatch(/qdisc htb 4e4c: dev pod0 root .*default 0/);
  expect(text).toMatch(/class htb 4e4c:2 parent 4e4c:1 leaf \S+ prio 1 .*rate 15Mbit ceil 20Mbit/);
  expect(text).toMatch(/class htb 4e4c:3 parent 4e4c:1 leaf \S+ prio 0 .*rate 5Mbit ceil 20Mbit/);
  expect(text).toMatch(/class htb 4e4c:4 root rate 100Mbit ceil 100Mbit/);

  // Another process.
  const next = new NetlinkSocket({ netnsFd: fd });
  expect(applyNeeds(next, needs).operations).toBe(0);
  next.close();

  applyNeeds(socket, [shape('pod0', [0, 40]), shape('nic0', [1, 100])]);
  const devices = new Map(readDevices(socket).map((device) => [device.name, device]));
  expect(
    devices
      .get('nic0')!
      .classes.map((c) => formatTcHandle(c.classId))
      .sort(),
  ).toEqual(['4e4c:4', '4e4c:5', '4e4c:6']);
  const pod = devices.get('pod0')!.classes.find((c) => c.classId === podClasses(0).pod)!;
  expect(pod.settings.rateBytesPerSecond).toBe(mbit(40));

  applyNeeds(socket, [shape('nic0', [1, 100])]);
  expect(tc()).toMatch(/qdisc noqueue 0: dev pod0 root/);
  const gone = detachQdiscs(socket);
  expect(gone.failures).toEqual([]);
  expect(tc()).toBe(before);
  expect(detachQdiscs(socket).operations).toBe(0);
});

it('leaves the qdisc of another program in charge, names it, and does so when it comes later', () => {
  netns.run(
    'tc',
    'qdisc',
    'add',
    'dev',
    'pod0',
    'root',
    'handle',
    '8001:',
    'tbf',
    ...'rate 10mbit burst 20k latency 25ms'.split(' '),
  );
  netns.run('tc', 'qdisc', 'add', 'dev', 'pod0', 'clsact');
  const before = tc();
  expect(verdicts([shape('pod0', [0, 20])])).toEqual([{ state: 'foreign', what: 'tbf 8001: at root', paces: false }]);
  expect(tc()).toBe(before);
  expect(verdicts([shape('nic0', [0, 20])])).toEqual([{ state: 'ours' }]);
  netns.run(
    'tc',
    'qdisc',
    'replace',
    'dev',
    'nic0',
    'root',
    'handle',
    '7:',
    'tbf',
    ...'rate 10mbit burst 20k latency 25ms'.split(' '),
  );
  const later = tc();
  expect(verdicts([shape('nic0', [0, 20])])).toEqual([{ state: 'foreign', what: 'tbf 7: at root', paces: false }]);
  detachQdiscs(socket);
  expect(tc()).toBe(later);
});

it('paces where the kernel has fq, and where it has not says so and touches nothing', () => {
  const before = tc();
  const needs = ['pod0', 'nic0'].map((name): DeviceNeed => ({
    ifindex: index(name),
    mode: 'pace',
    podRates: [mbit(100)],
  }));
  const { lacksFq, failures, plan } = applyNeeds(socket, needs);
  expect(lacksFq).toBe(!kernelHasFq(socket));
  expect(failures).toEqual([]);
  if (lacksFq) {
    expect(tc()).toBe(before);
    expect(plan.verdicts.size).toBe(0);
    return;
  }
  const found = readDevices(socket).flatMap((device) => device.qdiscs.filter((qdisc) => qdisc.kind === 'fq'));
  expect(found).toHaveLength(4);
  for (const { options } of found) expect(options).toMatchObject(fqSettings([mbit(100)]));
  expect(applyNeeds(socket, needs).operations).toBe(0);
  detachQdiscs(socket);
  expect(tc()).toBe(before);
});

it('finds the queues in use of a device whose default root has several, and has that root back afterwards', () => {
  const ifindex = index('nic0');
  const before = tc();
  const nic = (): DeviceState => readDevices(socket).find((device) => device.name === 'nic0')!;
  expect(rootOf(nic())).toEqual({ owner: 'kernel', multiQueue: true });
  expect(leavesOf(nic(), 0).map((leaf) => [leaf.queue, leaf.owner])).toEqual(
    [1, 2, 3].map((queue) => [queue, 'kernel']),
  );
  // The plan's first step on a kernel with fq; the queues then hang under our handle.
  const place = { ifindex, parent: TC_ROOT, handle: ROOT_HANDLE };
  expect(addQdisc(socket, place, { kind: 'mq' })).toEqual({ outcome: 'done' });
  expect(rootOf(nic())).toMatchObject({ owner: 'us' });
  expect(leavesOf(nic(), ROOT_HANDLE).map((leaf) => [leaf.queue, leaf.owner])).toEqual(
    [1, 2, 3].map((queue) => [queue, 'kernel']),
  );
  const { operations } = planQdiscs([nic()], [{ ifindex, mode: 'pace', podRates: [] }]);
  expect(operations.map((o) => [o.op, formatTcHandle(o.place.parent)])).toEqual([
    ['add', '4e4c:1'],
    ['add', '4e4c:2'],
    ['add', '4e4c:3'],
  ]);
  detachQdiscs(socket);
  expect(tc()).toBe(before);
});

it('waits for a device that was never up', () => {
  expect(verdicts([shape('idle0', [0, 20])])).toEqual([{ state: 'not-up' }]);
  netns.run('ip', 'link', 'set', 'idle0', 'up');
  expect(verdicts([shape('idle0', [0, 20])])).toEqual([{ state: 'ours' }]);
});

it('goes on when a device goes between look and change', () => {
  const needs = [shape('pod0', [0, 20]), shape('nic0', [0, 20])];
  const dump = socket.dump.bind(socket);
  let removed = false;
  socket.dump = (what, ...rest) => {
    const found = dump(what, ...rest);
    if (what === 'listing devices' && !removed) {
      removed = true;
      netns.run('ip', 'link', 'del', 'pod0');
    }
    return found;
  };
  const { failures, plan } = applyNeeds(socket, needs);
  expect(removed).toBe(true);
  expect(failures).toEqual([]);
  expect([...plan.verdicts.keys()]).toEqual([index('nic0')]);
});
