import { isV4 } from '../../lib/ip.ts';
import type { EdgeColumns } from '../../proto/report.ts';
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

/**
 * Collects the columns of a period; each distinct address (with its prefix length) is stored once. Its own arrays serve
 * period after period: garbage of a megabyte each time would double the agent's memory.
 */
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

  /** Rows pushed in this period. */
  get length(): number {
    return this.n;
  }

  /** Adds a row's cumulative figures, in the order of EdgeFigures, to those in `into` from `at`. */
  addCumulative(row: number, into: Float64Array, at: number): void {
    for (let i = 0; i < CUMULATIVE_FIGURES; i++) into[at + i]! += this.figures[FIGURES * row + i]!;
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

  /** The columns, in arrays of their own; the next period begins. */
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
    const columns: EdgeColumns = {
      n,
      addresses,
      prefixLengths,
      local: column(ids, 2, 0, new Uint32Array(n)),
      remote: column(ids, 2, 1, new Uint32Array(n)),
      serverPort: this.ports.slice(0, n),
      role: column(kinds, 2, 0, new Uint8Array(n)),
      protocol: column(kinds, 2, 1, new Uint8Array(n)),
      bytesSent: column(figures, FIGURES, 0, new Float64Array(n)),
      bytesReceived: column(figures, FIGURES, 1, new Float64Array(n)),
      segmentsSent: column(figures, FIGURES, 2, new Float64Array(n)),
      segmentsReceived: column(figures, FIGURES, 3, new Float64Array(n)),
      retransmits: column(figures, FIGURES, 4, new Float64Array(n)),
      connections: column(figures, FIGURES, 5, new Float64Array(n)),
      minRttUs: column(figures, FIGURES, 6, new Uint32Array(n)),
      smoothedRttUs: column(figures, FIGURES, 7, new Uint32Array(n)),
    };
    this.n = 0;
    this.folded = false;
    this.table.clear();
    return columns;
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
/** The first of them; RTTs are gauges. */
const CUMULATIVE_FIGURES = 6;

interface Numbers {
  readonly length: number;
  [index: number]: number;
}

/** Column `index` of rows of `width`. */
function column<T extends Numbers>(rows: Numbers, width: number, index: number, into: T): T {
  for (let row = 0; row < into.length; row++) into[row] = rows[width * row + index]!;
  return into;
}

function foldedLength(bytes: DataView, offset: number): number {
  return isV4(new Uint8Array(bytes.buffer, bytes.byteOffset + offset, ADDRESS_BYTES)) ? FOLDED_V4 : FOLDED_V6;
}

export function widened<T extends { set(from: ArrayLike<number>): void }>(from: ArrayLike<number>, to: T): T {
  to.set(from);
  return to;
}
