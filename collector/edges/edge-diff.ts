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

/**
 * Turns cumulative readings of the kernel's `edges` map into what each period added.
 *
 * Invariant: the sum of all that was emitted for a key equals its highest reading, per figure. A reading below the
 * one before is held back: the kernel may count a FIN's sequence number as a byte for some microseconds, and takes it back.
 * Hence a key that the agent deletes from the map must be forgotten here at the same moment: it starts at zero again.
 */
export class EdgeDiff {
  private readonly table: KeyTable;
  private seen: Float64Array;
  /** Monotonic time of the last reading that moved. */
  private movedAtMs: Float64Array;
  private readonly builder = new ColumnBuilder();
  private readonly figures: EdgeFigures = emptyFigures();

  constructor(initialCapacity = 256) {
    this.table = new KeyTable(EDGE_KEY.size, initialCapacity);
    this.seen = new Float64Array(WIDTH * this.table.capacity);
    this.movedAtMs = new Float64Array(this.table.capacity);
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
    return CUMULATIVE.every((offset, figure) => reading(value, offset) <= this.seen[WIDTH * slot + figure]!);
  }

  /** The edge left the kernel's map. */
  forget(slot: number): void {
    this.table.remove(slot);
    this.movedAtMs[slot] = Infinity;
  }

  private read(keys: DataView, keyAt: number, values: DataView, valueAt: number, nowMs: number): void {
    let slot = this.table.find(keys, keyAt);
    if (slot < 0) slot = this.newSlot(keys, keyAt, nowMs);
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
    this.builder.push(keys, keyAt, figures);
  }

  private advance(at: number, now: number): number {
    const before = this.seen[at]!;
    if (now <= before) return 0;
    this.seen[at] = now;
    return now - before;
  }

  private newSlot(keys: DataView, keyAt: number, nowMs: number): number {
    const slot = this.table.add(keys, keyAt);
    if (this.table.capacity > this.movedAtMs.length) {
      this.seen = widened(this.seen, new Float64Array(WIDTH * this.table.capacity));
      this.movedAtMs = widened(this.movedAtMs, new Float64Array(this.table.capacity));
    }
    this.seen.fill(0, WIDTH * slot, WIDTH * (slot + 1));
    this.movedAtMs[slot] = nowMs;
    return slot;
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
