/**
 * Base-128 varints as plain numbers, without Long objects: every integer of the contract is at most 2^53 - 1
 * (a pod that moves 100 Gbit/s needs 8 days to get there within one report).
 * https://protobuf.dev/programming-guides/encoding/#varints
 */

/** A protobuf varint of 64 bits takes at most ten bytes. */
const MAX_VARINT_BYTES = 10;

const SCALES = Float64Array.from({ length: MAX_VARINT_BYTES }, (_, i) => 128 ** i);

/** Bytes that `value` (an integer, 0..2^53-1) takes as a varint. */
export function varintSize(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x200000) return 3;
  if (value < 0x10000000) return 4;
  let size = 5;
  for (let rest = value / 0x800000000; rest >= 1; rest /= 128) size++;
  return size;
}

/** Writes `value` (an integer, 0..2^53-1) at `position` and returns the position behind it. */
export function writeVarint(out: Uint8Array, position: number, value: number): number {
  let rest = value;
  let at = position;
  while (rest >= 0x80000000) {
    out[at++] = (rest % 128) | 0x80;
    rest = Math.floor(rest / 128);
  }
  let low = rest | 0;
  while (low >= 0x80) {
    out[at++] = (low & 0x7f) | 0x80;
    low >>>= 7;
  }
  out[at++] = low;
  return at;
}

export type NumberColumn = Uint8Array | Uint16Array | Uint32Array | Float64Array;

/** Why a varint could not be read. The caller knows the column and makes the error of it. */
export type VarintFault = 'truncated' | 'longer than 10 bytes' | 'out of range' | 'too many values';

export class VarintError extends Error {
  readonly fault: VarintFault;
  readonly value: number;
  /** Of the target. */
  readonly index: number;

  constructor(fault: VarintFault, index: number, value = 0) {
    super(fault);
    this.fault = fault;
    this.index = index;
    this.value = value;
  }
}

/** How many varints end in bytes `start` to `end`. */
export function countVarints(bytes: Uint8Array, start: number, end: number): number {
  let count = 0;
  for (let at = start; at < end; at++) if (bytes[at]! < 0x80) count++;
  return count;
}

/**
 * Reads the varints in bytes `start` to `end` into `target` from `index` on; returns the index behind the last.
 * Throws VarintError for a value outside `min`..`max` (`max` at most 2^53 - 1: partial sums above it are only
 * ever rounded to something that is above it too), for a truncated one, and where `target` is full.
 */
export function readVarints(
  bytes: Uint8Array,
  start: number,
  end: number,
  target: NumberColumn,
  index: number,
  min: number,
  max: number,
): number {
  const capacity = target.length;
  let at = start;
  let next = index;
  while (at < end) {
    let byte = bytes[at++]!;
    let value = byte & 0x7f;
    if (byte >= 0x80) {
      let digit = 1;
      do {
        if (at >= end) throw new VarintError('truncated', next);
        if (digit === MAX_VARINT_BYTES) throw new VarintError('longer than 10 bytes', next);
        byte = bytes[at++]!;
        value += (byte & 0x7f) * SCALES[digit++]!;
      } while (byte >= 0x80);
    }
    if (value > max || value < min) throw new VarintError('out of range', next, value);
    if (next >= capacity) throw new VarintError('too many values', next);
    target[next++] = value;
  }
  return next;
}
