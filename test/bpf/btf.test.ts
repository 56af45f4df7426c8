import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { btfOfElf, parseBtf } from '../../lib/bpf/btf.ts';
import { parseElf } from '../../lib/bpf/elf.ts';
import { bpfObjectPath, checkLayout, structLayout } from '../../lib/bpf/index.ts';
import { NetloomError } from '../../lib/errors.ts';
import { buildBpf } from '../support/bpf.ts';
import { BtfBuilder } from './btf-builder.ts';

function sample(): Buffer {
  const btf = new BtfBuilder();
  const u8 = btf.int('unsigned char', 1);
  const u32 = btf.int('unsigned int', 4);
  const u64 = btf.int('unsigned long long', 8);
  const alias = btf.typedef('__u32', u32);
  const address = btf.array(u8, 16);
  const rtt = btf.struct('', 8, [
    { name: 'min', type: alias, bit: 0 },
    { name: 'smooth', type: alias, bit: 32 },
  ]);
  const value = btf.struct('value', 40, [
    { name: 'addr', type: address, bit: 0 },
    { name: 'bytes', type: u64, bit: 128 },
    { name: '', type: rtt, bit: 192 },
    { name: 'next', type: btf.pointer(u64), bit: 256 },
  ]);
  btf.struct('flags', 4, [
    { name: 'low', type: u32, bit: 0, bits: 3 },
    { name: 'across', type: u32, bit: 6, bits: 4 },
    { name: 'rest', type: u32, bit: 16, bits: 16 },
  ]);
  btf.typedef('value_t', value);
  return btf.build();
}

describe('parsing BTF', () => {
  it('finds offsets and sizes, also of arrays, pointers, typedefs and anonymous members', () => {
    expect(structLayout(parseBtf(sample(), 'sample'), 'value')).toEqual({
      size: 40,
      fields: {
        addr: { offset: 0, size: 16 },
        bytes: { offset: 16, size: 8 },
        min: { offset: 24, size: 4 },
        smooth: { offset: 28, size: 4 },
        next: { offset: 32, size: 8 },
      },
    });
  });

  it('gives bit fields by the bytes that they touch', () => {
    expect(structLayout(parseBtf(sample(), 'sample'), 'flags').fields).toEqual({
      low: { offset: 0, size: 1 },
      across: { offset: 0, size: 2 },
      rest: { offset: 2, size: 2 },
    });
  });

  it('sees through a typedef of a struct', () => {
    const btf = parseBtf(sample(), 'sample');
    expect(structLayout(btf, 'value_t')).toEqual(structLayout(btf, 'value'));
  });

  it('refuses a typedef of itself instead of running for ever', () => {
    const btf = new BtfBuilder();
    btf.typedef('ring', 1);
    const parsed = parseBtf(btf.build(), 'sample');
    expect(() => parsed.sizeOf(1)).toThrow(expect.objectContaining({ code: 'BPF_OBJECT_INVALID' }));
  });

  it('refuses an array of itself', () => {
    const btf = new BtfBuilder();
    btf.array(1, 2);
    const parsed = parseBtf(btf.build(), 'sample');
    expect(() => parsed.sizeOf(1)).toThrow(expect.objectContaining({ code: 'BPF_OBJECT_INVALID' }));
  });

  it('refuses a kind that it does not know, because all behind it would be misread', () => {
    const btf = new BtfBuilder();
    btf.raw(30, 0);
    expect(() => parseBtf(btf.build(), 'sample')).toThrow(expect.objectContaining({ code: 'BPF_OBJECT_INVALID' }));
  });

  it('refuses every truncation, and says where', () => {
    const whole = sample();
    for (let length = 0; length < whole.length; length++) {
      expect(() => parseBtf(whole.subarray(0, length), 'cut short')).toThrow(NetloomError);
    }
  });

  it('never fails but by a NetloomError, whatever the bytes', () => {
    const whole = sample();
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 8 }), (changes) => {
        const bytes = Buffer.from(whole);
        for (const [at, value] of changes) bytes[at] = value;
        onlyNetloomErrors(() => {
          const btf = parseBtf(bytes, 'changed');
          for (const type of btf.types) onlyNetloomErrors(() => btf.sizeOf(type.id));
          structLayout(btf, 'value');
        });
      }),
    );
  });
});

describe('checking layouts', () => {
  const btf = parseBtf(sample(), 'sample.o');
  const good = structLayout(btf, 'value');

  it('passes what is equal, and what expects only some of the fields', () => {
    checkLayout(btf, 'value', good);
    checkLayout(btf, 'value', { size: 40, fields: { min: { offset: 24, size: 4 } } });
  });

  it.each([
    [
      'another offset',
      { size: 40, fields: { bytes: { offset: 8, size: 8 } } },
      'value.bytes',
      'offset 8, 8 bytes',
      'offset 16, 8 bytes',
    ],
    [
      'another size',
      { size: 40, fields: { min: { offset: 24, size: 8 } } },
      'value.min',
      'offset 24, 8 bytes',
      'offset 24, 4 bytes',
    ],
    [
      'a field that is missing',
      { size: 40, fields: { gone: { offset: 0, size: 4 } } },
      'value.gone',
      'offset 0, 4 bytes',
      'fields addr',
    ],
    ['another size of the whole', { size: 48, fields: {} }, 'value has', '48 bytes', '40 bytes'],
  ])('names struct, field and both sides: %s', (_, expected, message, want, have) => {
    let error: unknown;
    try {
      checkLayout(btf, 'value', expected);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toMatchObject({ code: 'BPF_LAYOUT_MISMATCH', details: { place: 'sample.o', expected: want } });
    expect((error as NetloomError).message).toContain(message);
    expect((error as NetloomError).details.found).toContain(have);
  });

  it('says so when the object has no such struct', () => {
    expect(() => structLayout(btf, 'nothing')).toThrow(expect.objectContaining({ code: 'BPF_NAME_UNKNOWN' }));
  });
});

describe('a real object', () => {
  let bytes: Buffer;
  beforeAll(() => {
    buildBpf();
    bytes = readFileSync(bpfObjectPath('test-maps'));
  });

  it('has the layouts of its source', () => {
    const btf = btfOfElf(parseElf(bytes, 'test-maps'), 'test-maps');
    expect(structLayout(btf, 'test_key').fields['netns']).toEqual({ offset: 20, size: 4 });
    expect(structLayout(btf, 'test_value')).toMatchObject({
      size: 32,
      fields: { srttUs: { offset: 20, size: 4 }, kind: { offset: 24, size: 1 }, tail: { offset: 25, size: 4 } },
    });
  });

  it.each([
    ['an empty file', Buffer.alloc(0)],
    ['text', Buffer.from('#!/bin/sh\n'.repeat(20))],
    ['an ELF header alone', Buffer.concat([Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1]), Buffer.alloc(58)])],
  ])('is told from %s', (_, junk) => {
    expect(() => parseElf(junk, 'junk')).toThrow(expect.objectContaining({ code: 'BPF_OBJECT_INVALID' }));
  });

  it('is told from a program for this machine', () => {
    const native = Buffer.from(bytes);
    native.writeUInt16LE(62, 18);
    expect(() => parseElf(native, 'native')).toThrow(
      expect.objectContaining({
        details: expect.objectContaining({ found: expect.stringContaining('machine') as string }) as object,
      }),
    );
  });

  it('never crashes the parser when damaged', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 12 }),
        fc.nat(bytes.length),
        (changes, length) => {
          const damaged = Buffer.from(bytes.subarray(0, length));
          if (length > 0) for (const [at, value] of changes) damaged[at % length] = value;
          onlyNetloomErrors(() => btfOfElf(parseElf(damaged, 'damaged'), 'damaged'));
        },
      ),
    );
  });
});

function onlyNetloomErrors(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof NetloomError)) throw error;
  }
}
