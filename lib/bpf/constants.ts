import { NetloomError } from '../errors.ts';
import { BtfKind, type Btf } from './btf.ts';
import type { ElfObject, ElfSymbol } from './elf.ts';

const RODATA = '.rodata';

/**
 * The initial bytes of .rodata with some `const volatile` globals set, as libbpf wants them before load.
 * Offsets come from the symbol table: the compiler leaves those in BTF for the linker to fill in.
 * @returns undefined if there is nothing to set
 * @throws NetloomError BPF_NAME_UNKNOWN, BPF_CONSTANT_INVALID
 */
export function patchRodata(
  elf: ElfObject,
  btf: Btf,
  constants: Readonly<Record<string, number | bigint>>,
): Uint8Array | undefined {
  const entries = Object.entries(constants);
  if (entries.length === 0) return undefined;
  const section = elf.sections.find(({ name }) => name === RODATA);
  const symbols = section === undefined ? [] : elf.symbols.filter((symbol) => symbol.sectionIndex === section.index);
  const bytes = new Uint8Array(section?.data ?? []);
  for (const [name, value] of entries) {
    const symbol = symbols.find((candidate) => candidate.name === name);
    if (symbol === undefined) {
      throw new NetloomError('BPF_NAME_UNKNOWN', `the object has no constant ${name}`, {
        place: btf.place,
        expected: 'a const volatile global that a program uses',
        found: symbols.length === 0 ? 'no constants' : symbols.map((known) => known.name).join(', '),
      });
    }
    writeConstant(bytes, btf, symbol, value);
  }
  return bytes;
}

function writeConstant(bytes: Uint8Array, btf: Btf, symbol: ElfSymbol, value: number | bigint): void {
  const variable = btf.find(symbol.name, BtfKind.VAR);
  const type = variable === undefined ? undefined : btf.resolve(variable.id);
  const isScalar = type?.kind === BtfKind.INT || type?.kind === BtfKind.ENUM || type?.kind === BtfKind.ENUM64;
  if (type === undefined || !isScalar || type.size !== symbol.size || type.size > 8) {
    throw invalid(btf, symbol.name, 'an integer, enum or bool', `a type of ${symbol.size} bytes that is none`);
  }
  const bits = BigInt(type.size * 8);
  const low = type.signed ? -(1n << (bits - 1n)) : 0n;
  const high = type.signed ? (1n << (bits - 1n)) - 1n : (1n << bits) - 1n;
  const whole = typeof value === 'bigint' || Number.isSafeInteger(value) ? BigInt(value) : undefined;
  if (whole === undefined || whole < low || whole > high) {
    throw invalid(btf, symbol.name, `a whole number from ${low} to ${high}`, String(value));
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let index = 0; index < type.size; index++) {
    view.setUint8(symbol.offset + index, Number((whole >> BigInt(8 * index)) & 0xffn));
  }
}

function invalid(btf: Btf, name: string, expected: string, found: string): NetloomError {
  return new NetloomError('BPF_CONSTANT_INVALID', `constant ${name} cannot have that value`, {
    place: btf.place,
    expected,
    found,
  });
}
