/** Ethernet frames by their parts, for programs that are run on test data. Checksums are left 0: no program looks. */

export const PROTOCOL = { igmp: 2, tcp: 6, udp: 17, icmpv6: 58, sctp: 132 } as const;
export const ETHERTYPE = { ipv4: 0x0800, ipv6: 0x86dd, arp: 0x0806, vlan: 0x8100, qinq: 0x88a8 } as const;

export function ethernet(type: number, ...rest: Uint8Array[]): Uint8Array {
  return Buffer.concat([Buffer.from('02000000000102000000000208', 'hex').subarray(0, 12), u16(type), ...rest]);
}

/** A tag as it stands in a frame; `type` is what follows. */
export function vlanTag(id: number, type: number): Uint8Array {
  return Buffer.concat([u16(id), u16(type)]);
}

export interface Ipv4 {
  readonly protocol?: number;
  readonly tos?: number;
  readonly source?: string;
  readonly destination?: string;
  /** Multiple of 4. */
  readonly options?: number;
  readonly fragment?: number;
  readonly ttl?: number;
}

export function ipv4(header: Ipv4, payload: Uint8Array): Uint8Array {
  const options = header.options ?? 0;
  const head = Buffer.alloc(20 + options);
  head[0] = 0x40 | (5 + options / 4);
  head[1] = header.tos ?? 0;
  head.writeUInt16BE(head.length + payload.length, 2);
  head.writeUInt16BE(header.fragment ?? 0, 6);
  head[8] = header.ttl ?? 64;
  head[9] = header.protocol ?? PROTOCOL.udp;
  head.set(address4(header.source ?? '10.1.0.1'), 12);
  head.set(address4(header.destination ?? '10.2.0.1'), 16);
  return Buffer.concat([head, payload]);
}

export interface Ipv6 {
  readonly next?: number;
  readonly trafficClass?: number;
  readonly hopLimit?: number;
  /** 16 bytes as hex. */
  readonly source?: string;
  readonly destination?: string;
  /** As BIG TCP has it: 0, with a jumbo option behind. */
  readonly jumbo?: boolean;
}

export function ipv6(header: Ipv6, payload: Uint8Array): Uint8Array {
  const head = Buffer.alloc(40);
  head.writeUInt32BE((0x60000000 | ((header.trafficClass ?? 0) << 20)) >>> 0, 0);
  head.writeUInt16BE(header.jumbo === true ? 0 : payload.length, 4);
  head[6] = header.next ?? PROTOCOL.udp;
  head[7] = header.hopLimit ?? 64;
  head.set(Buffer.from(header.source ?? 'fd000000000000000000000000000001', 'hex'), 8);
  head.set(Buffer.from(header.destination ?? 'fd000000000000000000000000000002', 'hex'), 24);
  return Buffer.concat([head, payload]);
}

/** An extension header of `units` times 8 bytes. */
export function extension(next: number, units = 1, option = 0): Uint8Array {
  const bytes = Buffer.alloc(8 * units);
  bytes[0] = next;
  bytes[1] = units - 1;
  bytes[2] = option;
  bytes[3] = 8 * units - 4;
  return bytes;
}

export function udp(payload: number, port = 5000, from = 4000): Uint8Array {
  const bytes = Buffer.alloc(8 + payload);
  bytes.writeUInt16BE(from, 0);
  bytes.writeUInt16BE(port, 2);
  bytes.writeUInt16BE(bytes.length, 4);
  return bytes;
}

/** @param options bytes of options, a multiple of 4 */
export function tcp(payload: number, options = 12, from = 4000): Uint8Array {
  const bytes = Buffer.alloc(20 + options + payload);
  bytes.writeUInt16BE(from, 0);
  bytes.writeUInt16BE(80, 2);
  bytes[12] = ((20 + options) / 4) << 4;
  bytes[13] = 0x10;
  return bytes;
}

/** A UDP frame of exactly `length` bytes (at least 42). */
export function udpFrame(length: number, header: Ipv4 = {}, port = 5000, from = 4000): Uint8Array {
  return ethernet(ETHERTYPE.ipv4, ipv4(header, udp(length - 42, port, from)));
}

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

function address4(text: string): number[] {
  return text.split('.').map(Number);
}
