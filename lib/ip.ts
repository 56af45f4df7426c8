/**
 * IPv4 and IPv6 addresses and prefixes as 16 bytes (IPv4 as ::ffff:a.b.c.d, RFC 4291 2.5.5.2): one shape for both families.
 * Pure. Text is accepted as Go's net/netip does (Kubernetes validates with it): no leading zeros, no zone.
 */

/** A prefix: `address` has 16 bytes with all host bits zero; `prefixLength` 0..128 counts in those (an IPv4 /24 is 120). */
export interface Cidr {
  readonly address: Uint8Array;
  readonly prefixLength: number;
}

/** A key for Maps: IPv4 as an unsigned 32-bit number, IPv6 as its 16 bytes in a latin1 string. */
export type AddressKey = number | string;

const V4_BITS = 96;

function parseV4Into(text: string, out: Uint8Array, at: number): boolean {
  let octet = -1;
  let index = 0;
  for (let i = 0; i <= text.length; i++) {
    const c = i < text.length ? text.charCodeAt(i) : 46;
    if (c === 46) {
      if (octet < 0 || index > 3) return false;
      out[at + index++] = octet;
      octet = -1;
    } else if (c >= 48 && c <= 57) {
      if (octet === 0) return false;
      octet = octet < 0 ? c - 48 : octet * 10 + c - 48;
      if (octet > 255) return false;
    } else {
      return false;
    }
  }
  return index === 4;
}

function hexDigit(c: number): number {
  if (c >= 48 && c <= 57) return c - 48;
  if (c >= 97 && c <= 102) return c - 87;
  if (c >= 65 && c <= 70) return c - 55;
  return -1;
}

/** Appends the groups of one side of `::` to `groups`; false: not valid. */
function parseGroups(text: string, last: boolean, groups: number[]): boolean {
  if (text === '') return true;
  const parts = text.split(':');
  for (const [i, part] of parts.entries()) {
    if (last && i === parts.length - 1 && part.includes('.')) {
      const v4 = new Uint8Array(4);
      if (!parseV4Into(part, v4, 0)) return false;
      groups.push((v4[0]! << 8) | v4[1]!, (v4[2]! << 8) | v4[3]!);
      continue;
    }
    if (part.length < 1 || part.length > 4) return false;
    let value = 0;
    for (let k = 0; k < part.length; k++) {
      const digit = hexDigit(part.charCodeAt(k));
      if (digit < 0) return false;
      value = (value << 4) | digit;
    }
    groups.push(value);
  }
  return true;
}

/** 16 bytes, or undefined if `text` is no address. */
export function parseAddress(text: string): Uint8Array | undefined {
  if (text.length < 2 || text.length > 45) return undefined;
  const bytes = new Uint8Array(16);
  if (!text.includes(':')) {
    bytes[10] = bytes[11] = 0xff;
    return parseV4Into(text, bytes, 12) ? bytes : undefined;
  }
  const gap = text.indexOf('::');
  if (gap !== text.lastIndexOf('::')) return undefined;
  const head: number[] = [];
  const tail: number[] = [];
  if (gap < 0) {
    if (!parseGroups(text, true, head) || head.length !== 8) return undefined;
  } else {
    if (!parseGroups(text.slice(0, gap), false, head) || !parseGroups(text.slice(gap + 2), true, tail))
      return undefined;
    if (head.length + tail.length > 7) return undefined;
  }
  for (const [i, group] of head.entries()) {
    bytes[2 * i] = group >> 8;
    bytes[2 * i + 1] = group & 0xff;
  }
  const start = 8 - tail.length;
  for (const [i, group] of tail.entries()) {
    bytes[2 * (start + i)] = group >> 8;
    bytes[2 * (start + i) + 1] = group & 0xff;
  }
  return bytes;
}

/** Whether the 16 bytes at `offset` are an IPv4 address. */
export function isV4(bytes: Uint8Array, offset = 0): boolean {
  if (bytes[offset + 11] !== 0xff || bytes[offset + 10] !== 0xff) return false;
  for (let i = offset; i < offset + 10; i++) if (bytes[i] !== 0) return false;
  return true;
}

/** The IPv4 address of 16 bytes as an unsigned 32-bit number; meaningful only where isV4(). */
export function v4Number(bytes: Uint8Array, offset = 0): number {
  const at = offset + 12;
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

export function addressKey(bytes: Uint8Array, offset = 0): AddressKey {
  return isV4(bytes, offset) ? v4Number(bytes, offset) : v6Key(bytes, offset);
}

/** The key of an IPv6 address; `String.fromCharCode` with 16 arguments beats Buffer.latin1Slice for so few bytes. */
export function v6Key(b: Uint8Array, o: number): string {
  return String.fromCharCode(
    b[o]!,
    b[o + 1]!,
    b[o + 2]!,
    b[o + 3]!,
    b[o + 4]!,
    b[o + 5]!,
    b[o + 6]!,
    b[o + 7]!,
    b[o + 8]!,
    b[o + 9]!,
    b[o + 10]!,
    b[o + 11]!,
    b[o + 12]!,
    b[o + 13]!,
    b[o + 14]!,
    b[o + 15]!,
  );
}

/** The inverse of addressKey. */
export function keyAddress(key: AddressKey): Uint8Array {
  const bytes = new Uint8Array(16);
  if (typeof key === 'number') {
    bytes[10] = bytes[11] = 0xff;
    bytes[12] = key >>> 24;
    bytes[13] = (key >>> 16) & 0xff;
    bytes[14] = (key >>> 8) & 0xff;
    bytes[15] = key & 0xff;
  } else {
    for (let i = 0; i < 16; i++) bytes[i] = key.charCodeAt(i);
  }
  return bytes;
}

/** Dotted IPv4, or IPv6 as RFC 5952 writes it. */
export function formatAddress(bytes: Uint8Array, offset = 0): string {
  if (isV4(bytes, offset)) {
    return `${bytes[offset + 12]}.${bytes[offset + 13]}.${bytes[offset + 14]}.${bytes[offset + 15]}`;
  }
  return formatV6(bytes, offset);
}

function formatV6(bytes: Uint8Array, offset: number): string {
  const groups: number[] = [];
  for (let i = 0; i < 16; i += 2) groups.push((bytes[offset + i]! << 8) | bytes[offset + i + 1]!);
  let runStart = -1;
  let runLength = 1;
  for (let i = 0; i < 8; i++) {
    let end = i;
    while (end < 8 && groups[end] === 0) end++;
    if (end - i > runLength) {
      runStart = i;
      runLength = end - i;
    }
    if (end > i) i = end;
  }
  const hex = (part: number[]): string => part.map((g) => g.toString(16)).join(':');
  if (runStart < 0) return hex(groups);
  return `${hex(groups.slice(0, runStart))}::${hex(groups.slice(runStart + runLength))}`;
}

/** The address with all bits behind `prefixLength` (0..128) zero, as a new array. */
export function maskAddress(bytes: Uint8Array, prefixLength: number, offset = 0): Uint8Array {
  const masked = bytes.slice(offset, offset + 16);
  for (let i = 0; i < 16; i++) {
    const keep = Math.min(8, Math.max(0, prefixLength - 8 * i));
    masked[i] = masked[i]! & (0xff00 >> keep) & 0xff;
  }
  return masked;
}

/** "10.0.0.0/8", "fd00::/64", or a bare address (all 128 bits). Host bits are cleared. undefined: not valid. */
export function parseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf('/');
  const address = parseAddress(slash < 0 ? text : text.slice(0, slash));
  if (address === undefined) return undefined;
  if (slash < 0) return { address, prefixLength: 128 };
  const digits = text.slice(slash + 1);
  if (!/^(0|[1-9][0-9]{0,2})$/.test(digits)) return undefined;
  const v4 = !text.includes(':');
  const prefixLength = Number(digits) + (v4 ? V4_BITS : 0);
  if (prefixLength > 128) return undefined;
  return { address: maskAddress(address, prefixLength), prefixLength };
}

/** "10.0.0.0/8" where the prefix lies in IPv4, else IPv6. */
export function formatCidr(cidr: Cidr): string {
  if (cidr.prefixLength >= V4_BITS && isV4(cidr.address)) {
    return `${formatAddress(cidr.address)}/${cidr.prefixLength - V4_BITS}`;
  }
  return `${formatV6(cidr.address, 0)}/${cidr.prefixLength}`;
}

/** Whether the 16 bytes at `offset` lie in the prefix. */
export function cidrContains(cidr: Cidr, bytes: Uint8Array, offset = 0): boolean {
  const full = cidr.prefixLength >> 3;
  for (let i = 0; i < full; i++) if (cidr.address[i] !== bytes[offset + i]) return false;
  const rest = cidr.prefixLength & 7;
  if (rest === 0) return true;
  const mask = (0xff00 >> rest) & 0xff;
  return (cidr.address[full]! & mask) === (bytes[offset + full]! & mask);
}
