import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  Attributes,
  attribute,
  attributesIn,
  nestedAttribute,
  s32Attribute,
  stringAttribute,
  u32Attribute,
  u64Attribute,
  u8Attribute,
} from '../../lib/netlink/attributes.ts';
import { encodeMessage, splitDatagram } from '../../lib/netlink/message.ts';
import { refusalError, refusalOf } from '../../lib/netlink/netlink-error.ts';
import { errorOf } from '../support/bpf.ts';

describe('attributes', () => {
  it('come back as they were written', () => {
    const one = fc.tuple(fc.integer({ min: 1, max: 0x3fff }), fc.uint8Array({ maxLength: 70 }));
    fc.assert(
      fc.property(fc.array(one), (list) => {
        const bytes = Buffer.concat(list.map(([type, payload]) => attribute(type, payload)));
        expect(bytes.length % 4).toBe(0);
        expect(attributesIn(bytes).map(([type, payload]) => [type, new Uint8Array(payload)])).toEqual(list);
      }),
    );
  });

  it('are read by their width, and are absent when shorter', () => {
    const found = new Attributes(
      Buffer.concat([
        u8Attribute(1, 200),
        u32Attribute(2, 0xfffffffe),
        s32Attribute(3, -1),
        u64Attribute(4, 2n ** 63n),
        stringAttribute(5, 'eth0'),
        nestedAttribute(0x8000 | 6, u32Attribute(1, 7)),
      ]),
    );
    expect([found.u8(1), found.u32(2), found.s32(3), found.u64(4)]).toEqual([200, 0xfffffffe, -1, 2n ** 63n]);
    expect(found.string(5)).toBe('eth0');
    expect(found.nested(6).u32(1)).toBe(7);
    expect([found.u32(1), found.u64(2), found.u32(9), found.string(9), found.nested(9).has(1)]).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
      false,
    ]);
  });

  it('that do not fit are refused, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        try {
          attributesIn(bytes);
        } catch (error) {
          expect((error as { code: string }).code).toBe('NETLINK_MALFORMED');
        }
      }),
    );
    expect(() => attributesIn(Uint8Array.of(3, 0, 1, 0))).toThrow('does not fit');
    expect(() => attributesIn(Uint8Array.of(9, 0, 1, 0, 1, 2, 3, 4))).toThrow('does not fit');
  });
});

describe('messages', () => {
  it('come back as they were written, several in a datagram', () => {
    const one = fc.tuple(fc.nat(0xffff), fc.nat(0xffff), fc.nat(0xffffffff), fc.uint8Array({ maxLength: 70 }));
    fc.assert(
      fc.property(fc.array(one), (list) => {
        const datagram = Buffer.concat(list.map(([type, flags, seq, body]) => encodeMessage(type, flags, seq, body)));
        const found = splitDatagram(datagram).map((m) => [m.type, m.flags, m.sequence, new Uint8Array(m.body)]);
        expect(found).toEqual(list);
      }),
    );
  });

  it('that do not fit are refused, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        try {
          splitDatagram(Buffer.from(bytes));
        } catch (error) {
          expect((error as { code: string }).code).toBe('NETLINK_MALFORMED');
        }
      }),
    );
  });
});

describe('refusals', () => {
  /** As recvmsg gave them to tc for a qdisc that this kernel does not have (6.18). */
  const hex = (text: string) => splitDatagram(Buffer.from(text, 'hex'))[0]!;

  it('of a request carry the words of the kernel', () => {
    const message = hex(
      '6800000002000002dc450a6b74140000feffffff3000000024000505dc450a6b00000000000000000300000000004c4effffffff' +
        '0000000007000100667100000400020024000100537065636966696564207164697363206b696e6420697320756e6b6e6f776e00',
    );
    expect(refusalOf(message)).toEqual({ errno: 2, words: 'Specified qdisc kind is unknown' });
  });

  it('of a request that is repeated in them are understood too', () => {
    const request = encodeMessage(36, 5, 1, Buffer.alloc(21));
    const status = Buffer.alloc(4);
    status.writeInt32LE(-22);
    const body = Buffer.concat([status, request, stringAttribute(1, 'No.')]);
    body.writeUInt32LE(request.length, 4);
    expect(refusalOf({ type: 2, flags: 0x200, sequence: 1, body })).toEqual({ errno: 22, words: 'No.' });
    expect(refusalOf({ type: 2, flags: 0, sequence: 1, body })).toEqual({ errno: 22 });
  });

  it('at the end of a dump are understood, and an end without any is none', () => {
    const status = Buffer.alloc(4);
    status.writeInt32LE(-22);
    const body = Buffer.concat([status, stringAttribute(1, 'Invalid target network namespace id')]);
    const refusal = { errno: 22, words: 'Invalid target network namespace id' };
    expect(refusalOf({ type: 3, flags: 0x202, sequence: 1, body })).toEqual(refusal);
    expect(refusalOf({ type: 3, flags: 2, sequence: 1, body: Buffer.alloc(4) })).toBeUndefined();
    expect(refusalOf({ type: 3, flags: 2, sequence: 1, body: Buffer.alloc(0) })).toBeUndefined();
  });

  it('are told with what was asked, where, and the words', async () => {
    const refusal = { errno: 2, words: 'Specified qdisc kind is unknown' };
    const error = (await errorOf(() => {
      throw refusalError('adding qdisc fq 4e4c:', refusal, 'device 7, root');
    })) as { message: string; details: { place: string } };
    expect(error.message).toMatch(/^adding qdisc fq 4e4c:: the kernel says "Specified.* unknown", ENOENT/);
    expect(error.details.place).toBe('device 7, root');
  });
});
