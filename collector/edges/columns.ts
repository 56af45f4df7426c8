import { isV4 } from '../../lib/ip.ts';
import type { EdgeColumns, Role } from '../../proto/report.ts';
import { EDGE_KEY, FOLDED_V4, FOLDED_V6, REMOTE_FOLDED } from '../bpf/layout.ts';
import { KeyTable } from './key-table.ts';

const KEY = EDGE_KEY.fields;
const ADDRESS_BYTES = 16;
const WHOLE_ADDRESS = 128;

/** What an edge moved during a period; RTTs are gauges, 0: not known. */
export interface EdgeFigures {
  bytesSent: number;
  bytesReceived: number;
  segmentsSent: number;
  segmentsReceived: number;
  retransmits: number;
  connections: number;
  minRttUs: number;
  smoothedRttUs: number;
}

/** Collects the columns of a period; each distinct address (with its prefix length) is stored once. */
export class ColumnBuilder {
  private n = 0;
  private capacity: number;
  private ids: Uint32Array;
  private kinds: Uint8Array;
  private ports: Uint16Array;
  private figures: Float64Array;
  /** 16 bytes of address and the prefix length. */
  private readonly table = new KeyTable(ADDRESS_BYTES + 4, 64);
  private readonly scratch = new DataView(new ArrayBuffer(ADDRESS_BYTES + 4));
  private folded = false;

  constructor(initialCapacity = 64) {
    this.capacity = initialCapacity;
    this.ids = new Uint32Array(2 * initialCapacity);
    this.kinds = new Uint8Array(2 * initialCapacity);
    this.ports = new Uint16Array(initialCapacity);
    this.figures = new Float64Array(FIGURES * initialCapacity);
  }

  /** `key`: an edge_key of edges.h at `offset`. */
  push(key: DataView, offset: number, figures: Readonly<EdgeFigures>): void {
    if (this.n === this.capacity) this.grow();
    const row = this.n++;
    const role = key.getUint8(offset + KEY.role.offset);
    this.ids[2 * row] = this.addressId(key, offset + KEY.local.offset, WHOLE_ADDRESS);
    const remote = offset + KEY.remote.offset;
    this.ids[2 * row + 1] = this.addressId(
      key,
      remote,
      (role & REMOTE_FOLDED) === 0 ? WHOLE_ADDRESS : foldedLength(key, remote),
    );
    this.kinds[2 * row] = role & ~REMOTE_FOLDED;
    this.kinds[2 * row + 1] = key.getUint8(offset + KEY.protocol.offset);
    this.ports[row] = key.getUint16(offset + KEY.server_port.offset, true);
    const at = FIGURES * row;
    this.figures[at] = figures.bytesSent;
    this.figures[at + 1] = figures.bytesReceived;
    this.figures[at + 2] = figures.segmentsSent;
    this.figures[at + 3] = figures.segmentsReceived;
    this.figures[at + 4] = figures.retransmits;
    this.figures[at + 5] = figures.connections;
    this.figures[at + 6] = figures.minRttUs;
    this.figures[at + 7] = figures.smoothedRttUs;
  }

  finish(): EdgeColumns {
    const n = this.n;
    const addressCount = this.table.size;
    const addresses = new Uint8Array(ADDRESS_BYTES * addressCount);
    const prefixLengths = new Uint8Array(this.folded ? addressCount : 0);
    const key = new Uint8Array(this.scratch.buffer);
    for (let id = 0; id < addressCount; id++) {
      this.table.copyKey(id, this.scratch);
      addresses.set(key.subarray(0, ADDRESS_BYTES), ADDRESS_BYTES * id);
      if (this.folded) prefixLengths[id] = this.scratch.getUint32(ADDRESS_BYTES, true);
    }
    const { ids, kinds, figures } = this;
    return {
      n,
      addresses,
      prefixLengths,
      local: Uint32Array.from({ length: n }, (_, row) => ids[2 * row]!),
      remote: Uint32Array.from({ length: n }, (_, row) => ids[2 * row + 1]!),
      serverPort: this.ports.slice(0, n),
      role: Uint8Array.from({ length: n }, (_, row) => kinds[2 * row] as Role),
      protocol: Uint8Array.from({ length: n }, (_, row) => kinds[2 * row + 1]!),
      bytesSent: column(figures, n, 0),
      bytesReceived: column(figures, n, 1),
      segmentsSent: column(figures, n, 2),
      segmentsReceived: column(figures, n, 3),
      retransmits: column(figures, n, 4),
      connections: column(figures, n, 5),
      minRttUs: new Uint32Array(column(figures, n, 6)),
      smoothedRttUs: new Uint32Array(column(figures, n, 7)),
    };
  }

  private addressId(bytes: DataView, offset: number, prefixLength: number): number {
    const { scratch } = this;
    for (let i = 0; i < ADDRESS_BYTES; i += 4) scratch.setInt32(i, bytes.getInt32(offset + i, true), true);
    scratch.setUint32(ADDRESS_BYTES, prefixLength, true);
    if (prefixLength !== WHOLE_ADDRESS) this.folded = true;
    return this.table.add(scratch, 0);
  }

  private grow(): void {
    this.capacity *= 2;
    this.ids = widened(this.ids, new Uint32Array(2 * this.capacity));
    this.kinds = widened(this.kinds, new Uint8Array(2 * this.capacity));
    this.ports = widened(this.ports, new Uint16Array(this.capacity));
    this.figures = widened(this.figures, new Float64Array(FIGURES * this.capacity));
  }
}

const FIGURES = 8;

function column(rows: Float64Array, n: number, index: number): Float64Array {
  const values = new Float64Array(n);
  for (let row = 0; row < n; row++) values[row] = rows[FIGURES * row + index]!;
  return values;
}

function foldedLength(bytes: DataView, offset: number): number {
  return isV4(new Uint8Array(bytes.buffer, bytes.byteOffset + offset, ADDRESS_BYTES)) ? FOLDED_V4 : FOLDED_V6;
}

export function widened<T extends { set(from: ArrayLike<number>): void }>(from: ArrayLike<number>, to: T): T {
  to.set(from);
  return to;
}
