import { NetloomError } from '../errors.ts';
import { EINTR, EINVAL, ENOENT, ENOSPC, ENOTSUPP, EOPNOTSUPP, bpfError } from './errno.ts';
import { callAsync, libbpf } from './libbpf.ts';
import type { Lifetime } from './lifetime.ts';
import type { BatchVisitor } from './types.ts';

/** What a pass needs to know about its map. */
export interface ReadableMap {
  readonly name: string;
  readonly fd: number;
  readonly keySize: number;
  readonly valueStride: number;
  readonly maxEntries: number;
}

/**
 * Entries a batch. With 1024 the event loop was held at most 5 ms while 100,000 per-CPU entries were read,
 * with 4096 it was 13 ms (research: bpf-from-node §6).
 */
const BATCH_ENTRIES = 1024;
/** Entries between two turns of the event loop without batch lookup: about 5 us each. */
const SLICE_ENTRIES = 256;
/** The kernel's position token: 4 bytes for hash maps, a key for tries; libbpf's users give it 64. */
const TOKEN_BYTES = 64;
/** Consecutive EINTR (a trie that changes faster than it is walked) before a pass gives up. */
const MAX_INTERRUPTIONS = 16;

/** Reads whole maps; keeps its buffers from pass to pass. One pass at a time: the owner serialises. */
export class MapReader {
  readonly #map: ReadableMap;
  readonly #lifetime: Lifetime;
  #capacity: number;
  #keys: Uint8Array = new Uint8Array();
  #values: Uint8Array = new Uint8Array();
  #tokens: [Uint8Array, Uint8Array] = [new Uint8Array(), new Uint8Array()];
  readonly #count = new Uint32Array(1);
  readonly #countBytes = new Uint8Array(this.#count.buffer);
  #batchWorks = true;

  constructor(map: ReadableMap, lifetime: Lifetime) {
    this.#map = map;
    this.#lifetime = lifetime;
    this.#capacity = Math.max(1, Math.min(BATCH_ENTRIES, map.maxEntries));
  }

  async readAll(visit: BatchVisitor): Promise<number> {
    this.#lifetime.assertOpen();
    if (this.#keys.length === 0) this.#allocate();
    return this.#batchWorks ? await this.#readBatches(visit) : await this.#readOneByOne(visit);
  }

  #allocate(): void {
    this.#keys = new Uint8Array(this.#capacity * this.#map.keySize);
    this.#values = new Uint8Array(this.#capacity * this.#map.valueStride);
    const tokenBytes = Math.max(TOKEN_BYTES, this.#map.keySize);
    this.#tokens = [new Uint8Array(tokenBytes), new Uint8Array(tokenBytes)];
  }

  async #readBatches(visit: BatchVisitor): Promise<number> {
    const { fd, name, maxEntries } = this.#map;
    let [inToken, outToken] = this.#tokens;
    let first = true;
    let total = 0;
    let interruptions = 0;
    for (;;) {
      this.#count[0] = this.#capacity;
      const token = first ? null : inToken;
      const status = await this.#lifetime.hold(() =>
        callAsync(libbpf().bpf_map_lookup_batch, fd, token, outToken, this.#keys, this.#values, this.#countBytes, null),
      );
      const last = status === -ENOENT;
      if (status < 0 && !last) {
        if (status === -ENOSPC && this.#capacity < maxEntries) {
          // One hash bucket holds more entries than a batch: nothing was delivered, so the same place is asked again.
          this.#capacity = Math.min(this.#capacity * 2, maxEntries);
          this.#keys = new Uint8Array(this.#capacity * this.#map.keySize);
          this.#values = new Uint8Array(this.#capacity * this.#map.valueStride);
          continue;
        }
        if (status === -EINTR && ++interruptions <= MAX_INTERRUPTIONS) continue;
        if (first && (status === -ENOTSUPP || status === -EOPNOTSUPP || status === -EINVAL)) {
          this.#batchWorks = false;
          return await this.#readOneByOne(visit);
        }
        throw bpfError('BPF_MAP_FAILED', `map ${name} could not be read`, status);
      }
      // An owner that closed the map while the batch was under way has given up on it.
      this.#lifetime.assertOpen();
      const count = this.#count[0];
      if (count > 0) visit(viewOf(this.#keys), viewOf(this.#values), count);
      total += count;
      if (last) return total;
      interruptions = 0;
      first = false;
      [inToken, outToken] = [outToken, inToken];
    }
  }

  /**
   * The walk for types without batch lookup. A key that is deleted under the walk sends it back to the start, so
   * entries can be seen twice; more visits than the map has room for end it.
   */
  async #readOneByOne(visit: BatchVisitor): Promise<number> {
    const { fd, name, keySize, valueStride, maxEntries } = this.#map;
    const api = libbpf();
    const slice = Math.min(SLICE_ENTRIES, this.#capacity);
    const key = new Uint8Array(keySize);
    const nextKey = new Uint8Array(keySize);
    const value = new Uint8Array(valueStride);
    let previous: Uint8Array | null = null;
    let total = 0;
    let steps = 0;
    for (;;) {
      this.#lifetime.assertOpen();
      let filled = 0;
      let ended = false;
      while (filled < slice) {
        const status = ++steps > maxEntries ? -ENOENT : api.bpf_map_get_next_key(fd, previous, nextKey);
        if (status === -ENOENT) {
          ended = true;
          break;
        }
        if (status < 0) throw bpfError('BPF_MAP_FAILED', `map ${name} could not be walked`, status);
        key.set(nextKey);
        previous = key;
        const found = api.bpf_map_lookup_elem(fd, key, value);
        if (found === -ENOENT) continue;
        if (found < 0) throw bpfError('BPF_MAP_FAILED', `map ${name} could not be read`, found);
        this.#keys.set(key, filled * keySize);
        this.#values.set(value, filled * valueStride);
        filled++;
      }
      if (filled > 0) visit(viewOf(this.#keys), viewOf(this.#values), filled);
      total += filled;
      if (ended) return total;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Refuses map types that have no keys to walk. */
export function assertReadable(name: string, keySize: number): void {
  if (keySize === 0) {
    throw new NetloomError('BPF_MAP_FAILED', `map ${name} has no keys`, {
      expected: 'a hash, array or trie',
      found: 'a ring buffer, queue or storage',
    });
  }
}
