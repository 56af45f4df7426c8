import type { EdgeColumns } from '../../proto/report.ts';
import { EDGE_COUNTS, EDGE_KEY } from '../bpf/layout.ts';
import { ColumnBuilder, widened, type EdgeFigures } from './columns.ts';
import { KeyTable } from './key-table.ts';

const COUNTS = EDGE_COUNTS.fields;
/** Offsets of the cumulative figures, in the order of the `seen` array. */
const CUMULATIVE = [
  COUNTS.bytes_sent.offset,
  COUNTS.bytes_received.offset,
  COUNTS.segments_sent.offset,
  COUNTS.segments_received.offset,
  COUNTS.retransmits.offset,
  COUNTS.connections.offset,
] as const;
const WIDTH = CUMULATIVE.length;
const WORD = 2 ** 32;
/** In movedAtMs, of a slot without a key: never idle. */
const FORGOTTEN = Infinity;

/** A row of `save`: key, born_ms (u32), 4 bytes 0, the cumulative figures (f64). Little-endian. */
const ROW_BORN = EDGE_KEY.size;
const ROW_FIGURES = EDGE_KEY.size + 8;
export const BASELINE_ROW_BYTES = ROW_FIGURES + 8 * WIDTH;
const ROWS_A_CHUNK = 1024;

/** What was emitted of each edge of a map, all in all. */
export interface Baseline {
  /** Rows of BASELINE_ROW_BYTES. */
  readonly rows: number;
  /** They, in pieces of whole rows; each is reused for the next. */
  chunks(): Iterable<Uint8Array>;
}

/**
 * Turns cumulative readings of the kernel's `edges` map into what each period added.
 *
 * Invariant: the sum of all that was emitted for an edge equals its highest reading, per figure. A reading below the
 * one before is held back: the kernel may count a FIN's sequence number as a byte for some microseconds, and takes it back.
 * An edge that was deleted from the map and came back is another one, which its birth tells, and starts at zero.
 */
export class EdgeDiff {
  private readonly table: KeyTable;
  private seen: Float64Array;
  /** Monotonic time of the last reading that moved. */
  private movedAtMs: Float64Array;
  /** Low 32 bits of the time when the kernel made the edge. */
  private born: Uint32Array;
  /** Slot of each row in the builder. */
  private rowSlots: Uint32Array;
  private readonly builder = new ColumnBuilder();
  private readonly figures: EdgeFigures = emptyFigures();

  constructor(initialCapacity = 256) {
    this.table = new KeyTable(EDGE_KEY.size, initialCapacity);
    this.seen = new Float64Array(WIDTH * this.table.capacity);
    this.movedAtMs = new Float64Array(this.table.capacity);
    this.born = new Uint32Array(this.table.capacity);
    this.rowSlots = new Uint32Array(this.table.capacity);
  }

  /** Edges known. */
  get size(): number {
    return this.table.size;
  }

  /** A batch of the map as read; nothing of it is kept. */
  visit(keys: DataView, values: DataView, count: number, nowMs: number): void {
    for (let i = 0; i < count; i++) this.read(keys, EDGE_KEY.size * i, values, EDGE_COUNTS.size * i, nowMs);
  }

  /** What was added since the last call, and a new period begins. Edges that did not move are not in it. */
  finish(): EdgeColumns {
    return this.builder.finish();
  }

  /** Calls `visit` with the slot and the key of edges that have not moved since before `beforeMs`; the key's bytes are reused. */
  idle(beforeMs: number, visit: (slot: number, key: Uint8Array) => void): void {
    const key = new Uint8Array(EDGE_KEY.size);
    const view = new DataView(key.buffer);
    for (let slot = 0; slot < this.table.slotEnd; slot++) {
      if (this.movedAtMs[slot]! >= beforeMs) continue;
      this.table.copyKey(slot, view);
      visit(slot, key);
    }
  }

  /** Whether a value read now holds nothing that was not emitted yet. */
  isEmitted(slot: number, value: DataView): boolean {
    if (value.getUint32(COUNTS.born_ms.offset, true) !== this.born[slot]) return false;
    return CUMULATIVE.every((offset, figure) => reading(value, offset) <= this.seen[WIDTH * slot + figure]!);
  }

  /** The edge left the kernel's map. */
  forget(slot: number): void {
    this.table.remove(slot);
    this.movedAtMs[slot] = FORGOTTEN;
  }

  /** As of the last `finish`, also in the middle of a pass. To be used before anything else is called. */
  save(): Baseline {
    const { table, builder } = this;
    return { rows: table.size, chunks: () => this.rowChunks(builder.length) };
  }

  /** Takes up what another saved, into an empty one. `bytes`: rows. Edges that the map no longer has do no harm. */
  restore(bytes: Uint8Array, nowMs: number): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = 0; at < bytes.byteLength; at += BASELINE_ROW_BYTES) {
      const slot = this.newSlot(view, at, view.getUint32(at + ROW_BORN, true), nowMs);
      for (let i = 0; i < WIDTH; i++) this.seen[WIDTH * slot + i] = view.getFloat64(at + ROW_FIGURES + 8 * i, true);
    }
  }

  private *rowChunks(pendingRows: number): Generator<Uint8Array> {
    const chunk = new Uint8Array(Math.min(ROWS_A_CHUNK, Math.max(1, this.table.size)) * BASELINE_ROW_BYTES);
    const view = new DataView(chunk.buffer);
    // What this pass has read so far belongs to a period that nobody was told of: it is taken off again.
    const pending = new Float64Array(pendingRows === 0 ? 0 : WIDTH * this.table.slotEnd);
    for (let row = 0; row < pendingRows; row++) this.builder.addCumulative(row, pending, WIDTH * this.rowSlots[row]!);
    let at = 0;
    for (let slot = 0; slot < this.table.slotEnd; slot++) {
      if (this.movedAtMs[slot] === FORGOTTEN) continue;
      this.table.copyKey(slot, view, at);
      view.setUint32(at + ROW_BORN, this.born[slot]!, true);
      for (let i = 0; i < WIDTH; i++) {
        const figure = this.seen[WIDTH * slot + i]! - (pending[WIDTH * slot + i] ?? 0);
        // Below zero: seen twice in this pass, and deleted and made anew in between.
        view.setFloat64(at + ROW_FIGURES + 8 * i, Math.max(0, figure), true);
      }
      at += BASELINE_ROW_BYTES;
      if (at < chunk.length) continue;
      yield chunk;
      at = 0;
    }
    if (at > 0) yield chunk.subarray(0, at);
  }

  private read(keys: DataView, keyAt: number, values: DataView, valueAt: number, nowMs: number): void {
    const born = values.getUint32(valueAt + COUNTS.born_ms.offset, true);
    let slot = this.table.find(keys, keyAt);
    if (slot < 0) slot = this.newSlot(keys, keyAt, born, nowMs);
    else if (this.born[slot] !== born) this.startAnew(slot, born, nowMs);
    const base = WIDTH * slot;
    const { figures } = this;
    figures.bytesSent = this.advance(base, reading(values, valueAt + COUNTS.bytes_sent.offset));
    figures.bytesReceived = this.advance(base + 1, reading(values, valueAt + COUNTS.bytes_received.offset));
    figures.segmentsSent = this.advance(base + 2, reading(values, valueAt + COUNTS.segments_sent.offset));
    figures.segmentsReceived = this.advance(base + 3, reading(values, valueAt + COUNTS.segments_received.offset));
    figures.retransmits = this.advance(base + 4, reading(values, valueAt + COUNTS.retransmits.offset));
    figures.connections = this.advance(base + 5, reading(values, valueAt + COUNTS.connections.offset));
    if (
      figures.bytesSent === 0 &&
      figures.bytesReceived === 0 &&
      figures.segmentsSent === 0 &&
      figures.segmentsReceived === 0 &&
      figures.retransmits === 0 &&
      figures.connections === 0
    ) {
      return;
    }
    figures.minRttUs = values.getUint32(valueAt + COUNTS.min_rtt_us.offset, true);
    figures.smoothedRttUs = values.getUint32(valueAt + COUNTS.smoothed_rtt_us.offset, true);
    this.movedAtMs[slot] = nowMs;
    if (this.builder.length === this.rowSlots.length) {
      this.rowSlots = widened(this.rowSlots, new Uint32Array(2 * this.rowSlots.length));
    }
    this.rowSlots[this.builder.length] = slot;
    this.builder.push(keys, keyAt, figures);
  }

  private advance(at: number, now: number): number {
    const before = this.seen[at]!;
    if (now <= before) return 0;
    this.seen[at] = now;
    return now - before;
  }

  private newSlot(keys: DataView, keyAt: number, born: number, nowMs: number): number {
    const slot = this.table.add(keys, keyAt);
    if (this.table.capacity > this.movedAtMs.length) {
      this.seen = widened(this.seen, new Float64Array(WIDTH * this.table.capacity));
      this.movedAtMs = widened(this.movedAtMs, new Float64Array(this.table.capacity));
      this.born = widened(this.born, new Uint32Array(this.table.capacity));
    }
    this.startAnew(slot, born, nowMs);
    return slot;
  }

  private startAnew(slot: number, born: number, nowMs: number): void {
    this.seen.fill(0, WIDTH * slot, WIDTH * (slot + 1));
    this.born[slot] = born;
    this.movedAtMs[slot] = nowMs;
  }
}

/** A u64 that the kernel may briefly take below zero (wrapped): read as signed. Exact up to 2^53. */
function reading(values: DataView, at: number): number {
  return values.getInt32(at + 4, true) * WORD + values.getUint32(at, true);
}

function emptyFigures(): EdgeFigures {
  return {
    bytesSent: 0,
    bytesReceived: 0,
    segmentsSent: 0,
    segmentsReceived: 0,
    retransmits: 0,
    connections: 0,
    minRttUs: 0,
    smoothedRttUs: 0,
  };
}
