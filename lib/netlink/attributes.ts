import { NetloomError } from '../errors.ts';

/**
 * Netlink attributes (struct nlattr of linux/netlink.h): u16 length with this header, u16 type, payload, padded to 4
 * bytes. Numbers are in the byte order of the machine, which on every platform of Node for Linux that we ship is
 * little-endian. Pure.
 */

const HEADER_SIZE = 4;
/** NLA_F_NESTED and NLA_F_NET_BYTEORDER share the type's field. */
const TYPE_MASK = 0x3fff;

export const align4 = (length: number): number => (length + 3) & ~3;

export function attribute(type: number, payload: Uint8Array): Buffer {
  const length = HEADER_SIZE + payload.length;
  const bytes = Buffer.alloc(align4(length));
  bytes.writeUInt16LE(length, 0);
  bytes.writeUInt16LE(type, 2);
  bytes.set(payload, HEADER_SIZE);
  return bytes;
}

export function u8Attribute(type: number, value: number): Buffer {
  return attribute(type, Uint8Array.of(value));
}

export function u32Attribute(type: number, value: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32LE(value);
  return attribute(type, payload);
}

export function s32Attribute(type: number, value: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeInt32LE(value);
  return attribute(type, payload);
}

export function u64Attribute(type: number, value: bigint): Buffer {
  const payload = Buffer.alloc(8);
  payload.writeBigUInt64LE(value);
  return attribute(type, payload);
}

/** With the terminating NUL that the kernel asks for. */
export function stringAttribute(type: number, value: string): Buffer {
  return attribute(type, Buffer.from(`${value}\0`, 'utf8'));
}

/** Attributes inside an attribute; without NLA_F_NESTED, which rtnetlink neither asks for nor refuses. */
export function nestedAttribute(type: number, ...inside: readonly Uint8Array[]): Buffer {
  return attribute(type, Buffer.concat(inside));
}

/** The object without its keys that are undefined: so an absent attribute is an absent key. */
export function defined<T extends object>(object: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}

/**
 * Attributes as read. An absent one, or one shorter than the type asked for, is undefined: kernels of different age
 * send different sets, and a newer kernel may send more of each.
 */
export class Attributes {
  readonly #payloads = new Map<number, Buffer>();

  /**
   * @param bytes attributes one after another; of a type that comes twice the last one counts
   * @throws NetloomError NETLINK_MALFORMED
   */
  constructor(bytes: Uint8Array) {
    for (const [type, payload] of attributesIn(bytes)) this.#payloads.set(type, payload);
  }

  has(type: number): boolean {
    return this.#payloads.has(type);
  }

  bytes(type: number): Buffer | undefined {
    return this.#payloads.get(type);
  }

  u8(type: number): number | undefined {
    return this.#atLeast(type, 1)?.readUInt8(0);
  }

  u32(type: number): number | undefined {
    return this.#atLeast(type, 4)?.readUInt32LE(0);
  }

  s32(type: number): number | undefined {
    return this.#atLeast(type, 4)?.readInt32LE(0);
  }

  u64(type: number): bigint | undefined {
    return this.#atLeast(type, 8)?.readBigUInt64LE(0);
  }

  /** Up to the first NUL. */
  string(type: number): string | undefined {
    const payload = this.#payloads.get(type);
    if (payload === undefined) return undefined;
    const end = payload.indexOf(0);
    return payload.toString('utf8', 0, end < 0 ? payload.length : end);
  }

  /** Empty if the attribute is absent. */
  nested(type: number): Attributes {
    return new Attributes(this.#payloads.get(type) ?? new Uint8Array());
  }

  #atLeast(type: number, size: number): Buffer | undefined {
    const payload = this.#payloads.get(type);
    return payload !== undefined && payload.length >= size ? payload : undefined;
  }
}

/**
 * Type and payload of each attribute, in order; payloads are views. The padding of the last may be missing.
 * @throws NetloomError NETLINK_MALFORMED
 */
export function attributesIn(bytes: Uint8Array): (readonly [type: number, payload: Buffer])[] {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const found: (readonly [number, Buffer])[] = [];
  for (let at = 0; at + HEADER_SIZE <= buffer.length;) {
    const length = buffer.readUInt16LE(at);
    if (length < HEADER_SIZE || at + length > buffer.length) {
      throw new NetloomError('NETLINK_MALFORMED', 'an attribute of a netlink message does not fit into it', {
        expected: `${HEADER_SIZE} to ${buffer.length - at} bytes`,
        found: `${length}`,
      });
    }
    found.push([buffer.readUInt16LE(at + 2) & TYPE_MASK, buffer.subarray(at + HEADER_SIZE, at + length)]);
    at += align4(length);
  }
  return found;
}
