import type protobuf from 'protobufjs/minimal.js';
import type { NetloomError } from '../lib/errors.ts';
import { allocateEdgeColumns, malformedEdges } from './edge-columns.ts';
import type { EdgeColumns } from './report.ts';
import { countVarints, readVarints, varintSize, VarintError, writeVarint, type NumberColumn } from './varint.ts';

/**
 * EdgeColumns of report.proto, straight between the wire and typed arrays. protobufjs' own decoder makes a Long
 * object of every uint64 and an array of every column: bench/ingest.ts compares.
 */

const MAX_UINT32 = 0xffffffff;
const MAX_UINT64 = Number.MAX_SAFE_INTEGER;

type ColumnName = Exclude<keyof EdgeColumns, 'n' | 'addresses'>;

interface ColumnSpec {
  readonly name: ColumnName;
  readonly min: number;
  readonly max: number;
}

const column = (name: ColumnName, max: number, min = 0): ColumnSpec => ({ name, min, max });

/** By field number of EdgeColumns. `local` and `remote` are bounded by the address table besides. */
const COLUMN_OF_FIELD: readonly (ColumnSpec | undefined)[] = [
  undefined,
  undefined, // 1: addresses
  column('prefixLengths', 128),
  column('local', MAX_UINT32),
  column('remote', MAX_UINT32),
  column('serverPort', 0xffff),
  column('role', 2, 1),
  column('protocol', 0xff),
  column('bytesSent', MAX_UINT64),
  column('bytesReceived', MAX_UINT64),
  column('segmentsSent', MAX_UINT64),
  column('segmentsReceived', MAX_UINT64),
  column('retransmits', MAX_UINT64),
  column('connections', MAX_UINT64),
  column('minRttUs', MAX_UINT32),
  column('smoothedRttUs', MAX_UINT32),
];

const FIELD_ADDRESSES = 1;
const FIELD_LOCAL = 3;
const LAST_FIELD = COLUMN_OF_FIELD.length - 1;

const WIRE_VARINT = 0;
const WIRE_BYTES = 2;

/** Tag, length prefix and varint at their longest, for every column: what one edge takes on the wire at most. */
export const MAX_EDGE_WIRE_BYTES = 2 * 18 + 2 * 3 + 3 + 1 + 2 + 6 * 8 + 2 * 5;

/** Encodes valid columns (see checkEdgeColumns) as the body of an EdgeColumns message. */
export function encodeEdges(edges: EdgeColumns): Uint8Array {
  const lengths = new Uint32Array(COLUMN_OF_FIELD.length);
  let size = edges.addresses.length === 0 ? 0 : 1 + varintSize(edges.addresses.length) + edges.addresses.length;
  for (let field = 2; field <= LAST_FIELD; field++) {
    const values = edges[COLUMN_OF_FIELD[field]!.name];
    if (values.length === 0) continue;
    let length = 0;
    for (let i = 0; i < values.length; i++) length += varintSize(values[i]!);
    lengths[field] = length;
    size += 1 + varintSize(length) + length;
  }

  const out = new Uint8Array(size);
  let at = 0;
  if (edges.addresses.length > 0) {
    out[at++] = (FIELD_ADDRESSES << 3) | WIRE_BYTES;
    at = writeVarint(out, at, edges.addresses.length);
    out.set(edges.addresses, at);
    at += edges.addresses.length;
  }
  for (let field = 2; field <= LAST_FIELD; field++) {
    const values = edges[COLUMN_OF_FIELD[field]!.name];
    if (values.length === 0) continue;
    out[at++] = (field << 3) | WIRE_BYTES;
    at = writeVarint(out, at, lengths[field]!);
    for (let i = 0; i < values.length; i++) at = writeVarint(out, at, values[i]!);
  }
  return out;
}

/**
 * Where the values of every column lie in the message, before anything is allocated for them. A column is normally
 * one packed chunk; the wire format also allows several, and single values, so it is a list of [start, end) pairs.
 */
export class EdgeChunks {
  readonly #chunks: number[][] = Array.from({ length: LAST_FIELD + 1 }, () => []);
  readonly #maxEdges: number;

  constructor(maxEdges: number) {
    this.#maxEdges = maxEdges;
  }

  /** Takes one EdgeColumns message body from `reader`, which ends at `end`. */
  collect(reader: protobuf.Reader, end: number): void {
    while (reader.pos < end) {
      const tag = reader.tag();
      const field = tag >>> 3;
      const wireType = tag & 7;
      const spec = COLUMN_OF_FIELD[field];
      const known = spec !== undefined || field === FIELD_ADDRESSES;
      if (known && wireType === WIRE_BYTES) {
        const start = reader.pos;
        const length = reader.uint32();
        const from = reader.pos;
        if (length > end - from) {
          throw malformedEdges(spec?.name ?? 'addresses', `at most ${end - from} bytes`, `${length} at byte ${start}`);
        }
        reader.pos = from + length;
        if (length > 0) this.#add(field, from, reader.pos);
      } else if (spec !== undefined && wireType === WIRE_VARINT) {
        const from = reader.pos;
        reader.skip();
        this.#add(field, from, reader.pos);
      } else {
        reader.skipType(wireType, 0, field);
      }
    }
    if (reader.pos !== end) throw malformedEdges('(message)', `an end at byte ${end}`, `byte ${reader.pos}`);
  }

  /** Each chunk holds a value at least: more chunks than values allowed is refused before the list grows. */
  #add(field: number, start: number, end: number): void {
    const chunks = this.#chunks[field]!;
    chunks.push(start, end);
    if (chunks.length > 4 * this.#maxEdges + 2) throw this.#tooMany(field, 'more chunks');
  }

  #tooMany(field: number, found: string): NetloomError {
    return malformedEdges(COLUMN_OF_FIELD[field]?.name ?? 'addresses', `at most ${this.#maxEdges} edges`, found);
  }

  /** Allocates the columns and reads what was collected into them. */
  decode(bytes: Uint8Array): EdgeColumns {
    const n = this.#count(bytes, FIELD_LOCAL);
    if (n > this.#maxEdges) throw this.#tooMany(FIELD_LOCAL, String(n));

    const addresses = this.#chunks[FIELD_ADDRESSES]!;
    // A bytes field that comes twice replaces the first.
    const addressStart = addresses.at(-2) ?? 0;
    const addressBytes = (addresses.at(-1) ?? 0) - addressStart;
    const addressCount = addressBytes / 16;
    if (!Number.isInteger(addressCount)) {
      throw malformedEdges('addresses', 'a multiple of 16 bytes', String(addressBytes));
    }
    if (addressCount > 2 * n) {
      throw malformedEdges('addresses', `at most ${2 * n} for ${n} edges`, String(addressCount));
    }

    const edges = allocateEdgeColumns(n, addressCount, this.#chunks[2]!.length > 0);
    edges.addresses.set(bytes.subarray(addressStart, addressStart + addressBytes));
    for (let field = 2; field <= LAST_FIELD; field++) {
      const { name, min, max } = COLUMN_OF_FIELD[field]!;
      const isIndex = name === 'local' || name === 'remote';
      this.#read(bytes, field, edges[name], min, isIndex ? addressCount - 1 : max);
    }
    return edges;
  }

  #count(bytes: Uint8Array, field: number): number {
    const chunks = this.#chunks[field]!;
    let count = 0;
    for (let i = 0; i < chunks.length; i += 2) count += countVarints(bytes, chunks[i]!, chunks[i + 1]!);
    return count;
  }

  #read(bytes: Uint8Array, field: number, target: NumberColumn, min: number, max: number): void {
    const chunks = this.#chunks[field]!;
    const { name } = COLUMN_OF_FIELD[field]!;
    let next = 0;
    try {
      for (let i = 0; i < chunks.length; i += 2) {
        next = readVarints(bytes, chunks[i]!, chunks[i + 1]!, target, next, min, max);
      }
    } catch (error) {
      if (!(error instanceof VarintError)) throw error;
      if (error.fault === 'out of range') {
        throw malformedEdges(name, `${min}..${max}`, `${error.value} at index ${error.index}`);
      }
      throw malformedEdges(name, `${target.length} values`, error.fault);
    }
    if (next !== target.length) throw malformedEdges(name, `${target.length} values`, String(next));
  }
}
