/**
 * Slots for keys of a fixed number of bytes: an open-addressing hash table in typed arrays. A Map with string keys
 * costs about 150 B a key and as much garbage each pass; this costs the key's bytes and 8 more, and none.
 * Slots are small integers, stable until removed, then reused: callers keep their own arrays beside, `capacity` long.
 */
export class KeyTable {
  readonly keyBytes: number;
  private readonly words: number;
  private keys: Int32Array;
  /** Slot + 1 at each place; 0: empty. */
  private places: Int32Array;
  private readonly free: number[] = [];
  private highest = 0;
  private live = 0;

  /** `keyBytes`: a multiple of 4. */
  constructor(keyBytes: number, initialCapacity = 256) {
    this.keyBytes = keyBytes;
    this.words = keyBytes / 4;
    const capacity = 2 ** Math.ceil(Math.log2(Math.max(initialCapacity, 4)));
    this.keys = new Int32Array(capacity * this.words);
    this.places = new Int32Array(capacity * 2);
  }

  get size(): number {
    return this.live;
  }

  /** Every slot is below this. Grows by doubling. */
  get capacity(): number {
    return this.keys.length / this.words;
  }

  /** Slots given out so far lie in 0..slotEnd-1; those freed are among them. */
  get slotEnd(): number {
    return this.highest;
  }

  /** The key's slot, or -1. */
  find(bytes: DataView, offset: number): number {
    const at = this.placeOf(bytes, offset);
    return this.places[at]! - 1;
  }

  /** The key's slot, given to it now if it has none. */
  add(bytes: DataView, offset: number): number {
    let at = this.placeOf(bytes, offset);
    const known = this.places[at]! - 1;
    if (known >= 0) return known;
    if (this.free.length === 0 && this.highest === this.capacity) {
      this.grow();
      at = this.placeOf(bytes, offset);
    }
    const slot = this.free.pop() ?? this.highest++;
    for (let i = 0; i < this.words; i++) this.keys[slot * this.words + i] = bytes.getInt32(offset + 4 * i, true);
    this.places[at] = slot + 1;
    this.live++;
    return slot;
  }

  /** Forgets the key of a slot that is in use. */
  remove(slot: number): void {
    const mask = this.places.length - 1;
    let hole = this.hashOfSlot(slot) & mask;
    while (this.places[hole] !== slot + 1) {
      if (this.places[hole] === 0) return;
      hole = (hole + 1) & mask;
    }
    // Backward shift: what could not sit at its own place because of the hole moves into it.
    for (let next = (hole + 1) & mask; this.places[next] !== 0; next = (next + 1) & mask) {
      const home = this.hashOfSlot(this.places[next]! - 1) & mask;
      if (((next - home) & mask) >= ((next - hole) & mask)) {
        this.places[hole] = this.places[next]!;
        hole = next;
      }
    }
    this.places[hole] = 0;
    this.free.push(slot);
    this.live--;
  }

  /** Forgets all keys; the room stays. */
  clear(): void {
    this.places.fill(0);
    this.free.length = 0;
    this.highest = 0;
    this.live = 0;
  }

  /** Copies the slot's key into `target`. */
  copyKey(slot: number, target: DataView, offset = 0): void {
    for (let i = 0; i < this.words; i++) target.setInt32(offset + 4 * i, this.keys[slot * this.words + i]!, true);
  }

  private placeOf(bytes: DataView, offset: number): number {
    const mask = this.places.length - 1;
    let at = hashOf(bytes, offset, this.words) & mask;
    for (;;) {
      const slot = this.places[at]! - 1;
      if (slot < 0 || this.equals(slot, bytes, offset)) return at;
      at = (at + 1) & mask;
    }
  }

  private equals(slot: number, bytes: DataView, offset: number): boolean {
    const base = slot * this.words;
    for (let i = 0; i < this.words; i++) {
      if (this.keys[base + i] !== bytes.getInt32(offset + 4 * i, true)) return false;
    }
    return true;
  }

  private hashOfSlot(slot: number): number {
    let hash = SEED;
    for (let i = slot * this.words; i < (slot + 1) * this.words; i++) hash = mix(hash, this.keys[i]!);
    return finish(hash);
  }

  private grow(): void {
    const keys = new Int32Array(this.keys.length * 2);
    keys.set(this.keys);
    this.keys = keys;
    const old = this.places;
    this.places = new Int32Array(old.length * 2);
    const mask = this.places.length - 1;
    for (const place of old) {
      if (place === 0) continue;
      let at = this.hashOfSlot(place - 1) & mask;
      while (this.places[at] !== 0) at = (at + 1) & mask;
      this.places[at] = place;
    }
  }
}

const SEED = 0x2545f491;

function hashOf(bytes: DataView, offset: number, words: number): number {
  let hash = SEED;
  for (let i = 0; i < words; i++) hash = mix(hash, bytes.getInt32(offset + 4 * i, true));
  return finish(hash);
}

/** MurmurHash3's 32-bit round and finaliser. */
function mix(hash: number, word: number): number {
  let k = Math.imul(word, 0xcc9e2d51);
  k = Math.imul((k << 15) | (k >>> 17), 0x1b873593);
  const h = hash ^ k;
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0;
}

function finish(hash: number): number {
  let h = hash ^ (hash >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return h ^ (h >>> 16);
}
