/** A binary heap of integers by a key each, the greatest on top. */
export class MaxHeap {
  readonly #items: number[] = [];
  readonly #keys: number[] = [];

  get size(): number {
    return this.#items.length;
  }

  /** Key of the top item; undefined: empty. */
  get topKey(): number | undefined {
    return this.#keys[0];
  }

  push(item: number, key: number): void {
    const items = this.#items;
    const keys = this.#keys;
    let at = items.length;
    items.push(item);
    keys.push(key);
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (!isBefore(key, item, keys[above]!, items[above]!)) break;
      items[at] = items[above]!;
      keys[at] = keys[above]!;
      at = above;
    }
    items[at] = item;
    keys[at] = key;
  }

  pop(): number | undefined {
    const items = this.#items;
    const keys = this.#keys;
    const top = items[0];
    const item = items.pop();
    const key = keys.pop();
    if (item === undefined || key === undefined || items.length === 0) return top;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= items.length) break;
      if (below + 1 < items.length && isBefore(keys[below + 1]!, items[below + 1]!, keys[below]!, items[below]!))
        below++;
      if (!isBefore(keys[below]!, items[below]!, key, item)) break;
      items[at] = items[below]!;
      keys[at] = keys[below]!;
      at = below;
    }
    items[at] = item;
    keys[at] = key;
    return top;
  }
}

/** Of equal keys the lower item first, so that the order never depends on history. */
function isBefore(key: number, item: number, otherKey: number, otherItem: number): boolean {
  return key > otherKey || (key === otherKey && item < otherItem);
}
