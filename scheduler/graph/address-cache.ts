import { type AddressKey, isV4, v4Number, v6Key } from '../../lib/ip.ts';

const MAX_SLOTS = 1 << 20;

/**
 * Values by address, for lookups straight from a report's bytes. IPv4 in flat arrays: a hit costs two cache misses,
 * where a Map of 100,000 numbers costs five (bench/graph-record.ts). Holds up to half a million of each family, then
 * starts anew.
 */
export class AddressCache<T> {
  #keys = new Uint32Array(4096);
  #values: (T | undefined)[] = new Array<T | undefined>(4096).fill(undefined);
  #used = 0;
  /** Keys are never 0: 0.0.0.0 is nobody's address. */
  readonly #v6 = new Map<string, T>();

  get(bytes: Uint8Array, offset: number): T | undefined {
    if (!isV4(bytes, offset)) return this.#v6.size === 0 ? undefined : this.#v6.get(v6Key(bytes, offset));
    return this.#values[this.#slot(v4Number(bytes, offset))];
  }

  set(bytes: Uint8Array, offset: number, value: T): void {
    if (!isV4(bytes, offset)) {
      if (this.#v6.size >= MAX_SLOTS / 2) this.#v6.clear();
      this.#v6.set(v6Key(bytes, offset), value);
      return;
    }
    const key = v4Number(bytes, offset);
    if (key === 0) return;
    const slot = this.#slot(key);
    if (this.#keys[slot] === 0) {
      if ((this.#used + 1) * 2 > this.#keys.length) {
        this.#grow();
        this.set(bytes, offset, value);
        return;
      }
      this.#keys[slot] = key;
      this.#used++;
    }
    this.#values[slot] = value;
  }

  delete(key: AddressKey): void {
    if (typeof key === 'string') this.#v6.delete(key);
    else this.#values[this.#slot(key)] = undefined;
  }

  clear(): void {
    this.#v6.clear();
    if (this.#used === 0) return;
    this.#keys.fill(0);
    this.#values.fill(undefined);
    this.#used = 0;
  }

  /** Where `key` is, or would be. */
  #slot(key: number): number {
    const mask = this.#keys.length - 1;
    let h = Math.imul(key, 0x9e3779b1);
    h ^= h >>> 15;
    for (let slot = h & mask; ; slot = (slot + 1) & mask) {
      const at = this.#keys[slot]!;
      if (at === key || at === 0) return slot;
    }
  }

  #grow(): void {
    if (this.#keys.length >= MAX_SLOTS) {
      this.clear();
      return;
    }
    const [keys, values] = [this.#keys, this.#values];
    this.#keys = new Uint32Array(keys.length * 2);
    this.#values = new Array<T | undefined>(keys.length * 2).fill(undefined);
    this.#used = 0;
    for (let i = 0; i < keys.length; i++) {
      const value = values[i];
      if (value === undefined) continue;
      const slot = this.#slot(keys[i]!);
      this.#keys[slot] = keys[i]!;
      this.#values[slot] = value;
      this.#used++;
    }
  }
}
