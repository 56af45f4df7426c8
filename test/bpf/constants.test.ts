import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { btfOfElf, type Btf } from '../../lib/bpf/btf.ts';
import { patchRodata } from '../../lib/bpf/constants.ts';
import { parseElf, type ElfObject } from '../../lib/bpf/elf.ts';
import { bpfObjectPath } from '../../lib/bpf/index.ts';
import { buildBpf } from '../support/bpf.ts';

let elf: ElfObject;
let btf: Btf;
beforeAll(() => {
  buildBpf();
  elf = parseElf(readFileSync(bpfObjectPath('test-maps')), 'test-maps.bpf.o');
  btf = btfOfElf(elf, 'test-maps.bpf.o');
});

function valueOf(bytes: Uint8Array | undefined, name: string): Buffer {
  const symbol = elf.symbols.find((candidate) => candidate.name === name);
  if (symbol === undefined || bytes === undefined) throw new Error(`no ${name}`);
  return Buffer.from(bytes.subarray(symbol.offset, symbol.offset + symbol.size));
}

describe('constants of an object', () => {
  it('are left alone when there is nothing to set', () => {
    expect(patchRodata(elf, btf, {})).toBeUndefined();
  });

  it('are written where the symbol table puts them; the others keep their value', () => {
    const bytes = patchRodata(elf, btf, { discard_odd: 1, signed_base: -2n });
    expect(valueOf(bytes, 'discard_odd').readUInt8()).toBe(1);
    expect(valueOf(bytes, 'signed_base').readBigInt64LE()).toBe(-2n);
    expect(valueOf(bytes, 'per_run').readUInt32LE()).toBe(1);
  });

  it('take the whole range of their type', () => {
    expect(valueOf(patchRodata(elf, btf, { per_run: 0xffff_ffff }), 'per_run').readUInt32LE()).toBe(0xffff_ffff);
    const lowest = -(1n << 63n);
    expect(valueOf(patchRodata(elf, btf, { signed_base: lowest }), 'signed_base').readBigInt64LE()).toBe(lowest);
  });

  it.each([
    [{ per_run: -1 }],
    [{ per_run: 2 ** 32 }],
    [{ per_run: 1.5 }],
    [{ per_run: Number.NaN }],
    [{ discard_odd: 256 }],
    [{ signed_base: 1n << 63n }],
    [{ signed_base: 2 ** 60 }],
  ])('refuse what does not fit: %o', (constants) => {
    expect(() => patchRodata(elf, btf, constants)).toThrow(expect.objectContaining({ code: 'BPF_CONSTANT_INVALID' }));
  });

  it('refuse a name that the object does not have, and list those it has', () => {
    expect(() => patchRodata(elf, btf, { per_runs: 1 })).toThrow(
      expect.objectContaining({
        code: 'BPF_NAME_UNKNOWN',
        details: expect.objectContaining({ found: expect.stringContaining('per_run') as string }) as object,
      }),
    );
  });
});
