import { closeSync } from 'node:fs';
import { NetloomError } from '../errors.ts';
import { ENOENT, bpfError } from './errno.ts';
import { mapInfo } from './info.ts';
import { libbpf, possibleCpus } from './libbpf.ts';
import { Lifetime } from './lifetime.ts';
import { MapReader, assertReadable } from './map-reader.ts';
import { openPin, pinFd } from './pin.ts';
import type { BatchVisitor, BpfMap } from './types.ts';

/** BPF_MAP_TYPE_* of linux/bpf.h, as far as they are told apart here. */
export const MapType = {
  HASH: 1,
  ARRAY: 2,
  PERCPU_HASH: 5,
  PERCPU_ARRAY: 6,
  LRU_HASH: 9,
  LRU_PERCPU_HASH: 10,
  CGROUP_STORAGE_PERCPU: 21,
  SK_STORAGE: 24,
  RINGBUF: 27,
} as const;

const PER_CPU_TYPES: ReadonlySet<number> = new Set([
  MapType.PERCPU_HASH,
  MapType.PERCPU_ARRAY,
  MapType.LRU_PERCPU_HASH,
  MapType.CGROUP_STORAGE_PERCPU,
]);

/** A map by its file descriptor; `lifetime` is that of whoever owns the descriptor. */
export class FdMap implements BpfMap {
  readonly name: string;
  readonly type: number;
  readonly id: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly valueStride: number;
  readonly maxEntries: number;
  readonly #fd: number;
  readonly #lifetime: Lifetime;
  readonly #ownsFd: boolean;
  #reader: MapReader | undefined;
  #lastPass: Promise<unknown> = Promise.resolve();

  constructor(fd: number, lifetime: Lifetime, options: { name?: string; ownsFd: boolean }) {
    const info = mapInfo(fd);
    this.#fd = fd;
    this.#lifetime = lifetime;
    this.#ownsFd = options.ownsFd;
    this.name = options.name ?? info.name;
    this.type = info.type;
    this.id = info.id;
    this.keySize = info.keySize;
    this.valueSize = info.valueSize;
    this.valueStride = PER_CPU_TYPES.has(info.type)
      ? Math.ceil(info.valueSize / 8) * 8 * possibleCpus()
      : info.valueSize;
    this.maxEntries = info.maxEntries;
  }

  get fd(): number {
    this.#lifetime.assertOpen();
    return this.#fd;
  }

  readAll(visit: BatchVisitor): Promise<number> {
    const pass = this.#lastPass.then(() => {
      assertReadable(this.name, this.keySize);
      this.#reader ??= new MapReader(
        {
          name: this.name,
          fd: this.#fd,
          keySize: this.keySize,
          valueStride: this.valueStride,
          maxEntries: this.maxEntries,
        },
        this.#lifetime,
      );
      return this.#reader.readAll(visit);
    });
    // A pass that failed must not fail those behind it.
    this.#lastPass = pass.catch(() => undefined);
    return pass;
  }

  lookup(key: Uint8Array): Uint8Array | undefined {
    this.#assertSize('key', key, this.keySize);
    const value = new Uint8Array(this.valueStride);
    const status = libbpf().bpf_map_lookup_elem(this.fd, key, value);
    if (status === -ENOENT) return undefined;
    if (status < 0) throw bpfError('BPF_MAP_FAILED', `lookup in map ${this.name}`, status);
    return value;
  }

  update(key: Uint8Array, value: Uint8Array, flags = 0): void {
    this.#assertSize('key', key, this.keySize);
    this.#assertSize('value', value, this.valueStride);
    const status = libbpf().bpf_map_update_elem(this.fd, key, value, flags);
    if (status < 0) throw bpfError('BPF_MAP_FAILED', `update of map ${this.name}`, status);
  }

  delete(key: Uint8Array): boolean {
    this.#assertSize('key', key, this.keySize);
    const status = libbpf().bpf_map_delete_elem(this.fd, key);
    if (status === -ENOENT) return false;
    if (status < 0) throw bpfError('BPF_MAP_FAILED', `delete from map ${this.name}`, status);
    return true;
  }

  pin(path: string): void {
    pinFd(this.fd, path, `map ${this.name}`);
  }

  close(): void {
    if (this.#ownsFd) this.#lifetime.close();
  }

  /** The kernel copies as many bytes as the map says, whatever the buffer's length. */
  #assertSize(what: 'key' | 'value', bytes: Uint8Array, expected: number): void {
    if (bytes.length === expected) return;
    throw new NetloomError('BPF_MAP_FAILED', `a ${what} of the wrong size for map ${this.name}`, {
      expected: `${expected} bytes`,
      found: `${bytes.length} bytes`,
    });
  }
}

/**
 * A map that somebody pinned, perhaps another process. With `readOnly` the file mode of the pin is enough: no
 * capability is needed to read.
 * @throws NetloomError BPF_PIN_FAILED, BPF_NOT_PERMITTED
 */
export function openPinnedMap(path: string, options: { readOnly?: boolean } = {}): BpfMap {
  const fd = openPin(path, options.readOnly === true);
  const lifetime = new Lifetime(`map ${path}`, () => closeSync(fd));
  try {
    return new FdMap(fd, lifetime, { ownsFd: true });
  } catch (error) {
    lifetime.close();
    throw error;
  }
}
