import { NetloomError } from '../errors.ts';
import { cString, type ElfObject } from './elf.ts';

/** Kinds of BTF types (include/uapi/linux/btf.h). */
export const BtfKind = {
  INT: 1,
  PTR: 2,
  ARRAY: 3,
  STRUCT: 4,
  UNION: 5,
  ENUM: 6,
  FWD: 7,
  TYPEDEF: 8,
  VOLATILE: 9,
  CONST: 10,
  RESTRICT: 11,
  FUNC: 12,
  FUNC_PROTO: 13,
  VAR: 14,
  DATASEC: 15,
  FLOAT: 16,
  DECL_TAG: 17,
  TYPE_TAG: 18,
  ENUM64: 19,
} as const;

export interface BtfMember {
  readonly name: string;
  readonly typeId: number;
  readonly bitOffset: number;
  /** 0 unless a bit field. */
  readonly bitSize: number;
}

export interface BtfType {
  readonly id: number;
  readonly kind: number;
  readonly name: string;
  /** Bytes of INT, ENUM, STRUCT, UNION, FLOAT, DATASEC; else 0. */
  readonly size: number;
  /** What PTR, TYPEDEF, VOLATILE, CONST, RESTRICT, VAR, FUNC, ARRAY (its element) and the tags refer to; else 0. */
  readonly refId: number;
  /** Elements of an ARRAY; else 0. */
  readonly length: number;
  /** Of STRUCT and UNION. */
  readonly members: readonly BtfMember[];
  /** INT or ENUM holds negative numbers. */
  readonly signed: boolean;
}

/** The types that an object carries: immutable. Type 0 is void. */
export class Btf {
  readonly types: readonly BtfType[];
  readonly #byName = new Map<string, BtfType[]>();
  readonly #place: string;

  constructor(types: readonly BtfType[], place: string) {
    this.types = types;
    this.#place = place;
    for (const type of types) {
      if (type.name === '') continue;
      const same = this.#byName.get(type.name);
      if (same === undefined) this.#byName.set(type.name, [type]);
      else same.push(type);
    }
  }

  /** What the types were read from, for errors. */
  get place(): string {
    return this.#place;
  }

  /** @throws NetloomError BPF_OBJECT_INVALID if a type refers to one that does not exist */
  type(id: number): BtfType {
    const type = this.types[id];
    if (type === undefined) throw invalidBtf(this.#place, `a reference to type ${id} of ${this.types.length}`);
    return type;
  }

  /** The first type of that name and one of the kinds. */
  find(name: string, ...kinds: readonly number[]): BtfType | undefined {
    return this.#byName.get(name)?.find(({ kind }) => kinds.length === 0 || kinds.includes(kind));
  }

  /** The type behind typedefs, qualifiers and tags. */
  resolve(id: number): BtfType {
    let type = this.type(id);
    // A chain cannot be longer than there are types, unless it is a ring.
    for (let steps = 0; isAlias(type.kind); steps++) {
      if (steps > this.types.length) throw invalidBtf(this.#place, `a type that refers to itself (${id})`);
      type = this.type(type.refId);
    }
    return type;
  }

  /** Bytes of a value of the type; 0 for void and functions. */
  sizeOf(id: number): number {
    let factor = 1;
    let type = this.resolve(id);
    for (let depth = 0; type.kind === BtfKind.ARRAY; depth++) {
      if (depth > this.types.length) throw invalidBtf(this.#place, `an array of itself (${id})`);
      factor *= type.length;
      type = this.resolve(type.refId);
    }
    return factor * (type.kind === BtfKind.PTR ? 8 : type.size);
  }
}

function isAlias(kind: number): boolean {
  switch (kind) {
    case BtfKind.TYPEDEF:
    case BtfKind.VOLATILE:
    case BtfKind.CONST:
    case BtfKind.RESTRICT:
    case BtfKind.TYPE_TAG:
    case BtfKind.VAR:
      return true;
    default:
      return false;
  }
}

const MAGIC = 0xeb9f;
const VOID: BtfType = { id: 0, kind: 0, name: '', size: 0, refId: 0, length: 0, members: [], signed: false };

/** The BTF in an object's .BTF section. @throws NetloomError BPF_OBJECT_INVALID */
export function btfOfElf(elf: ElfObject, place: string): Btf {
  const section = elf.sections.find(({ name }) => name === '.BTF');
  if (section === undefined) throw invalidBtf(place, 'an object without a .BTF section');
  return parseBtf(section.data, place);
}

/**
 * Parses raw BTF: a .BTF section, or /sys/kernel/btf/vmlinux (Documentation/bpf/btf.rst in the kernel).
 * @throws NetloomError BPF_OBJECT_INVALID
 */
export function parseBtf(bytes: Uint8Array, place: string): Btf {
  try {
    return new Btf(readTypes(bytes, place), place);
  } catch (error) {
    if (error instanceof RangeError) throw invalidBtf(place, 'truncated BTF');
    throw error;
  }
}

function readTypes(bytes: Uint8Array, place: string): BtfType[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint16(0, true) !== MAGIC) throw invalidBtf(place, 'BTF of another byte order, or none');
  const headerSize = view.getUint32(4, true);
  const typesStart = headerSize + view.getUint32(8, true);
  const typesEnd = typesStart + view.getUint32(12, true);
  const stringsStart = headerSize + view.getUint32(16, true);
  const stringsSize = view.getUint32(20, true);
  if (typesEnd > bytes.length || stringsStart + stringsSize > bytes.length) throw new RangeError('outside of the data');
  const strings = bytes.subarray(stringsStart, stringsStart + stringsSize);

  const types: BtfType[] = [VOID];
  let at = typesStart;
  while (at < typesEnd) {
    const name = cString(strings, view.getUint32(at, true));
    const info = view.getUint32(at + 4, true);
    const sizeOrType = view.getUint32(at + 8, true);
    const count = info & 0xffff;
    const kind = (info >>> 24) & 0x1f;
    const flag = info >>> 31 === 1;
    const body = at + 12;
    const type: BtfType = { ...VOID, id: types.length, kind, name };
    switch (kind) {
      case BtfKind.INT:
        types.push({ ...type, size: sizeOrType, signed: ((view.getUint32(body, true) >>> 24) & 1) === 1 });
        at = body + 4;
        break;
      case BtfKind.ARRAY:
        types.push({ ...type, refId: view.getUint32(body, true), length: view.getUint32(body + 8, true) });
        at = body + 12;
        break;
      case BtfKind.STRUCT:
      case BtfKind.UNION: {
        const members: BtfMember[] = [];
        for (let index = 0; index < count; index++) {
          const member = body + index * 12;
          const offset = view.getUint32(member + 8, true);
          members.push({
            name: cString(strings, view.getUint32(member, true)),
            typeId: view.getUint32(member + 4, true),
            bitOffset: flag ? offset & 0xffffff : offset,
            bitSize: flag ? offset >>> 24 : 0,
          });
        }
        types.push({ ...type, size: sizeOrType, members });
        at = body + count * 12;
        break;
      }
      case BtfKind.ENUM:
        types.push({ ...type, size: sizeOrType, signed: flag });
        at = body + count * 8;
        break;
      case BtfKind.ENUM64:
        types.push({ ...type, size: sizeOrType, signed: flag });
        at = body + count * 12;
        break;
      case BtfKind.FUNC_PROTO:
        types.push(type);
        at = body + count * 8;
        break;
      case BtfKind.DATASEC:
        types.push({ ...type, size: sizeOrType });
        at = body + count * 12;
        break;
      case BtfKind.FLOAT:
        types.push({ ...type, size: sizeOrType });
        at = body;
        break;
      case BtfKind.VAR:
      case BtfKind.DECL_TAG:
        types.push({ ...type, refId: sizeOrType });
        at = body + 4;
        break;
      case BtfKind.PTR:
      case BtfKind.TYPEDEF:
      case BtfKind.VOLATILE:
      case BtfKind.CONST:
      case BtfKind.RESTRICT:
      case BtfKind.FUNC:
      case BtfKind.TYPE_TAG:
        types.push({ ...type, refId: sizeOrType });
        at = body;
        break;
      case BtfKind.FWD:
        types.push(type);
        at = body;
        break;
      default:
        // The length of an unknown kind is unknown too, so nothing after it can be read.
        throw invalidBtf(place, `a BTF kind that is not known here: ${kind}`);
    }
  }
  return types;
}

function invalidBtf(place: string, found: string): NetloomError {
  return new NetloomError('BPF_OBJECT_INVALID', 'the type information (BTF) cannot be used', {
    place,
    expected: 'BTF as clang -target bpf -g writes it',
    found,
  });
}
