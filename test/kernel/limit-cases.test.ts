import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { CARRIED_JUDGED, LAYOUTS } from '../../bandwidth/bpf/layout.ts';
import { slotConfig, type SlotConfig } from '../../bandwidth/slot-config.ts';
import { bpfObjectPath, checkLayout, loadBpf } from '../../lib/bpf/index.ts';
import { buildBpf } from '../support/bpf.ts';
import { ETHERTYPE, PROTOCOL, ethernet, ipv4, ipv6, tcp, udp, udpFrame } from './limit-support/frames.ts';
import { DROP, LOOPBACK, LimitObject, NEXT, monotonicNs, type Hook } from './limit-support/limit-object.ts';

const MS = 1_000_000n;
const SECOND = 1_000n * MS;
const EGRESS = 1;
const INGRESS = 2;
const UPLINK = 40;
const POD = 50;
const BULK = 0x4e4c_0010;
const SPARSE = 0x4e4c_0011;
const frame = udpFrame(1514);
const small = udpFrame(100, {}, 5000, 4999);
const LINK_LOCAL = 'fe800000000000000000000000000002';
const arp = ethernet(ETHERTYPE.arp, Buffer.alloc(28));
const solicitation = ethernet(
  ETHERTYPE.ipv6,
  ipv6({ next: PROTOCOL.icmpv6, hopLimit: 255 }, Buffer.concat([Buffer.of(135), Buffer.alloc(31)])),
);
const report = ethernet(ETHERTYPE.ipv4, ipv4({ protocol: PROTOCOL.igmp, ttl: 1 }, Buffer.alloc(16)));
const CONTROL: readonly [string, Uint8Array][] = [
  ['ARP', arp],
  ['neighbour discovery', solicitation],
  ['IGMP', report],
];
/** What no router forwards, and is traffic all the same. */
const LOCAL: readonly [string, Uint8Array][] = [
  ['TCP to fe80::', ethernet(ETHERTYPE.ipv6, ipv6({ next: PROTOCOL.tcp, destination: LINK_LOCAL }, tcp(1400)))],
  ['UDP to fe80::', ethernet(ETHERTYPE.ipv6, ipv6({ destination: LINK_LOCAL, hopLimit: 255 }, udp(1400)))],
  ['UDP to 169.254.9.9', udpFrame(1514, { destination: '169.254.9.9' })],
  ['IPv4 multicast', udpFrame(1514, { destination: '239.1.2.3' })],
  ['IPv6 multicast', ethernet(ETHERTYPE.ipv6, ipv6({ destination: 'ff020000000000000000000000000005' }, udp(1400)))],
  ['broadcast', udpFrame(1514, { destination: '255.255.255.255' })],
];
const raw = ethernet(0x88b5, Buffer.alloc(1500));
const bigArp = ethernet(ETHERTYPE.arp, Buffer.alloc(1500));

/**
 * A queue that is full only after seconds: a machine that stops this process between two lines decides nothing here. The
 * product's own thresholds are compared to the ns in limit-twin.
 */
const PATIENT = {
  dropNs: 2_000_000_000,
  hardNs: 4_000_000_000,
  maxAheadNs: 20n * SECOND,
  policeNs: 4_000_000_000,
  policeMaxAheadNs: 20n * SECOND,
} as const;
const HALF_FULL = SECOND;
const OVERFULL = 7n * SECOND;

let limit: LimitObject;

beforeAll(buildBpf);

/** The queue stands this long from now; nothing waits, the small ones have saved nothing up. */
function queueUp(slot: number, ahead: bigint): bigint {
  const limitNs = monotonicNs() + ahead;
  limit.setClock(slot, { limitNs, sparseNs: limitNs + SECOND });
  limit.setFlows(slot, []);
  return limitNs;
}

describe('an object that was built', () => {
  it('has the layouts that TypeScript reads and writes', async () => {
    const object = await loadBpf({ object: bpfObjectPath('limit') });
    for (const [name, layout] of Object.entries(LAYOUTS)) checkLayout(object.btf, name, layout);
    object.close();
  });
});

describe('with a queue that fq holds', () => {
  let config: SlotConfig;

  beforeAll(async () => {
    limit = await LimitObject.load();
  });
  afterAll(() => limit.close());
  beforeEach(() => {
    limit.setInterface(LOOPBACK, { egressSlot: EGRESS, ingressSlot: INGRESS });
    config = { ...slotConfig({ rateBps: 100_000_000n, mode: 'stamp', cpus: 2 }), ...PATIENT };
    for (const slot of [EGRESS, INGRESS]) {
      limit.setConfig(slot, config);
      limit.setClock(slot, { limitNs: 0n, sparseNs: 0n });
      limit.setFlows(slot, []);
    }
  });

  // Case 16: a clock fed from a packet, or left by a lower rate, stops a pod for good elsewhere.
  it.each([
    ['2^63', () => 1n << 63n],
    ['2^64 - 1', () => (1n << 64n) - 1n],
    ['a moment beyond what is possible', () => monotonicNs() + config.maxAheadNs + SECOND],
  ])('a clock at %s lets the first packet pass at once', (_name, limitNs) => {
    const { clockResets } = limit.stat(EGRESS);
    limit.setClock(EGRESS, { limitNs: limitNs(), sparseNs: 0n });
    expect(limit.run('from_pod', frame)).toMatchObject({ retval: NEXT, tstamp: 0n });
    expect(limit.clock(EGRESS).limitNs - limit.stat(EGRESS).lastNs).toBe(121_120n);
    expect(limit.stat(EGRESS).clockResets - clockResets).toBe(1n);
  });

  it.each<Hook>(['from_pod', 'to_pod'])('%s: a far-future packet does not move the clock', (hook) => {
    const slot = hook === 'from_pod' ? EGRESS : INGRESS;
    limit.setClock(slot, { limitNs: 0n, sparseNs: 0n });
    const before = monotonicNs();
    limit.runStamped(hook, frame, before + 3600n * SECOND);
    expect(limit.clock(slot).limitNs).toBeLessThan(monotonicNs() + MS);
    expect(limit.run(hook, frame).retval).toBe(NEXT);
  });

  // Case 28's first half: what the pod says about departures is never honoured, and only its future is news.
  it('takes away departure times of the pod that are to come, or that would name a slot', () => {
    const { stampsCleared } = limit.stat(EGRESS);
    expect(limit.runStamped('from_pod', frame, monotonicNs() + 8n * SECOND).tstamp).toBe(0n);
    limit.setClock(EGRESS, { limitNs: 0n, sparseNs: 0n });
    expect(limit.runStamped('from_pod', frame, 7n).tstamp).toBe(0n);
    limit.setClock(EGRESS, { limitNs: 0n, sparseNs: 0n });
    const past = monotonicNs() - MS;
    expect(limit.runStamped('from_pod', frame, past).tstamp).toBe(past);
    expect(limit.stat(EGRESS).stampsCleared - stampsCleared).toBe(2n);
  });

  it.each([
    ['no limit', {}],
    ['a slot that only counts', { egressSlot: 3 }],
  ])('takes them away from pods with %s, too', (_name, entry) => {
    limit.setLimit(3, { rateBps: 0n, mode: 'stamp' });
    limit.setInterface(LOOPBACK, entry);
    expect(limit.runStamped('from_pod', frame, monotonicNs() + SECOND).tstamp).toBe(0n);
  });

  it('and from packets that are exempt', () => {
    const outcome = limit.runStamped('from_pod', solicitation, monotonicNs() + SECOND);
    expect(outcome).toMatchObject({ retval: NEXT, tstamp: 0n });
  });

  describe.each([
    ['from_pod', EGRESS],
    ['to_pod', INGRESS],
  ] as const)('%s, traffic of the link', (hook, slot) => {
    it.each(LOCAL)('%s is held back, and dropped where the queue is full', (_name, local) => {
      const departure = queueUp(slot, HALF_FULL);
      expect(limit.run(hook, local)).toMatchObject({ retval: NEXT, tstamp: departure });
      queueUp(slot, OVERFULL);
      expect(limit.run(hook, local).retval).toBe(DROP);
    });

    // The kernel refuses departure times of them: nothing holds them back.
    it.each([
      ['a raw frame', raw],
      ['one that claims to be ARP', bigArp],
    ])('%s is charged, and dropped where the queue is full', (_name, long) => {
      const limitNs = queueUp(slot, HALF_FULL);
      expect(limit.run(hook, long)).toMatchObject({ retval: NEXT, tstamp: 0n });
      expect(limit.clock(slot).limitNs).toBe(limitNs + 121_120n);
      queueUp(slot, OVERFULL);
      expect(limit.run(hook, long).retval).toBe(DROP);
    });

    it.each(CONTROL)('%s passes a full queue at once, and is charged', (_name, control) => {
      const limitNs = queueUp(slot, OVERFULL);
      const { exemptPackets } = limit.stat(slot);
      expect(limit.run(hook, control)).toMatchObject({ retval: NEXT, tstamp: 0n });
      expect(limit.clock(slot).limitNs).toBe(limitNs + BigInt(control.length) * 80n);
      expect(limit.stat(slot).exemptPackets - exemptPackets).toBe(1n);
    });

    it.each(CONTROL)('a flood of %s gets a quarter of the rate, and what was saved up', (_name, control) => {
      limit.setConfig(slot, { ...config, rateBytesPerSecond: config.rateBytesPerSecond / 100n });
      queueUp(slot, OVERFULL);
      const from = monotonicNs();
      let passed = 0n;
      for (let i = 0; i < 3000; i++) if (limit.run(hook, control).retval === NEXT) passed++;
      const each = 4n * BigInt(control.length) * 8000n;
      expect(passed).toBeLessThanOrEqual((monotonicNs() - from + 2n * MS) / each + 1n);
      expect(passed).toBeGreaterThan(0n);
    });
  });

  it('leaves them alone where it is told to', () => {
    limit.setInterface(LOOPBACK, { keepStamps: true });
    const stamp = monotonicNs() + SECOND;
    expect(limit.runStamped('from_pod', frame, stamp).tstamp).toBe(stamp);
  });

  it.each([SECOND / 2n, -SECOND / 2n])(
    'towards the pod a departure time is only raised (%d ns from the queue)',
    (offset) => {
      const departure = queueUp(INGRESS, HALF_FULL);
      const own = departure + offset;
      expect(limit.runStamped('to_pod', frame, own).tstamp).toBe(own > departure ? own : departure);
    },
  );

  // Case 27: 32 bits of microseconds are 71 minutes.
  it('an entry of a flow that is 2^32 us old, less a second, holds nothing back', () => {
    const hash = limit.hashOf(frame);
    limit.setFlows(EGRESS, [{ hash, departureNs: monotonicNs() - ((1n << 32n) * 1000n - SECOND) }]);
    expect(limit.run('from_pod', frame).tstamp).toBe(0n);
    const departureNs = monotonicNs() + 3n * SECOND;
    limit.setClock(EGRESS, { limitNs: 0n, sparseNs: 0n });
    limit.setFlows(EGRESS, [{ hash, departureNs }]);
    expect(limit.run('from_pod', frame).tstamp).toBe(departureNs);
    limit.setClock(EGRESS, { limitNs: 0n, sparseNs: 0n });
    limit.setFlows(EGRESS, [{ hash: hash ^ 0x8000_0000, departureNs }]);
    expect(limit.run('from_pod', frame).tstamp).toBe(0n);
  });

  it('a small packet of an idle flow does not wait, and is charged', () => {
    const limitNs = queueUp(EGRESS, HALF_FULL);
    limit.setClock(EGRESS, { limitNs, sparseNs: 0n });
    expect(limit.run('from_pod', small)).toMatchObject({ retval: NEXT, tstamp: 0n });
    expect(limit.clock(EGRESS).limitNs).toBe(limitNs + 8_000n);
    expect(limit.run('from_pod', udpFrame(257, {}, 5000, 4999)).tstamp).toBeGreaterThan(0n);
  });

  it('a flood of small packets gets a quarter of the rate, and what was saved up', () => {
    const limitNs = queueUp(EGRESS, HALF_FULL);
    limit.setClock(EGRESS, { limitNs, sparseNs: 0n });
    const { bypassed } = limit.stat(EGRESS);
    const from = monotonicNs();
    for (let flow = 0; flow < 2000; flow++) limit.run('from_pod', udpFrame(250, {}, 5000, 1000 + flow));
    const elapsed = monotonicNs() - from;
    const most = (elapsed + 2n * MS) / (4n * 20_000n) + 1n;
    expect(limit.stat(EGRESS).bypassed - bypassed).toBeLessThanOrEqual(most);
    expect(limit.stat(EGRESS).bypassed - bypassed).toBeGreaterThan(25n);
  });

  it('a packet may be of any size: the queue ahead decides', () => {
    limit.setLimit(EGRESS, { rateBps: 64_000n, mode: 'stamp' });
    const context = { wireLen: 65_536, gsoSegs: 44, gsoSize: 1448 };
    limit.setLimit(INGRESS, { rateBps: 64_000n, mode: 'stamp' });
    limit.setClock(INGRESS, { limitNs: 0n, sparseNs: 0n });
    expect(limit.run('to_pod', frame, context)).toMatchObject({ retval: NEXT, tstamp: 0n });
    expect(limit.clock(INGRESS).limitNs - limit.stat(INGRESS).lastNs).toBe(8_192_000_000n);
    expect(limit.run('to_pod', frame).retval).toBe(DROP);
  });

  it('an interface that is not listed is none of our business', () => {
    const limited = limit.stat(EGRESS);
    const other = limit.object.map('limit_interfaces');
    expect(other.delete(Buffer.from([LOOPBACK, 0, 0, 0]))).toBe(true);
    const stamp = monotonicNs() + SECOND;
    for (const hook of ['from_pod', 'to_pod', 'leave'] as const) {
      expect(limit.runStamped(hook, frame, stamp)).toMatchObject({ retval: NEXT, tstamp: stamp });
    }
    expect(limit.stat(EGRESS)).toEqual(limited);
  });

  it('a slot or an interface of the map that does not exist limits nothing', () => {
    limit.setInterface(LOOPBACK, { egressSlot: 1000, ingressSlot: 1000 });
    for (const hook of ['from_pod', 'to_pod'] as const) expect(limit.run(hook, frame).retval).toBe(NEXT);
  });
});

describe('as a shadow', () => {
  beforeAll(async () => {
    limit = await LimitObject.load();
  });
  afterAll(() => limit.close());

  it.each(['stamp', 'htb', 'police'] as const)('%s: counts what it would have done, and changes nothing', (mode) => {
    const config = slotConfig({
      rateBps: 64_000n,
      mode,
      shadow: true,
      cpus: 2,
      classes: { bulk: BULK, sparse: SPARSE },
    });
    limit.setInterface(LOOPBACK, { egressSlot: EGRESS, ingressSlot: EGRESS });
    // One of each fate, whatever the mode's own thresholds.
    limit.setConfig(EGRESS, {
      ...config,
      ceNs: 0,
      dropNs: 20_000_000,
      hardNs: 2_000_000_000,
      maxAheadNs: 100n * SECOND,
    });
    const ecn = udpFrame(1514, { tos: 2 });
    for (const hook of ['from_pod', 'to_pod'] as const) {
      const before = limit.stat(EGRESS);
      for (const [ahead, expected] of [
        [SECOND, { delayed: 1n, marked: 1n }],
        [3n * SECOND, { droppedPackets: 1n, droppedBytes: 1514n }],
      ] as const) {
        const limitNs = queueUp(EGRESS, ahead);
        const earlier = limit.stat(EGRESS);
        const stamp = monotonicNs() + 5n * SECOND;
        const outcome = limit.runStamped(hook, ecn, stamp, { priority: 6 });
        expect(outcome).toMatchObject({ retval: NEXT, tstamp: stamp, priority: 6 });
        expect(Buffer.from(outcome.frame).equals(ecn)).toBe(true);
        const now = limit.stat(EGRESS);
        for (const [name, growth] of Object.entries(expected)) {
          expect(now[name as 'marked'] - earlier[name as 'marked'], name).toBe(growth);
        }
        expect(limit.clock(EGRESS).limitNs > limitNs).toBe(!('droppedPackets' in expected));
      }
      expect(limit.stat(EGRESS).stampsCleared).toBe(before.stampsCleared);
    }
  });
});

describe('where HTB holds packets back', () => {
  beforeAll(async () => {
    limit = await LimitObject.load();
  });
  afterAll(() => limit.close());
  beforeEach(() => {
    for (const [slot, at] of [
      [EGRESS, 0],
      [INGRESS, 16],
    ] as const) {
      const classes = { bulk: BULK + at, sparse: SPARSE + at };
      const config = slotConfig({ rateBps: 10_000_000n, mode: 'htb', classes, cpus: 2 });
      limit.setConfig(slot, { ...config, ...PATIENT });
      limit.setClock(slot, { limitNs: 0n, sparseNs: 0n });
      limit.setFlows(slot, []);
    }
    limit.setInterface(POD, { egressSlot: EGRESS });
    limit.setInterface(LOOPBACK, {});
  });

  const setPolice = (ahead: bigint): bigint => {
    const policeNs = monotonicNs() + ahead;
    limit.setClock(EGRESS, { ...limit.clock(EGRESS), policeNs });
    return policeNs;
  };

  it('the pod interface holds nothing back, and gives the packet its slot', () => {
    limit.setInterface(LOOPBACK, { egressSlot: EGRESS });
    const before = limit.stat(EGRESS);
    const from = monotonicNs();
    for (let i = 0; i < 40; i++) {
      expect(limit.runStamped('from_pod', frame, monotonicNs() + SECOND)).toMatchObject({
        retval: NEXT,
        tstamp: BigInt(EGRESS),
      });
    }
    const after = limit.stat(EGRESS);
    expect(after.offeredPackets - before.offeredPackets).toBe(40n);
    expect(after.stampsCleared - before.stampsCleared).toBe(40n);
    expect(after.packets - before.packets).toBe(40n);
    expect(limit.clock(EGRESS).limitNs).toBe(0n);
    // The time of each was added, whether or not the clock stood still in between.
    expect(limit.clock(EGRESS).policeNs).toBeGreaterThanOrEqual(from + 40n * 1_211_200n);
  });

  it('but for the backstop, which drops what finds its queue full, small packets of its credit excepted', () => {
    limit.setInterface(LOOPBACK, { egressSlot: EGRESS });
    limit.setClock(EGRESS, { limitNs: 0n, sparseNs: 0n });
    setPolice(HALF_FULL);
    expect(limit.run('from_pod', frame)).toMatchObject({ retval: NEXT, tstamp: BigInt(EGRESS) });
    const policeNs = setPolice(OVERFULL);
    const before = limit.stat(EGRESS);
    expect(limit.run('from_pod', frame).retval).toBe(DROP);
    expect(limit.clock(EGRESS).policeNs).toBe(policeNs);
    expect(limit.run('from_pod', small)).toMatchObject({ retval: NEXT, tstamp: BigInt(EGRESS) });
    expect(limit.clock(EGRESS).policeNs).toBe(policeNs + 80_000n);
    // A quarter of the rate, and 2 ms of it saved up.
    const from = monotonicNs();
    let passed = 0n;
    while (limit.run('from_pod', small).retval === NEXT) passed++;
    expect(passed).toBeLessThanOrEqual((monotonicNs() - from + 2n * MS) / (4n * 80_000n) + 1n);
    const after = limit.stat(EGRESS);
    expect(after.packets - before.packets).toBe(1n + passed);
    expect(after.droppedPackets - before.droppedPackets).toBe(2n);
    expect(after.offeredPackets - before.offeredPackets).toBe(3n + passed);
    expect(limit.run('from_pod', solicitation)).toMatchObject({ retval: NEXT, tstamp: 0n });
  });

  it.each([...LOCAL, ['a raw frame', raw] as const, ['one that claims to be ARP', bigArp] as const])(
    'the backstop drops %s, too',
    (_name, local) => {
      limit.setInterface(LOOPBACK, { egressSlot: EGRESS });
      setPolice(OVERFULL);
      expect(limit.run('from_pod', local).retval).toBe(DROP);
    },
  );

  it.each(CONTROL)('%s passes the backstop and the uplink at once, and is charged', (_name, control) => {
    limit.setInterface(LOOPBACK, { egressSlot: EGRESS });
    queueUp(EGRESS, OVERFULL);
    const policeNs = setPolice(OVERFULL);
    expect(limit.run('from_pod', control)).toMatchObject({ retval: NEXT, tstamp: 0n });
    expect(limit.clock(EGRESS).policeNs).toBe(policeNs + BigInt(control.length) * 800n);
    const context = { ingressIfindex: POD, priority: 6 };
    expect(limit.run('leave', control, context)).toMatchObject({ retval: NEXT, priority: 6 });
  });

  it('a clock of the backstop that is garbage lets the first packet pass', () => {
    limit.setInterface(LOOPBACK, { egressSlot: EGRESS });
    for (const policeNs of [1n << 63n, (1n << 64n) - 1n, monotonicNs() + 3600n * SECOND]) {
      limit.setClock(EGRESS, { limitNs: 0n, sparseNs: 0n, policeNs });
      expect(limit.run('from_pod', frame).retval).toBe(NEXT);
      expect(limit.clock(EGRESS).policeNs - limit.stat(EGRESS).lastNs).toBe(1_211_200n);
    }
  });

  it('what the uplink drops is given back to the backstop, if it was charged there', () => {
    limit.setInterface(LOOPBACK, { egressSlot: EGRESS });
    queueUp(EGRESS, OVERFULL);
    const policeNs = setPolice(HALF_FULL);
    const before = limit.stat(EGRESS);
    const stamped = limit.run('from_pod', frame).tstamp;
    expect(limit.clock(EGRESS).policeNs).toBe(policeNs + 1_211_200n);
    expect(limit.stat(EGRESS).packets - before.packets).toBe(1n);
    expect(limit.runStamped('leave', frame, stamped, { ingressIfindex: POD }).retval).toBe(DROP);
    expect(limit.clock(EGRESS).policeNs).toBe(policeNs);
    const after = limit.stat(EGRESS);
    expect([after.packets, after.bytes, after.throttledNs]).toEqual([before.packets, before.bytes, before.throttledNs]);
    expect(after.droppedPackets - before.droppedPackets).toBe(1n);
    // One that another program kept from from_pod was not: it is counted at the uplink alone.
    expect(limit.run('leave', frame, { ingressIfindex: POD }).retval).toBe(DROP);
    expect(limit.clock(EGRESS).policeNs).toBe(policeNs);
    expect(limit.stat(EGRESS).packets).toBe(before.packets);
    queueUp(EGRESS, 0n);
    expect(limit.run('leave', frame, { ingressIfindex: POD }).retval).toBe(NEXT);
    expect(limit.stat(EGRESS).packets - before.packets).toBe(1n);
  });

  it('slot 0 counts all that the uplinks were offered', () => {
    const before = limit.stat(0);
    limit.run('leave', frame, { ingressIfindex: POD });
    limit.run('leave', small);
    const after = limit.stat(0);
    expect(after.offeredPackets - before.offeredPackets).toBe(2n);
    expect(after.offeredBytes - before.offeredBytes).toBe(1614n);
  });

  it('the uplink sorts packets into the classes of their pod, and drops what is too much', () => {
    expect(limit.run('leave', frame, { ingressIfindex: POD })).toMatchObject({ retval: NEXT, priority: BULK });
    const limitNs = queueUp(EGRESS, HALF_FULL);
    limit.setClock(EGRESS, { limitNs, sparseNs: 0n });
    expect(limit.run('leave', small, { ingressIfindex: POD })).toMatchObject({ retval: NEXT, priority: SPARSE });
    queueUp(EGRESS, HALF_FULL);
    expect(limit.run('leave', frame, { ingressIfindex: POD })).toMatchObject({
      priority: BULK,
      tstamp: BigInt(CARRIED_JUDGED),
    });
    queueUp(EGRESS, OVERFULL);
    expect(limit.run('leave', frame, { ingressIfindex: POD }).retval).toBe(DROP);
  });

  it('behind a bridge or a tunnel the packet names its slot itself', () => {
    for (const context of [{}, { ingressIfindex: UPLINK }]) {
      expect(limit.runStamped('leave', frame, BigInt(EGRESS), context).priority).toBe(BULK);
    }
    queueUp(EGRESS, OVERFULL);
    expect(limit.runStamped('leave', frame, BigInt(EGRESS), { ingressIfindex: UPLINK }).retval).toBe(DROP);
  });

  it('a known interface is believed more than the packet, and a real departure time names nothing', () => {
    limit.setInterface(POD, {});
    queueUp(EGRESS, OVERFULL);
    const context = { ingressIfindex: POD, priority: 6 };
    expect(limit.runStamped('leave', frame, BigInt(EGRESS), context)).toMatchObject({ retval: NEXT, priority: 6 });
    expect(limit.runStamped('leave', frame, monotonicNs())).toMatchObject({ retval: NEXT, priority: 0 });
    expect(limit.run('leave', frame)).toMatchObject({ retval: NEXT, priority: 0 });
  });

  it('at another pod only that pod’s own limit is judged, in its classes', () => {
    queueUp(EGRESS, OVERFULL);
    const context = { ingressIfindex: POD, priority: 6 };
    expect(limit.runStamped('to_pod', frame, BigInt(EGRESS), context)).toMatchObject({ retval: NEXT, priority: 6 });
    limit.setInterface(LOOPBACK, { ingressSlot: INGRESS });
    const before = limit.clock(EGRESS);
    expect(limit.runStamped('to_pod', frame, BigInt(EGRESS), context)).toMatchObject({
      retval: NEXT,
      priority: BULK + 16,
    });
    expect(limit.clock(EGRESS)).toEqual(before);
    expect(limit.clock(INGRESS).limitNs).toBeGreaterThan(0n);
  });

  it('all ways out together carry no more than the limit', () => {
    limit.setLimit(EGRESS, { rateBps: 10_000_000n, mode: 'htb', classes: { bulk: BULK, sparse: SPARSE } });
    limit.setInterface(LOOPBACK, { egressSlot: EGRESS });
    const from = monotonicNs();
    const { bytes, offeredPackets } = limit.stat(EGRESS);
    for (let turn = 0; monotonicNs() - from < 600n * MS; turn++) {
      const { retval, tstamp } = limit.run('from_pod', frame);
      // Every second one leaves where HTB is.
      if (retval === NEXT && turn % 2 === 0) limit.runStamped('leave', frame, tstamp, { ingressIfindex: POD });
    }
    const seconds = Number(monotonicNs() - from) / 1e9;
    const after = limit.stat(EGRESS);
    // The backstop's 250 ms, and one packet.
    expect(Number(after.bytes - bytes)).toBeLessThanOrEqual(1_250_000 * (seconds + 0.25) + 1514);
    expect(Number(after.bytes - bytes)).toBeGreaterThan(1_250_000 * seconds);
    expect(after.offeredPackets - offeredPackets).toBeGreaterThan(1000n);
  });

  it('senders with other modes, exempt packets and shadows are left alone', () => {
    const context = { ingressIfindex: POD, priority: 6 };
    queueUp(EGRESS, OVERFULL);
    for (const one of [solicitation, arp, raw]) {
      expect(limit.run('leave', one, context)).toMatchObject({ retval: NEXT, priority: 6 });
    }
    for (const options of [{ mode: 'stamp' }, { mode: 'police' }, { mode: 'htb', shadow: true }] as const) {
      limit.setLimit(EGRESS, { rateBps: 10_000_000n, ...options });
      expect(limit.run('leave', frame, context)).toMatchObject({ retval: NEXT, priority: 6 });
    }
  });
});

describe('where nothing holds packets back', () => {
  beforeAll(async () => {
    limit = await LimitObject.load();
    limit.setInterface(LOOPBACK, { egressSlot: EGRESS, ingressSlot: EGRESS });
  });
  afterAll(() => limit.close());

  it.each<Hook>(['from_pod', 'to_pod'])('%s polices: no stamp, and a drop beyond 250 ms', (hook) => {
    limit.setLimit(EGRESS, { rateBps: 10_000_000n, mode: 'police' });
    queueUp(EGRESS, 240n * MS);
    expect(limit.run(hook, frame)).toMatchObject({ retval: NEXT, tstamp: 0n, priority: 0 });
    const limitNs = queueUp(EGRESS, 260n * MS);
    const { retval } = limit.run(hook, frame);
    expect(retval).toBe(limitNs - limit.stat(EGRESS).lastNs > 250n * MS ? DROP : NEXT);
    queueUp(EGRESS, SECOND);
    expect(limit.run(hook, frame).retval).toBe(DROP);
  });
});
