import { NetloomError } from '../lib/errors.ts';
import { ROLE_CLIENT, ROLE_SERVER, type EdgeColumns } from './report.ts';

/** Bytes of one edge in memory, addresses not counted: 6 float64, 4 uint32, 1 uint16, 2 uint8. */
export const EDGE_BYTES = 6 * 8 + 4 * 4 + 2 + 2;

/** 16 bytes and a prefix length. */
export const ADDRESS_BYTES = 17;

/**
 * Columns for `n` edges, all zero, laid in *one* ArrayBuffer: one allocation a report (thirteen cost more than
 * decoding 200 edges), and one entry in a transfer list when a report is posted to another thread.
 */
export function allocateEdgeColumns(n: number, addressCount: number, withPrefixLengths: boolean): EdgeColumns {
  const prefixCount = withPrefixLengths ? addressCount : 0;
  const buffer = new ArrayBuffer(n * EDGE_BYTES + addressCount * 16 + prefixCount);
  let offset = 0;
  const skip = (bytes: number): number => (offset += bytes) - bytes;
  // Widest first: every view starts at a multiple of its element size.
  return {
    n,
    bytesSent: new Float64Array(buffer, skip(n * 8), n),
    bytesReceived: new Float64Array(buffer, skip(n * 8), n),
    segmentsSent: new Float64Array(buffer, skip(n * 8), n),
    segmentsReceived: new Float64Array(buffer, skip(n * 8), n),
    retransmits: new Float64Array(buffer, skip(n * 8), n),
    connections: new Float64Array(buffer, skip(n * 8), n),
    local: new Uint32Array(buffer, skip(n * 4), n),
    remote: new Uint32Array(buffer, skip(n * 4), n),
    minRttUs: new Uint32Array(buffer, skip(n * 4), n),
    smoothedRttUs: new Uint32Array(buffer, skip(n * 4), n),
    serverPort: new Uint16Array(buffer, skip(n * 2), n),
    role: new Uint8Array(buffer, skip(n), n),
    protocol: new Uint8Array(buffer, skip(n), n),
    addresses: new Uint8Array(buffer, skip(addressCount * 16), addressCount * 16),
    prefixLengths: new Uint8Array(buffer, skip(prefixCount), prefixCount),
  };
}

export const NO_EDGES: EdgeColumns = allocateEdgeColumns(0, 0, false);

/** What `edges` takes in memory, in bytes. */
export function edgeColumnsBytes(edges: EdgeColumns): number {
  return edges.n * EDGE_BYTES + edges.addresses.length + edges.prefixLengths.length;
}

const VALUE_COLUMNS = [
  'bytesSent',
  'bytesReceived',
  'segmentsSent',
  'segmentsReceived',
  'retransmits',
  'connections',
] as const;

const COLUMNS = [
  'local',
  'remote',
  'serverPort',
  'role',
  'protocol',
  ...VALUE_COLUMNS,
  'minRttUs',
  'smoothedRttUs',
] as const;

/**
 * Throws REPORT_MALFORMED unless `edges` can be encoded and read again: columns of one length, indices within the
 * address table, roles 1 or 2, figures that are integers of 0..2^53-1.
 */
export function checkEdgeColumns(edges: EdgeColumns): void {
  const { n } = edges;
  if (!Number.isSafeInteger(n) || n < 0) throw malformedEdges('n', 'a number of edges', String(n));
  for (const name of COLUMNS) {
    if (edges[name].length !== n) throw malformedEdges(name, `${n} values`, String(edges[name].length));
  }
  const addressCount = edges.addresses.length / 16;
  if (!Number.isInteger(addressCount)) {
    throw malformedEdges('addresses', 'a multiple of 16 bytes', String(edges.addresses.length));
  }
  if (addressCount > 2 * n) throw malformedEdges('addresses', `at most ${2 * n} for ${n} edges`, String(addressCount));
  if (edges.prefixLengths.length !== 0 && edges.prefixLengths.length !== addressCount) {
    throw malformedEdges('prefixLengths', `none or ${addressCount}`, String(edges.prefixLengths.length));
  }
  for (const length of edges.prefixLengths) {
    if (length > 128) throw malformedEdges('prefixLengths', '0..128', String(length));
  }
  for (let i = 0; i < n; i++) {
    if (edges.local[i]! >= addressCount) throw malformedEdges('local', `below ${addressCount}`, String(edges.local[i]));
    if (edges.remote[i]! >= addressCount) {
      throw malformedEdges('remote', `below ${addressCount}`, String(edges.remote[i]));
    }
    const role = edges.role[i]!;
    if (role !== ROLE_SERVER && role !== ROLE_CLIENT) throw malformedEdges('role', '1 or 2', String(role));
  }
  for (const name of VALUE_COLUMNS) {
    for (const value of edges[name]) {
      if (!Number.isSafeInteger(value) || value < 0) throw malformedEdges(name, 'an integer, 0..2^53-1', String(value));
    }
  }
}

export function malformedEdges(column: string, expected: string, found: string): NetloomError {
  return new NetloomError('REPORT_MALFORMED', `column ${column} of a report's edges cannot be used`, {
    place: `report.edges.${column}`,
    expected,
    found,
  });
}

/** The part of `edges` from edge `start` to `end`, with its own small address table. */
export function sliceEdgeColumns(edges: EdgeColumns, start: number, end: number): EdgeColumns {
  const rows = Uint32Array.from({ length: Math.max(0, end - start) }, (_, i) => start + i);
  return pickEdges(edges, rows);
}

/** The edges at `rows`, in that order, with an address table of only what they name. */
export function pickEdges(edges: EdgeColumns, rows: Uint32Array): EdgeColumns {
  const newIndex = new Int32Array(edges.addresses.length / 16).fill(-1);
  const used: number[] = [];
  const indexOf = (old: number): number => {
    if (newIndex[old]! < 0) newIndex[old] = used.push(old) - 1;
    return newIndex[old]!;
  };
  for (const row of rows) {
    indexOf(edges.local[row]!);
    indexOf(edges.remote[row]!);
  }
  const out = allocateEdgeColumns(rows.length, used.length, edges.prefixLengths.length > 0);
  used.forEach((old, index) => {
    out.addresses.set(edges.addresses.subarray(old * 16, old * 16 + 16), index * 16);
    if (out.prefixLengths.length > 0) out.prefixLengths[index] = edges.prefixLengths[old]!;
  });
  for (const name of COLUMNS) {
    const from = edges[name];
    const to = out[name];
    for (let i = 0; i < rows.length; i++) to[i] = from[rows[i]!]!;
  }
  for (let i = 0; i < rows.length; i++) {
    out.local[i] = newIndex[out.local[i]!]!;
    out.remote[i] = newIndex[out.remote[i]!]!;
  }
  return out;
}
