import { allocateEdgeColumns } from './edge-columns.ts';
import type { EdgeColumns, Role } from './report.ts';

const EMPTY = -1;

/**
 * Grows edge by edge and sums what has the same key (local, remote, server port, role, protocol); the result is the
 * EdgeColumns of a report. Used to build reports, and to merge those that could not be sent.
 *
 *     const row = table.row(table.address(bytes, 0), table.address(bytes, 16), 443, ROLE_SERVER, IPPROTO_TCP);
 *     table.add(row, bytesSent, bytesReceived, segmentsSent, segmentsReceived, retransmits, connections);
 *     table.gauges(row, minRttUs, smoothedRttUs);
 *
 * Sums stop at 2^53 - 1. Of the gauges the least known minimum and the latest known average stay.
 */
export class EdgeTable {
  #edgeCount = 0;
  #addressCount = 0;
  #anyPrefix = false;
  #columns: EdgeColumns;
  // Open addressing with linear probing; a slot holds an index into the columns. At most half full.
  #edgeSlots: Int32Array;
  #addressSlots: Int32Array;
  #addressWords: Uint32Array;

  constructor(expectedEdges = 64) {
    const capacity = Math.max(16, expectedEdges);
    this.#columns = allocateEdgeColumns(capacity, 2 * capacity, true);
    this.#edgeSlots = slots(capacity);
    this.#addressSlots = slots(2 * capacity);
    this.#addressWords = new Uint32Array(2 * capacity * 4);
  }

  /** Edges so far. */
  get size(): number {
    return this.#edgeCount;
  }

  /**
   * Index of the 16-byte address at `offset` of `bytes` (IPv4 as ::ffff:a.b.c.d), added if it is new.
   * Prefixes are addresses of their own: 10.0.0.0/8 is not 10.0.0.0.
   */
  address(bytes: Uint8Array, offset: number, prefixLength = 128): number {
    const a = word(bytes, offset);
    const b = word(bytes, offset + 4);
    const c = word(bytes, offset + 8);
    const d = word(bytes, offset + 12);
    const words = this.#addressWords;
    const prefixes = this.#columns.prefixLengths;
    const mask = this.#addressSlots.length - 1;
    let slot = mix(mix(mix(mix(mix(0, a), b), c), d), prefixLength) & mask;
    for (let at = this.#addressSlots[slot]!; at !== EMPTY; at = this.#addressSlots[slot]!) {
      const w = at * 4;
      if (
        words[w + 3] === d &&
        words[w + 2] === c &&
        words[w + 1] === b &&
        words[w] === a &&
        prefixes[at] === prefixLength
      ) {
        return at;
      }
      slot = (slot + 1) & mask;
    }
    const index = this.#addressCount++;
    this.#addressSlots[slot] = index;
    words[index * 4] = a;
    words[index * 4 + 1] = b;
    words[index * 4 + 2] = c;
    words[index * 4 + 3] = d;
    prefixes[index] = prefixLength;
    const { addresses } = this.#columns;
    for (let i = 0; i < 16; i++) addresses[index * 16 + i] = bytes[offset + i]!;
    if (prefixLength !== 128) this.#anyPrefix = true;
    if (this.#addressCount * 16 === this.#columns.addresses.length) this.#grow();
    return index;
  }

  /** Row of the edge with this key, added with zeros if it is new. `local`, `remote`: from `address`. */
  row(local: number, remote: number, serverPort: number, role: Role, protocol: number): number {
    const columns = this.#columns;
    const mask = this.#edgeSlots.length - 1;
    let slot = hashEdge(local, remote, serverPort, role, protocol) & mask;
    for (let at = this.#edgeSlots[slot]!; at !== EMPTY; at = this.#edgeSlots[slot]!) {
      if (
        columns.remote[at] === remote &&
        columns.local[at] === local &&
        columns.serverPort[at] === serverPort &&
        columns.role[at] === role &&
        columns.protocol[at] === protocol
      ) {
        return at;
      }
      slot = (slot + 1) & mask;
    }
    const row = this.#edgeCount++;
    this.#edgeSlots[slot] = row;
    columns.local[row] = local;
    columns.remote[row] = remote;
    columns.serverPort[row] = serverPort;
    columns.role[row] = role;
    columns.protocol[row] = protocol;
    if (this.#edgeCount === columns.n) this.#grow();
    return row;
  }

  add(
    row: number,
    bytesSent: number,
    bytesReceived: number,
    segmentsSent: number,
    segmentsReceived: number,
    retransmits: number,
    connections: number,
  ): void {
    const to = this.#columns;
    to.bytesSent[row] = sum(to.bytesSent[row]!, bytesSent);
    to.bytesReceived[row] = sum(to.bytesReceived[row]!, bytesReceived);
    to.segmentsSent[row] = sum(to.segmentsSent[row]!, segmentsSent);
    to.segmentsReceived[row] = sum(to.segmentsReceived[row]!, segmentsReceived);
    to.retransmits[row] = sum(to.retransmits[row]!, retransmits);
    to.connections[row] = sum(to.connections[row]!, connections);
  }

  /** Round-trip times in microseconds; 0: not known. */
  gauges(row: number, minRttUs: number, smoothedRttUs: number): void {
    const to = this.#columns;
    const known = to.minRttUs[row]!;
    if (minRttUs !== 0 && (known === 0 || minRttUs < known)) to.minRttUs[row] = minRttUs;
    if (smoothedRttUs !== 0) to.smoothedRttUs[row] = smoothedRttUs;
  }

  /** Adds all of `edges`, which must be newer than what is here for the gauges to be right. */
  addColumns(edges: EdgeColumns): void {
    const index = new Int32Array(edges.addresses.length / 16).fill(EMPTY);
    const addressOf = (i: number): number => {
      if (index[i] === EMPTY) index[i] = this.address(edges.addresses, i * 16, edges.prefixLengths[i] ?? 128);
      return index[i]!;
    };
    for (let i = 0; i < edges.n; i++) {
      const row = this.row(
        addressOf(edges.local[i]!),
        addressOf(edges.remote[i]!),
        edges.serverPort[i]!,
        edges.role[i]! as Role,
        edges.protocol[i]!,
      );
      this.add(
        row,
        edges.bytesSent[i]!,
        edges.bytesReceived[i]!,
        edges.segmentsSent[i]!,
        edges.segmentsReceived[i]!,
        edges.retransmits[i]!,
        edges.connections[i]!,
      );
      this.gauges(row, edges.minRttUs[i]!, edges.smoothedRttUs[i]!);
    }
  }

  /** A copy of the size it needs; the table may go on growing. */
  toColumns(): EdgeColumns {
    const out = allocateEdgeColumns(this.#edgeCount, this.#addressCount, this.#anyPrefix);
    copyColumns(this.#columns, out);
    return out;
  }

  #grow(): void {
    const grown = allocateEdgeColumns(this.#columns.n * 2, this.#columns.n * 4, true);
    copyColumns(this.#columns, grown);
    this.#columns = grown;
    const words = new Uint32Array(this.#addressWords.length * 2);
    words.set(this.#addressWords);
    this.#addressWords = words;
    this.#edgeSlots = slots(grown.n);
    for (let row = 0; row < this.#edgeCount; row++) {
      const hash = hashEdge(
        grown.local[row]!,
        grown.remote[row]!,
        grown.serverPort[row]!,
        grown.role[row]!,
        grown.protocol[row]!,
      );
      place(this.#edgeSlots, hash, row);
    }
    this.#addressSlots = slots(grown.n * 2);
    for (let i = 0; i < this.#addressCount; i++) {
      let hash = 0;
      for (let w = 0; w < 4; w++) hash = mix(hash, words[i * 4 + w]!);
      place(this.#addressSlots, mix(hash, grown.prefixLengths[i]!), i);
    }
  }
}

function copyColumns(from: EdgeColumns, to: EdgeColumns): void {
  for (const [name, target] of Object.entries(to) as [keyof EdgeColumns, unknown][]) {
    if (!(target instanceof Object) || name === 'n') continue;
    const source = from[name] as Float64Array;
    const destination = target as Float64Array;
    destination.set(source.subarray(0, Math.min(source.length, destination.length)));
  }
}

function slots(capacity: number): Int32Array {
  return new Int32Array(2 ** Math.ceil(Math.log2(capacity * 2))).fill(EMPTY);
}

function place(table: Int32Array, hash: number, index: number): void {
  const mask = table.length - 1;
  let slot = hash & mask;
  while (table[slot] !== EMPTY) slot = (slot + 1) & mask;
  table[slot] = index;
}

function word(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

/** One round of murmur3 with its finalizer's shift: neighbouring addresses must not fall into neighbouring slots. */
function mix(hash: number, value: number): number {
  let h = hash ^ Math.imul(value, 0xcc9e2d51);
  h = Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64;
  h = Math.imul(h ^ (h >>> 15), 0x85ebca6b);
  return h ^ (h >>> 13);
}

function hashEdge(local: number, remote: number, serverPort: number, role: number, protocol: number): number {
  return mix(mix(mix(0, local), remote), (serverPort << 16) | (role << 8) | protocol);
}

function sum(a: number, b: number): number {
  const total = a + b;
  return total > Number.MAX_SAFE_INTEGER ? Number.MAX_SAFE_INTEGER : total;
}
