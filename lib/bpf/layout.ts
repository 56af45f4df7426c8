import { NetloomError } from '../errors.ts';
import { BtfKind, type Btf, type BtfType } from './btf.ts';

/** Where the fields of a struct lie, in bytes. Fields of anonymous members count as the struct's own. */
export interface StructLayout {
  readonly size: number;
  readonly fields: Readonly<Record<string, { readonly offset: number; readonly size: number }>>;
}

/**
 * The layout of a struct, union or typedef of one. A bit field is given by the bytes that it touches.
 * @throws NetloomError BPF_NAME_UNKNOWN: a struct reaches BTF only if a map, a global or a kept type uses it
 */
export function structLayout(btf: Btf, name: string): StructLayout {
  const type = findStruct(btf, name);
  if (type === undefined) {
    throw new NetloomError('BPF_NAME_UNKNOWN', `the object has no struct ${name}`, {
      place: btf.place,
      expected: `struct ${name} in its BTF`,
      found: 'no map, global or function of it uses one',
    });
  }
  const walk: Walk = { fields: {}, visited: 0 };
  collectFields(btf, type, 0, walk, 0);
  return { size: type.size, fields: walk.fields };
}

function findStruct(btf: Btf, name: string): BtfType | undefined {
  const direct = btf.find(name, BtfKind.STRUCT, BtfKind.UNION);
  if (direct !== undefined) return direct;
  const alias = btf.find(name, BtfKind.TYPEDEF);
  if (alias === undefined) return undefined;
  const target = btf.resolve(alias.id);
  return isRecord(target) ? target : undefined;
}

function isRecord(type: BtfType): boolean {
  return type.kind === BtfKind.STRUCT || type.kind === BtfKind.UNION;
}

interface Walk {
  readonly fields: Record<string, { offset: number; size: number }>;
  visited: number;
}

/** Far beyond any struct of ours; damaged BTF may nest a struct in itself. */
const MAX_NESTING = 32;
const MAX_MEMBERS = 10_000;

function collectFields(btf: Btf, type: BtfType, baseBits: number, walk: Walk, depth: number): void {
  for (const member of type.members) {
    if (depth > MAX_NESTING || ++walk.visited > MAX_MEMBERS) {
      throw new NetloomError('BPF_OBJECT_INVALID', `struct ${type.name} is nested in itself`, { place: btf.place });
    }
    const bits = baseBits + member.bitOffset;
    if (member.name === '') {
      const inner = btf.resolve(member.typeId);
      if (isRecord(inner)) collectFields(btf, inner, bits, walk, depth + 1);
      continue;
    }
    const offset = Math.floor(bits / 8);
    const size = member.bitSize === 0 ? btf.sizeOf(member.typeId) : Math.ceil((bits + member.bitSize) / 8) - offset;
    walk.fields[member.name] = { offset, size };
  }
}

/**
 * Checks that a struct of the object is laid out as TypeScript reads it. Fields that are not expected are allowed:
 * the total size and the offsets of the others pin the rest.
 * @throws NetloomError BPF_LAYOUT_MISMATCH naming struct, field and both sides
 */
export function checkLayout(btf: Btf, name: string, expected: StructLayout): void {
  const actual = structLayout(btf, name);
  for (const [field, want] of Object.entries(expected.fields)) {
    const have = actual.fields[field];
    if (have === undefined) {
      throw mismatch(
        btf,
        `${name}.${field} does not exist`,
        where(want),
        `fields ${Object.keys(actual.fields).join(', ')}`,
      );
    }
    if (have.offset !== want.offset || have.size !== want.size) {
      throw mismatch(btf, `${name}.${field} lies elsewhere`, where(want), where(have));
    }
  }
  if (actual.size !== expected.size) {
    throw mismatch(btf, `${name} has another size`, `${expected.size} bytes`, `${actual.size} bytes`);
  }
}

function where({ offset, size }: { offset: number; size: number }): string {
  return `offset ${offset}, ${size} bytes`;
}

function mismatch(btf: Btf, message: string, expected: string, found: string): NetloomError {
  return new NetloomError('BPF_LAYOUT_MISMATCH', message, { place: btf.place, expected, found });
}
