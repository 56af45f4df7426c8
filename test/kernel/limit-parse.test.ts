import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { slotConfig } from '../../bandwidth/slot-config.ts';
import { buildBpf } from '../support/bpf.ts';
import { ETHERTYPE, PROTOCOL, ethernet, extension, ipv4, ipv6, tcp, udp, vlanTag } from './limit-support/frames.ts';
import { LOOPBACK, LimitObject, NEXT, monotonicNs, type Context } from './limit-support/limit-object.ts';

const SLOT = 1;
const { tcp: TCP, icmpv6: ICMPV6, sctp: SCTP } = PROTOCOL;
const HOP_BY_HOP = 0;
const ROUTING = 43;
const FRAGMENT = 44;
const AUTHENTICATION = 51;
const DESTINATION = 60;
const JUMBO = 0xc2;
const CE_OFFSET_V4 = 14 + 1;

let limit: LimitObject;

beforeAll(async () => {
  buildBpf();
  limit = await LimitObject.load();
});
afterAll(() => limit.close());
beforeEach(() => limit.setInterface(LOOPBACK, { egressSlot: SLOT, ingressSlot: SLOT }));

const v4 = (payload: Uint8Array, header: Parameters<typeof ipv4>[0] = {}): Uint8Array =>
  ethernet(ETHERTYPE.ipv4, ipv4(header, payload));
const v6 = (payload: Uint8Array, header: Parameters<typeof ipv6>[0] = {}): Uint8Array =>
  ethernet(ETHERTYPE.ipv6, ipv6(header, payload));

/** Bytes that the program charges, or that it finds the packet exempt. */
function charged(hook: 'from_pod' | 'to_pod', frame: Uint8Array, context: Context = {}): number | 'exempt' {
  const before = limit.stat(SLOT);
  expect(limit.run(hook, frame, context).retval).toBe(NEXT);
  const after = limit.stat(SLOT);
  expect(after.offeredPackets - before.offeredPackets).toBe(1n);
  if (after.exemptPackets > before.exemptPackets) {
    expect(after.exemptBytes - before.exemptBytes).toBe(BigInt(frame.length));
    return 'exempt';
  }
  return Number(after.bytes - before.bytes);
}

describe('bytes on the wire', () => {
  const gso = (segments: number, size = 1000): Context => ({ gsoSegs: segments, gsoSize: size });

  // The frames are short: what counts is each further segment's copy of the headers.
  it.each<[string, Uint8Array, Context, number]>([
    ['a UDP packet', v4(udp(100)), {}, 142],
    ['a TCP packet', v4(tcp(100), { protocol: TCP }), {}, 14 + 20 + 32 + 100],
    ['a TCP super-packet', v4(tcp(100, 12), { protocol: TCP }), gso(5), 166 + 4 * 66],
    ['without TCP options', v4(tcp(100, 0), { protocol: TCP }), gso(5), 154 + 4 * 54],
    ['with the most TCP options', v4(tcp(100, 40), { protocol: TCP }), gso(3), 194 + 2 * 94],
    ['with IPv4 options', v4(tcp(100), { protocol: TCP, options: 40 }), gso(2), 206 + 106],
    ['a UDP super-packet', v4(udp(100)), gso(40), 142 + 39 * 42],
    ['an SCTP super-packet', v4(udp(100), { protocol: SCTP }), gso(2), 142 + 46],
    ['one of a protocol that is not known', v4(udp(100), { protocol: 200 }), gso(2), 142 + 34],
    ['IPv6 TCP', v6(tcp(100), { next: TCP }), gso(2), 14 + 40 + 32 + 100 + 86],
    ['IPv6 UDP', v6(udp(100)), gso(3), 162 + 2 * 62],
    [
      'IPv6 with extension headers',
      v6(Buffer.concat([extension(ROUTING, 2), extension(DESTINATION, 3), extension(TCP, 1), tcp(100)]), {
        next: HOP_BY_HOP,
      }),
      gso(2),
      14 + 40 + 48 + 132 + 14 + 40 + 48 + 32,
    ],
    [
      'IPv6 with a fragment header, whose second byte is no length',
      v6(Buffer.concat([Buffer.from([TCP, 99, 0, 0, 0, 0, 0, 1]), tcp(100)]), { next: FRAGMENT }),
      gso(2),
      14 + 40 + 8 + 132 + 94,
    ],
    [
      'IPv6 with an authentication header, which counts in 4 bytes',
      v6(Buffer.concat([Buffer.from([TCP, 4, ...new Array<number>(22).fill(0)]), tcp(100)]), { next: AUTHENTICATION }),
      gso(2),
      14 + 40 + 24 + 132 + 110,
    ],
    [
      'IPv6 BIG TCP: the jumbo header is not on the wire',
      v6(Buffer.concat([extension(TCP, 1, JUMBO), tcp(100)]), { next: HOP_BY_HOP, jumbo: true }),
      gso(10),
      14 + 40 + 132 + 9 * 86,
    ],
    [
      'extension headers without end: as far as they were read',
      v6(Buffer.concat([...new Array<Uint8Array>(12).fill(extension(DESTINATION)), tcp(100)]), { next: DESTINATION }),
      gso(2),
      14 + 40 + 96 + 132 + 14 + 40 + 56,
    ],
    ['a super-packet whose segments nobody counted', v4(tcp(1000), { protocol: TCP }), { gsoSize: 300 }, 1066 + 3 * 66],
    ['a first fragment', v4(udp(100), { fragment: 0x2000 }), {}, 142],
    ['a later fragment', v4(udp(100), { fragment: 0x00b9 }), {}, 142],
    ['a tag in the frame', ethernet(ETHERTYPE.vlan, vlanTag(7, ETHERTYPE.ipv4), ipv4({}, udp(100))), {}, 146],
    [
      'two tags in the frame, of a super-packet',
      ethernet(ETHERTYPE.qinq, vlanTag(7, ETHERTYPE.vlan), vlanTag(8, ETHERTYPE.ipv6), ipv6({ next: TCP }, tcp(100))),
      gso(2),
      194 + 94,
    ],
    ['IPv4 that is cut off', ethernet(ETHERTYPE.vlan, vlanTag(7, ETHERTYPE.ipv4), Buffer.alloc(10)), {}, 28],
    ['IPv6 that is cut off', ethernet(ETHERTYPE.vlan, vlanTag(7, ETHERTYPE.ipv6), Buffer.alloc(30)), gso(3), 48],
    ['an echo request over IPv6', v6(Buffer.from([128, 0, 0, 0]), { next: ICMPV6 }), {}, 58],
  ])('at ingress, %s', (_name, frame, context, bytes) => {
    limit.setLimit(SLOT, { rateBps: 10n ** 12n, mode: 'stamp' });
    expect(charged('from_pod', frame, context)).toBe(bytes);
  });

  it.each<[string, Uint8Array, Context, number]>([
    ['what the kernel counted', v4(tcp(100), { protocol: TCP }), { ...gso(5), wireLen: 430 }, 430],
    ['a packet that is no super-packet', v4(tcp(100), { protocol: TCP }), { wireLen: 200 }, 166],
    [
      'BIG TCP without the jumbo header that the kernel counts in each segment',
      v6(Buffer.concat([extension(TCP, 1, JUMBO), tcp(100)]), { next: HOP_BY_HOP, jumbo: true }),
      { ...gso(10), wireLen: 194 + 9 * 94 },
      186 + 9 * 86,
    ],
  ])('at egress, %s', (_name, frame, context, bytes) => {
    limit.setLimit(SLOT, { rateBps: 10n ** 12n, mode: 'stamp' });
    expect(charged('to_pod', frame, context)).toBe(bytes);
  });

  it('without a link-layer header, where the interface has none', () => {
    limit.setLimit(SLOT, { rateBps: 10n ** 12n, mode: 'stamp' });
    limit.setInterface(LOOPBACK, { egressSlot: SLOT, noMac: true });
    // The test run itself always has one: only its copies count here.
    expect(charged('from_pod', v4(udp(100)), gso(3))).toBe(142 + 2 * 28);
  });
});

describe('exempt from the limit', () => {
  const icmp = (type: number, length: number): Uint8Array => Buffer.concat([Buffer.of(type), Buffer.alloc(length - 1)]);
  const nd = (type: number, header: Parameters<typeof ipv6>[0] = {}, length = 8): Uint8Array =>
    v6(icmp(type, length), { next: ICMPV6, hopLimit: 255, ...header });
  const hop1 = { next: HOP_BY_HOP, hopLimit: 1 };
  const mld = (type: number, hopLimit = 1, length = 20): Uint8Array =>
    v6(Buffer.concat([extension(ICMPV6, 1, 5), icmp(type, length)]), { ...hop1, hopLimit });
  const igmp = (length: number, ttl = 1): Uint8Array => v4(Buffer.alloc(length), { protocol: PROTOCOL.igmp, ttl });

  it.each<[string, Uint8Array, boolean]>([
    ['ARP', ethernet(ETHERTYPE.arp, Buffer.alloc(28)), true],
    ['ARP behind a tag', ethernet(ETHERTYPE.vlan, vlanTag(7, ETHERTYPE.arp), Buffer.alloc(28)), true],
    ['ARP of 256 bytes', ethernet(ETHERTYPE.arp, Buffer.alloc(242)), true],
    ['what claims to be ARP, of 257', ethernet(ETHERTYPE.arp, Buffer.alloc(243)), false],
    ['another EtherType (LLDP)', ethernet(0x88cc, Buffer.alloc(60)), false],
    ['IPv4 multicast', v4(udp(10), { destination: '224.0.0.251', ttl: 1 }), false],
    ['limited broadcast (DHCP)', v4(udp(10), { destination: '255.255.255.255' }), false],
    ['IPv4 link-local', v4(udp(10), { destination: '169.254.20.10' }), false],
    ['IPv6 multicast', v6(udp(10), { destination: 'ff020000000000000000000000000001' }), false],
    ['IPv6 link-local', v6(udp(10), { destination: 'fe800000000000000000000000000001', hopLimit: 255 }), false],
    ['IGMP', igmp(8), true],
    ['IGMP of 256 bytes', igmp(222), true],
    ['IGMP of 257 bytes', igmp(223), false],
    ['what claims to be IGMP, and is to be forwarded', igmp(8, 2), false],
    ['MLD query', mld(130), true],
    ['MLDv2 report behind its router alert', mld(143), true],
    ['MLD with another hop limit', mld(143, 64), false],
    ['what claims to be MLD, of 257 bytes', mld(143, 1, 257 - 14 - 40 - 8), false],
    ['behind a longer hop-by-hop header', v6(Buffer.concat([extension(ICMPV6, 2), Buffer.of(143)]), hop1), false],
    ['neighbour solicitation to a global address', nd(135), true],
    ['redirect', nd(137), true],
    ['neighbour discovery of 256 bytes', nd(135, {}, 202), true],
    ['neighbour discovery of 257 bytes', nd(135, {}, 203), false],
    ['a report with the hop limit of neighbour discovery', nd(143), false],
    ['what claims to be neighbour discovery, but was not sent on this link', nd(135, { hopLimit: 64 }), false],
    ['echo request', nd(128), false],
    ['type 138', nd(138), false],
    ['an ICMPv6 header that is cut off', v6(Buffer.alloc(0), { next: ICMPV6, hopLimit: 255 }), false],
    [
      'three tags',
      ethernet(
        ETHERTYPE.qinq,
        vlanTag(1, ETHERTYPE.vlan),
        vlanTag(2, ETHERTYPE.vlan),
        vlanTag(3, ETHERTYPE.ipv4),
        ipv4({}, udp(9)),
      ),
      false,
    ],
  ])('%s', (_name, frame, exempt) => {
    limit.setLimit(SLOT, { rateBps: 10n ** 12n, mode: 'stamp' });
    expect(charged('from_pod', frame) === 'exempt').toBe(exempt);
    expect(charged('to_pod', frame) === 'exempt').toBe(exempt);
  });

  it('a super-packet is not, whatever it claims to be', () => {
    limit.setLimit(SLOT, { rateBps: 10n ** 12n, mode: 'stamp' });
    expect(charged('from_pod', nd(135), { gsoSegs: 40, gsoSize: 1000 })).toBeGreaterThan(1000);
  });
});

describe('congestion marks', () => {
  /** At full strength, however short the time between this and the packet. */
  function markAll(): void {
    limit.setConfig(SLOT, {
      ...slotConfig({ rateBps: 64_000n, mode: 'stamp', cpus: 2 }),
      ceNs: 0,
      dropNs: 1,
      hardNs: 4e9,
    });
    const now = monotonicNs();
    limit.setClock(SLOT, { limitNs: now + 3_000_000_000n, sparseNs: now + 3_000_000_000n });
    limit.setFlows(SLOT, []);
  }

  it.each([
    ['not capable', 0, 0],
    ['ECT(1)', 1, 3],
    ['ECT(0), beside a DSCP', 0xb8 | 2, 0xb8 | 3],
    ['CE already', 3, 3],
  ])('IPv4: %s', (_name, tos, after) => {
    markAll();
    const marked = limit.stat(SLOT).marked;
    const outcome = limit.run('from_pod', v4(udp(300), { tos }));
    expect(outcome.frame[CE_OFFSET_V4]).toBe(after);
    expect(limit.stat(SLOT).marked - marked).toBe(tos === 0 ? 0n : 1n);
  });

  it.each([
    [0, 0],
    [1, 3],
    [2, 3],
    [0xb8 | 2, 0xb8 | 3],
  ])('IPv6: traffic class %d becomes %d', (trafficClass, after) => {
    markAll();
    const { frame } = limit.run('from_pod', v6(udp(300), { trafficClass }));
    expect(((frame[14]! & 0xf) << 4) | (frame[15]! >> 4)).toBe(after);
  });

  // The kernel's helper would write into the tag: it takes the network header for that of IP.
  it('never in a frame that holds a tag', () => {
    markAll();
    const frame = ethernet(ETHERTYPE.vlan, vlanTag(0x002, ETHERTYPE.ipv4), ipv4({ tos: 2 }, udp(300)));
    const before = limit.stat(SLOT).marked;
    expect(Buffer.from(limit.run('from_pod', frame).frame).equals(frame)).toBe(true);
    expect(limit.stat(SLOT).marked).toBe(before);
  });
});
