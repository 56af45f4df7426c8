import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { bpfObjectPath, loadBpf, type BpfLink, type BpfObject } from '../../lib/bpf/index.ts';
import { buildBpf } from '../support/bpf.ts';
import { LimitObject, type Hook } from './limit-support/limit-object.ts';
import { seenAt, watch, type Seen } from './limit-support/look.ts';
import { TRAFFIC, listen } from './limit-support/listener.ts';
import { Node, type Pod } from './limit-support/pods.ts';

const SENDER = 1;
const RECEIVER = 2;
const BIG_BYTES = 20_000_000;
/** Above anything that these tests send: counts, and stands in nobody's way. */
const PLENTY = 10n ** 12n;

let node: Node;
let sender: Pod;
let receiver: Pod;
let limit: LimitObject;

beforeAll(buildBpf);

beforeEach(async () => {
  node = new Node();
  limit = await LimitObject.load();
});
afterEach(() => {
  limit.close();
  node.remove();
});

type Kind = 'auto' | 'tcx' | 'clsact';

function attach(hook: Hook, pod: { ifindex: number }, kind: Kind = 'auto', object: BpfObject = limit.object): BpfLink {
  const direction = hook === 'from_pod' ? 'ingress' : 'egress';
  return node.inside(() => object.program(hook).attachTcx(pod.ifindex, direction, { kind }));
}

/** Counts what crosses an interface, behind ours: attach it first. */
function look(ifindex: number, direction: 'ingress' | 'egress'): void {
  watch(limit.probes, ifindex);
  node.inside(() => limit.probes.program('look').attachTcx(ifindex, direction));
}

const seen = (ifindex: number): Seen => seenAt(limit.probes, ifindex);

function routedPods({ quiet = false } = {}): void {
  sender = node.addPod(1, { quiet });
  receiver = node.addPod(2);
  // A queue of packets that wait for a neighbour holds but so many: none are lost between the two hooks.
  const mac = receiver.run('cat /sys/class/net/eth0/address').trim();
  for (const address of [receiver.address, receiver.address6]) {
    node.run(`ip neigh replace ${address} lladdr ${mac} dev ${receiver.hostInterface} nud permanent`);
  }
  limit.setInterface(sender.ifindex, { egressSlot: SENDER });
  limit.setInterface(receiver.ifindex, { ingressSlot: RECEIVER });
}

const python = (pod: Pod, ...args: (string | number)[]): string => pod.run(`python3 ${TRAFFIC} ${args.join(' ')}`);

async function sendTcp(address: string, bytes: number): Promise<void> {
  const { counted } = await listen(receiver.netns, 'tcp-sink', '5001');
  python(sender, 'tcp', address, 5001, bytes);
  expect(await counted()).toEqual([bytes]);
}

describe('bytes on the wire of real packets', () => {
  beforeEach(() => {
    routedPods();
    limit.setLimit(SENDER, { rateBps: PLENTY, mode: 'stamp' });
    limit.setLimit(RECEIVER, { rateBps: PLENTY, mode: 'stamp' });
  });

  /** What the kernel put on the wire: packets are cut into frames there, and those are counted. */
  const carried = (): bigint => BigInt(receiver.run('cat /sys/class/net/eth0/statistics/rx_bytes'));
  beforeEach(() => node.run(`ip link set ${receiver.hostInterface} gso_max_segs 1`));
  /** What the hook and the device counted up to one moment: multicast of the kernel's own may come at any. */
  const bothCounts = (): { charged: bigint; carried: bigint } => {
    for (;;) {
      const { offeredBytes } = limit.stat(RECEIVER);
      const bytes = carried();
      if (limit.stat(RECEIVER).offeredBytes === offeredBytes) return { charged: offeredBytes, carried: bytes };
    }
  };

  /** What the hook charged, and the segments of that, once no packet is on its way between the hook and what looks behind it. */
  const restingCounts = async (
    slot: number,
    ifindex: number,
  ): Promise<{ charged: number; segments: number; maxLen: number }> => {
    const counts = () => {
      const { bytes, exemptPackets } = limit.stat(slot);
      const { segments, maxLen } = seen(ifindex);
      return { charged: Number(bytes), segments: segments! - Number(exemptPackets), maxLen: maxLen! };
    };
    for (let last = counts(); ;) {
      await sleep(20);
      const now = counts();
      if (isDeepStrictEqual(now, last)) return now;
      last = now;
    }
  };

  it.each([
    ['IPv4 UDP', 4, ['udp', 50, 1000]],
    ['IPv6 UDP', 6, ['udp', 50, 1000]],
    ['IPv4 UDP of several segments', 4, ['gso', 20, 10, 1200]],
    ['IPv6 UDP of several segments', 6, ['gso', 20, 10, 1200]],
  ] as const)('%s: both hooks charge what the frames have', async (_name, version, args) => {
    attach('from_pod', sender);
    attach('to_pod', receiver);
    look(receiver.ifindex, 'egress');
    const sink = await listen(receiver.netns, 'sink', '5000');
    const [verb, count, ...sizes] = args;
    python(sender, verb, version === 4 ? receiver.address : receiver.address6, 5000, count, ...sizes);
    const [datagrams, bytes] = await sink.counted();
    const headers = 14 + (version === 4 ? 20 : 40) + 8;
    const expected = BigInt(bytes! + datagrams! * headers);
    expect(datagrams).toBeGreaterThanOrEqual(count);
    expect(limit.stat(SENDER).bytes).toBe(expected);
    expect(limit.stat(RECEIVER).bytes).toBe(expected);
    if (verb === 'gso') expect(seen(receiver.ifindex)['superPackets']).toBeGreaterThan(0);
  });

  it.each([
    ['IPv4', 4],
    ['IPv6', 6],
  ] as const)('%s TCP: both hooks charge payload and the headers of every segment', async (_name, version) => {
    attach('from_pod', sender);
    attach('to_pod', receiver);
    look(receiver.ifindex, 'egress');
    const before = bothCounts();
    await sendTcp(version === 4 ? receiver.address : receiver.address6, 20_000_000);
    expect(seen(receiver.ifindex)['superPackets']).toBeGreaterThan(0);
    const after = bothCounts();
    expect(after.charged - before.charged).toBe(after.carried - before.carried);
    expect(limit.stat(RECEIVER).bytes).toBe(limit.stat(SENDER).bytes);
  });

  // The kernel drops them where it forwards to a link of the same MTU, so one end is the node itself.
  it('BIG TCP: super-packets of more than 64 KiB, out of the pod and into it', async () => {
    const device = 'gso_max_size 196608 gro_max_size 196608';
    for (const pod of [sender, receiver]) {
      pod.run(`ip link set eth0 ${device}`);
      node.run(`ip link set ${pod.hostInterface} ${device}`);
    }
    node.run('ip -6 addr add fd66::fe/128 dev lo');
    attach('from_pod', sender);
    look(sender.ifindex, 'ingress');
    attach('to_pod', receiver);
    look(receiver.ifindex, 'egress');

    // A local socket makes no super-packets for an interface that takes none.
    node.run(`ip link set ${receiver.hostInterface} gso_max_segs 65535`);

    for (const [slot, { ifindex }, netns, send] of [
      [SENDER, sender, node.name, (): string => python(sender, 'tcp', 'fd66::fe', 5001, BIG_BYTES)],
      [
        RECEIVER,
        receiver,
        receiver.netns,
        (): string => node.run(`python3 ${TRAFFIC} tcp ${receiver.address6} 5001 ${BIG_BYTES}`),
      ],
    ] as const) {
      const before = await restingCounts(slot, ifindex);
      const sink = await listen(netns, 'tcp-sink', '5001');
      const sent = Number(send());
      expect(await sink.counted()).toEqual([BIG_BYTES]);
      const after = await restingCounts(slot, ifindex);
      expect(after.maxLen).toBeGreaterThan(65_536);
      // Every segment has the option of timestamps; the SYN has 8 bytes more.
      const headers = (after.segments - before.segments) * (14 + 40 + 32) + 8;
      expect(after.charged - before.charged).toBe(sent + headers);
    }
  });
});

describe('departure times that a pod sets', () => {
  beforeEach(() => {
    routedPods();
  });

  it.each([
    ['datagrams', 0n, (): string => python(sender, 'txtime', receiver.address, 5000, 20, 8000), 20],
    ['ARP frames of a packet socket', 0n, (): string => python(sender, 'raw-txtime', 'eth0', 20, 8000), 20],
    // They find a queue, and the kernel refuses them the departure time that they should have.
    ['long frames without IP', 100_000_000n, (): string => python(sender, 'raw-txtime', 'eth0', 20, 8000, 1500), 20],
  ])('%s: they reach the node without ours, and not behind it', (_name, rateBps, send, count) => {
    limit.setLimit(SENDER, { rateBps, mode: 'stamp' });
    look(sender.ifindex, 'ingress');
    send();
    expect(seen(sender.ifindex)['future']).toBeGreaterThanOrEqual(count);
    const link = attach('from_pod', sender);
    const before = seen(sender.ifindex);
    send();
    expect(seen(sender.ifindex)['packets']! - before['packets']!).toBeGreaterThanOrEqual(count);
    expect(seen(sender.ifindex)['future']).toBe(before['future']);
    expect(limit.stat(SENDER).stampsCleared).toBeGreaterThanOrEqual(BigInt(count));
    link.detach();
    send();
    expect(seen(sender.ifindex)['future']).toBeGreaterThanOrEqual(2 * count);
  });
});

describe('a stamp of ours', () => {
  it('is there where the packet leaves: behind forwarding, and for UDP too', async () => {
    routedPods();
    limit.setLimit(SENDER, { rateBps: 5_000_000n, mode: 'stamp' });
    attach('from_pod', sender);
    look(receiver.ifindex, 'egress');
    const sink = await listen(receiver.netns, 'sink', '5000');
    python(sender, 'udp', receiver.address, 5000, 60, 1400);
    await sink.counted();
    const { packets, future } = seen(receiver.ifindex);
    const { delayed, droppedPackets } = limit.stat(SENDER);
    expect(delayed).toBeGreaterThan(0n);
    expect(droppedPackets).toBeGreaterThan(0n);
    expect(packets).toBeGreaterThan(0);
    expect(future).toBeGreaterThan(0);
  });
});

describe.each<'tcx' | 'clsact'>(['tcx', 'clsact'])('a policy behind ours (%s)', (kind) => {
  it('still drops what it should, and the limit is in force', async () => {
    // Of several reports of MLD in a row some are judged like any packet.
    routedPods({ quiet: true });
    limit.setLimit(SENDER, { rateBps: 1_000_000n, mode: 'police' });
    const policy = await loadBpf({ object: bpfObjectPath('limit-policy') });
    try {
      if (kind === 'tcx') node.inside(() => policy.program('policy').attachTcx(sender.ifindex, 'ingress', { kind }));
      const ours = attach('from_pod', sender, kind);
      if (kind === 'clsact') {
        node.run(
          `tc filter add dev ${sender.hostInterface} ingress pref 50 handle 1 protocol all bpf da obj ${bpfObjectPath('limit-policy')} sec tc`,
        );
      }
      const [open, blocked] = [
        await listen(receiver.netns, 'sink', '5000'),
        await listen(receiver.netns, 'sink', '9999'),
      ];
      python(sender, 'udp', receiver.address, 9999, 10, 100);
      python(sender, 'udp', receiver.address, 5000, 200, 1400);
      expect(await blocked.counted()).toEqual([0, 0]);
      const { packets, droppedPackets, offeredPackets, exemptPackets } = limit.stat(SENDER);
      expect(droppedPackets).toBeGreaterThan(0n);
      expect(packets + droppedPackets).toBe(offeredPackets - exemptPackets);
      // All that passed ours and was not for the blocked port.
      expect(BigInt((await open.counted())[0]!)).toBe(packets - 10n);

      // Ours gone, the policy stays, and nothing of ours is left.
      ours.detach();
      const last = limit.stat(SENDER).offeredPackets;
      const [unlimited, still] = [
        await listen(receiver.netns, 'sink', '5000'),
        await listen(receiver.netns, 'sink', '9999'),
      ];
      python(sender, 'udp', receiver.address, 9999, 10, 100);
      python(sender, 'udp', receiver.address, 5000, 200, 1400);
      expect(await unlimited.counted()).toEqual([200, 280_000]);
      expect(await still.counted()).toEqual([0, 0]);
      expect(limit.stat(SENDER).offeredPackets).toBe(last);
    } finally {
      policy.close();
    }
  });
});

describe('with HTB', () => {
  it.each([
    ['routed pods', false],
    ['pods on a bridge, whose port the uplink does not see', true],
  ])('%s: the uplink knows whose packet it is', async (_name, bridged) => {
    if (bridged) {
      node.run(`ip link add br0 type bridge; ip addr add 10.66.0.6/29 dev br0; ip link set br0 up`);
      sender = node.addPod(1, { bridge: 'br0', quiet: true });
    } else {
      sender = node.addPod(1, { quiet: true });
    }
    receiver = node.addPod(9);
    limit.setInterface(sender.ifindex, { egressSlot: SENDER });
    limit.setLimit(SENDER, { rateBps: 1_000_000n, mode: 'htb', classes: { bulk: 0x10010, sparse: 0x10011 } });
    node.run(`tc qdisc add dev ${receiver.hostInterface} root handle 1: htb default 1
      tc class add dev ${receiver.hostInterface} parent 1: classid 1:1 htb rate 10gbit quantum 60000
      tc class add dev ${receiver.hostInterface} parent 1: classid 1:10 htb rate 1mbit
      tc class add dev ${receiver.hostInterface} parent 1: classid 1:11 htb rate 1mbit prio 0`);
    // The second pod's interface plays the uplink.
    attach('from_pod', sender);
    attach('leave', receiver);
    const sink = await listen(receiver.netns, 'sink', '5000');
    python(sender, 'udp', receiver.address, 5000, 100, 1400);
    const [datagrams] = await sink.counted();
    const { packets, droppedPackets } = limit.stat(SENDER);
    expect(droppedPackets).toBeGreaterThan(0n);
    expect(packets + droppedPackets).toBe(100n);
    expect(BigInt(datagrams!)).toBe(packets);
    const classes = node.run(`tc -s class show dev ${receiver.hostInterface}`);
    const sent = Number(/class htb 1:10 [^]*?Sent \d+ bytes (\d+) pkt/.exec(classes)?.[1]);
    expect(sent).toBe(Number(packets));
  });
});
