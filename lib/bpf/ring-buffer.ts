import { closeSync } from 'node:fs';
import koffi from 'koffi';
import { NetloomError } from '../errors.ts';
import { bpfError } from './errno.ts';
import { lastErrno } from './libbpf.ts';
import { libc } from './libc.ts';
import { MapType } from './map.ts';
import type { BpfMap } from './types.ts';

export interface RingBufferOptions {
  /** Records handled in one turn of the event loop; more wait for the next. Default 4096: about 0.3 ms of reading. */
  readonly recordsPerTurn?: number;
  /** Told what `onRecord` throws; the record counts as failed and the next one follows. */
  readonly onError?: (error: unknown) => void;
}

export interface RingBufferReader {
  readonly records: number;
  /** Records that the program gave up after reserving them. */
  readonly discarded: number;
  /** Records whose handler threw. */
  readonly failed: number;
  /** Handles what is there now, at most one turn's worth; resolves nothing, never blocks. Called by itself on events. */
  consume(): void;
  /** Idempotent; views handed out before are detached. */
  close(): void;
}

const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 1;
const F_DUPFD_CLOEXEC = 1030;

/** Header bits of a record (include/uapi/linux/bpf.h): still being written; given up. Bit 31 makes an int32 negative. */
const DISCARD_BIT = 1 << 30;
const LENGTH_MASK = DISCARD_BIT - 1;
const HEADER_BYTES = 8;
/** The kernel gets room back at least this often within a turn. */
const RELEASE_EVERY = 256;
const DEFAULT_RECORDS_PER_TURN = 4096;

/**
 * Reads a BPF ring buffer in JavaScript, over memory shared with the kernel: 16-90 ns a record, where libbpf with a
 * callback takes 270-850 (research: bpf-from-node §4). Records that found no room are not here: the program must
 * count failed reservations itself.
 * @param onRecord called with one record at a time; the view is valid only during the call
 * @throws NetloomError BPF_MAP_FAILED, BPF_NOT_PERMITTED
 */
export function ringBuffer(
  map: BpfMap,
  onRecord: (record: DataView) => void,
  options: RingBufferOptions = {},
): RingBufferReader {
  if (map.type !== MapType.RINGBUF) {
    throw new NetloomError('BPF_MAP_FAILED', `map ${map.name} is no ring buffer`, {
      expected: `map type ${MapType.RINGBUF}`,
      found: `map type ${map.type}`,
    });
  }
  return new MappedRing(map, onRecord, options);
}

class MappedRing implements RingBufferReader {
  records = 0;
  discarded = 0;
  failed = 0;

  readonly #onRecord: (record: DataView) => void;
  readonly #options: RingBufferOptions;
  readonly #fd: number;
  readonly #mask: number;
  readonly #consumer: Mapping;
  readonly #producer: Mapping;
  readonly #consumerPosition: BigUint64Array;
  readonly #producerPosition: BigUint64Array;
  readonly #headers: Int32Array;
  readonly #dataStart: number;
  readonly #poll: InstanceType<typeof koffi.node.PollHandle>;
  /** Bytes since the ring was made; exact up to 2^53. */
  #position: number;
  #closed = false;
  #consuming = false;

  constructor(map: BpfMap, onRecord: (record: DataView) => void, options: RingBufferOptions) {
    this.#onRecord = onRecord;
    this.#options = options;
    this.#mask = map.maxEntries - 1;
    const pageSize = libc().getpagesize();
    // The map's own descriptor may be closed before this reader is; a watched descriptor must not be.
    this.#fd = libc().fcntl(map.fd, F_DUPFD_CLOEXEC, 0);
    if (this.#fd < 0) throw bpfError('BPF_SYSTEM_FAILED', 'duplicating a file descriptor', lastErrno());
    try {
      this.#consumer = mapMemory(this.#fd, pageSize, PROT_READ | PROT_WRITE, 0, map.name);
      try {
        // The data is mapped twice in a row, so that a record which wraps around is still in one piece.
        this.#producer = mapMemory(this.#fd, pageSize + 2 * map.maxEntries, PROT_READ, pageSize, map.name);
      } catch (error) {
        unmapMemory(this.#consumer);
        throw error;
      }
    } catch (error) {
      closeSync(this.#fd);
      throw error;
    }
    this.#consumerPosition = new BigUint64Array(this.#consumer.buffer, 0, 1);
    this.#producerPosition = new BigUint64Array(this.#producer.buffer, 0, 1);
    this.#headers = new Int32Array(this.#producer.buffer);
    this.#dataStart = pageSize;
    this.#position = Number(Atomics.load(this.#consumerPosition, 0));
    // Level-triggered: what a turn leaves behind calls again in the next one.
    this.#poll = koffi.node.poll(this.#fd, { readable: true }, () => this.consume());
  }

  consume(): void {
    if (this.#closed || this.#consuming) return;
    this.#consuming = true;
    try {
      let budget = this.#options.recordsPerTurn ?? DEFAULT_RECORDS_PER_TURN;
      while (budget > 0 && !this.#closed) {
        const handled = this.#consumeSome(Math.min(budget, RELEASE_EVERY));
        if (handled === 0) break;
        budget -= handled;
        Atomics.store(this.#consumerPosition, 0, BigInt(this.#position));
      }
    } finally {
      this.#consuming = false;
      if (this.#closed) this.#release();
    }
  }

  /** Records passed; stops at one that is still being written. */
  #consumeSome(limit: number): number {
    const end = Number(Atomics.load(this.#producerPosition, 0));
    let handled = 0;
    while (handled < limit && this.#position < end && !this.#closed) {
      const at = this.#dataStart + (this.#position & this.#mask);
      const header = Atomics.load(this.#headers, at >> 2);
      if (header < 0) break;
      const length = header & LENGTH_MASK;
      this.#position += (length + HEADER_BYTES + 7) & ~7;
      handled++;
      if ((header & DISCARD_BIT) === 0) this.#deliver(at + HEADER_BYTES, length);
      else this.discarded++;
    }
    return handled;
  }

  #deliver(at: number, length: number): void {
    this.records++;
    try {
      this.#onRecord(new DataView(this.#producer.buffer, at, length));
    } catch (error) {
      this.failed++;
      this.#options.onError?.(error);
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#poll.close();
    // Called from onRecord: the turn under way still looks at the memory.
    if (!this.#consuming) this.#release();
  }

  #release(): void {
    Atomics.store(this.#consumerPosition, 0, BigInt(this.#position));
    unmapMemory(this.#consumer);
    unmapMemory(this.#producer);
    closeSync(this.#fd);
  }
}

interface Mapping {
  readonly address: bigint;
  readonly length: number;
  readonly buffer: ArrayBuffer;
}

const MAP_FAILED = 0xffff_ffff_ffff_ffffn;

function mapMemory(fd: number, length: number, protection: number, offset: number, name: string): Mapping {
  const address = libc().mmap(null, length, protection, MAP_SHARED, fd, offset);
  if (BigInt.asUintN(64, address) === MAP_FAILED) {
    throw bpfError('BPF_MAP_FAILED', `ring buffer ${name} cannot be mapped`, lastErrno());
  }
  return { address, length, buffer: koffi.view(address, length) };
}

function unmapMemory({ address, length, buffer }: Mapping): void {
  // Detached first: a view that somebody kept then throws, instead of reading memory that is gone.
  buffer.transfer();
  libc().munmap(address, length);
}
