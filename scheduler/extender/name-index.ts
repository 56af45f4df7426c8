/** Names entered per call: about a millisecond's worth; the others are found by their text until their turn comes. */
const ENTERED_PER_CALL = 2_000;
/** Longest node name in Kubernetes (a DNS subdomain); longer ones are found by their text. */
const MAX_NAME = 253;

const QUOTE = 0x22;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

const indexes = new WeakMap<readonly string[], NameIndex>();

/** The index of a table of names that only grows. */
export function nameIndexOf(names: readonly string[]): NameIndex {
  let index = indexes.get(names);
  if (index === undefined) {
    index = new NameIndex(names);
    indexes.set(names, index);
  }
  index.enter(ENTERED_PER_CALL);
  return index;
}

/**
 * Finds names by their bytes where they lie in a request. Making a string of each of 5,000 candidates, and looking that
 * up in a Map, took 1 ms and left 0.4 MB for the garbage collector; this takes a third of that and leaves nothing.
 * kube-scheduler lists nodes in an order that only rotates: so the name that came after this one last time is tried first.
 */
export class NameIndex {
  readonly #names: readonly string[];
  #entered = 0;
  /** Open addressing; 0: empty, else 1 + index of the name. At most half full. */
  #slots = new Int32Array(1024);
  #hashes = new Uint32Array(0);
  /** The bytes of name n: #bytes[#starts[n]] .. #bytes[#starts[n + 1]] */
  #bytes = new Uint8Array(0);
  #starts = new Int32Array(1);
  /** 1 + index of the name that last came after name n, at n + 1; at 0 the one that came first. */
  #followers = new Int32Array(1);
  /** Result of resolve, used again: see BodyBuffers. */
  #found = new Int32Array(1024);

  constructor(names: readonly string[]) {
    this.#names = names;
  }

  /** Takes in up to `count` further names. */
  enter(count: number): void {
    const from = this.#entered;
    const to = Math.min(this.#names.length, from + count);
    if (from === to) return;
    this.#makeRoom(to);
    for (let n = from; n < to; n++) {
      const name = this.#names[n]!;
      const start = this.#starts[n]!;
      let hash = FNV_OFFSET;
      // What is not plain (ASCII, no escapes) never stands between quotes as it is: it gets no slot.
      const isPlain = name.length <= MAX_NAME && /^[ !#-[\]-~]+$/.test(name);
      for (let i = 0; isPlain && i < name.length; i++) {
        const byte = name.charCodeAt(i);
        this.#bytes[start + i] = byte;
        hash = Math.imul(hash ^ byte, FNV_PRIME);
      }
      this.#starts[n + 1] = start + (isPlain ? name.length : 0);
      this.#hashes[n] = hash;
      if (isPlain) this.#place(n);
    }
    this.#entered = to;
  }

  /**
   * Reads an array of plain strings, `["a","b"]` without blanks, escapes or anything beyond ASCII, none empty.
   * @param at of the opening bracket
   * @param textIndex finds what this index does not have (yet)
   * @returns where the array ends (after its bracket), and for each string the index of its name or -1 (valid until the next call);
   *   undefined: not such an array.
   */
  resolve(
    bytes: Buffer,
    at: number,
    textIndex: ReadonlyMap<string, number>,
  ): { end: number; found: Int32Array } | undefined {
    let found = this.#found;
    let count = 0;
    let before = -1;
    let i = at + 1;
    if (bytes[at] !== OPEN_BRACKET) return undefined;
    if (bytes[i] === CLOSE_BRACKET) return { end: i + 1, found: found.subarray(0, 0) };
    for (;;) {
      if (bytes[i] !== QUOTE) return undefined;
      const start = i + 1;
      let index = before < this.#entered ? this.#followers[before + 1]! - 1 : -1;
      if (index >= 0 && this.#stands(index, bytes, start)) {
        i = start + this.#starts[index + 1]! - this.#starts[index]!;
      } else {
        const end = endOfPlain(bytes, start);
        if (end < 0) return undefined;
        index = this.#find(bytes, start, end);
        if (index >= 0) this.#followers[before + 1] = index + 1;
        else if (this.#entered < this.#names.length) index = textIndex.get(bytes.toString('latin1', start, end)) ?? -1;
        i = end;
      }
      if (count === found.length) {
        const grown = new Int32Array(2 * count);
        grown.set(found);
        this.#found = found = grown;
      }
      found[count++] = before = index;
      i++;
      if (bytes[i] === CLOSE_BRACKET) return { end: i + 1, found: found.subarray(0, count) };
      if (bytes[i] !== COMMA) return undefined;
      i++;
    }
  }

  /** Whether name n, and then a quote, stand at `start`. */
  #stands(n: number, bytes: Buffer, start: number): boolean {
    const own = this.#bytes;
    const end = this.#starts[n + 1]!;
    let i = start;
    for (let k = this.#starts[n]!; k < end; k++, i++) if (own[k] !== bytes[i]) return false;
    return bytes[i] === QUOTE;
  }

  #find(bytes: Buffer, start: number, end: number): number {
    let hash = FNV_OFFSET;
    for (let i = start; i < end; i++) hash = Math.imul(hash ^ bytes[i]!, FNV_PRIME);
    hash >>>= 0;
    const mask = this.#slots.length - 1;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const n = this.#slots[slot]! - 1;
      if (n < 0) return -1;
      if (this.#hashes[n] === hash && this.#stands(n, bytes, start)) return n;
    }
  }

  #place(n: number): void {
    const mask = this.#slots.length - 1;
    let slot = this.#hashes[n]! & mask;
    while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
    this.#slots[slot] = n + 1;
  }

  #makeRoom(names: number): void {
    const needed = this.#starts[this.#entered]! + (names - this.#entered) * MAX_NAME;
    if (this.#bytes.length < needed) {
      const grown = new Uint8Array(needed + this.#bytes.length);
      grown.set(this.#bytes);
      this.#bytes = grown;
    }
    if (this.#hashes.length < names) {
      const hashes = new Uint32Array(2 * names);
      hashes.set(this.#hashes);
      this.#hashes = hashes;
      const starts = new Int32Array(2 * names + 1);
      starts.set(this.#starts);
      this.#starts = starts;
      const followers = new Int32Array(2 * names + 1);
      followers.set(this.#followers);
      this.#followers = followers;
    }
    if (this.#slots.length >= 2 * names) return;
    let slots = this.#slots.length;
    while (slots < 2 * names) slots *= 2;
    this.#slots = new Int32Array(slots);
    for (let n = 0; n < this.#entered; n++) if (this.#starts[n + 1]! > this.#starts[n]!) this.#place(n);
  }
}

/** Where the quote stands that ends a string of 1..253 plain characters; -1: it is no such string. */
function endOfPlain(bytes: Buffer, start: number): number {
  for (let i = start; i <= start + MAX_NAME; i++) {
    const byte = bytes[i]!;
    if (byte === QUOTE) return i === start ? -1 : i;
    // Also the end of the buffer: undefined is not within.
    if (!(byte >= 0x20 && byte < 0x7f) || byte === BACKSLASH) return -1;
  }
  return -1;
}
