/**
 * Gives equal values one object, so that what thousands of pods have in common (labels, owner, requests, node) is kept
 * once. Only those met of late are known: pods of an owner come together, in a list as in a roll-out, and what is not
 * found is kept twice, no more. Pure but for its memory.
 */
const MAX_KNOWN = 20_000;

export class Interner {
  readonly #known = new Map<string, unknown>();

  text(text: string): string {
    return this.#of(text, text);
  }

  /** @param key equal for equal values of all types that are interned here */
  value<T extends object>(key: string, value: T): T {
    return this.#of(key, value);
  }

  /** What was made for this key of late, else what `make` makes. */
  made<T>(key: string, make: () => T): T {
    return this.#known.has(key) ? (this.#known.get(key) as T) : this.#of(key, make());
  }

  labels(labels: Record<string, string>): Readonly<Record<string, string>> {
    let key = '{';
    for (const name in labels) key += `${name}=${labels[name]!},`;
    const known = this.#known.get(key);
    if (known !== undefined) return known as Readonly<Record<string, string>>;
    for (const name in labels) labels[name] = this.text(labels[name]!);
    return this.#of(key, labels);
  }

  #of<T>(key: string, value: T): T {
    const known = this.#known.get(key);
    if (known !== undefined) return known as T;
    if (this.#known.size >= MAX_KNOWN) this.#known.clear();
    this.#known.set(key, value);
    return value;
  }
}
