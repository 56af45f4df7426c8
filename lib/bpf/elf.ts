import { NetloomError } from '../errors.ts';

/** A section of an ELF file; `data` is a view of the file's bytes (empty for .bss). */
export interface ElfSection {
  readonly name: string;
  readonly index: number;
  readonly data: Uint8Array;
}

/** A named object of a section, e.g. a global in .rodata. */
export interface ElfSymbol {
  readonly name: string;
  readonly sectionIndex: number;
  /** Bytes from the section's start. */
  readonly offset: number;
  readonly size: number;
}

export interface ElfObject {
  readonly sections: readonly ElfSection[];
  readonly symbols: readonly ElfSymbol[];
}

const HEADER_SIZE = 64;
const SECTION_HEADER_SIZE = 64;
const SYMBOL_SIZE = 24;
const SHT_SYMTAB = 2;
const SHT_NOBITS = 8;
const EM_BPF = 247;

/**
 * The sections and symbols of a little-endian ELF64 object for BPF (elf(5)).
 * @param place what the bytes are, for errors
 * @throws NetloomError BPF_OBJECT_INVALID
 */
export function parseElf(bytes: Uint8Array, place: string): ElfObject {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < HEADER_SIZE || view.getUint32(0) !== 0x7f454c46) {
    throw invalid(place, bytes.length === 0 ? 'an empty file' : 'a file that is not ELF');
  }
  if (bytes[4] !== 2 || bytes[5] !== 1) throw invalid(place, 'an ELF file that is not 64-bit little-endian');
  const machine = view.getUint16(18, true);
  if (machine !== EM_BPF) throw invalid(place, `an ELF file for another machine (${machine}, BPF is ${EM_BPF})`);

  try {
    return readTables(bytes, view);
  } catch (error) {
    if (error instanceof RangeError) throw invalid(place, 'a truncated or damaged ELF file');
    throw error;
  }
}

interface Header {
  readonly nameOffset: number;
  readonly type: number;
  readonly data: Uint8Array;
  readonly link: number;
}

function readTables(bytes: Uint8Array, view: DataView): ElfObject {
  const tableOffset = offset64(view, 40);
  const count = view.getUint16(60, true);
  const namesIndex = view.getUint16(62, true);
  const headers: Header[] = [];
  for (let index = 0; index < count; index++) {
    const at = tableOffset + index * SECTION_HEADER_SIZE;
    const type = view.getUint32(at + 4, true);
    const start = offset64(view, at + 24);
    const size = type === SHT_NOBITS ? 0 : offset64(view, at + 32);
    if (start + size > bytes.length) throw new RangeError('section outside of the file');
    headers.push({
      nameOffset: view.getUint32(at, true),
      type,
      data: bytes.subarray(start, start + size),
      link: view.getUint32(at + 40, true),
    });
  }
  const names = headers[namesIndex]?.data ?? new Uint8Array();
  const sections = headers.map(({ nameOffset, data }, index) => ({ name: cString(names, nameOffset), index, data }));
  const table = headers.find(({ type }) => type === SHT_SYMTAB);
  const symbols = table === undefined ? [] : readSymbols(table.data, headers[table.link]?.data ?? new Uint8Array());
  return { sections, symbols };
}

function readSymbols(table: Uint8Array, names: Uint8Array): ElfSymbol[] {
  const view = new DataView(table.buffer, table.byteOffset, table.byteLength);
  const symbols: ElfSymbol[] = [];
  for (let at = 0; at + SYMBOL_SIZE <= table.length; at += SYMBOL_SIZE) {
    const name = cString(names, view.getUint32(at, true));
    if (name === '') continue;
    symbols.push({
      name,
      sectionIndex: view.getUint16(at + 6, true),
      offset: offset64(view, at + 8),
      size: offset64(view, at + 16),
    });
  }
  return symbols;
}

function offset64(view: DataView, at: number): number {
  return Number(view.getBigUint64(at, true));
}

/** The NUL-terminated string at `offset` of a string table; empty outside of it. */
export function cString(table: Uint8Array, offset: number): string {
  if (offset >= table.length) return '';
  const end = table.indexOf(0, offset);
  return Buffer.from(table.buffer, table.byteOffset + offset, (end < 0 ? table.length : end) - offset).toString('utf8');
}

function invalid(place: string, found: string): NetloomError {
  return new NetloomError('BPF_OBJECT_INVALID', 'this is not a BPF object', {
    place,
    expected: 'an ELF object compiled with clang -target bpf -g',
    found,
  });
}
