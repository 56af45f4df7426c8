/**
 * Bounds the memory of bodies that are still arriving: so many at once, and of those few beyond the small size.
 * Who gets none waits unread, in order, so that its sender is held back by TCP.
 */
export class BodySlots {
  readonly #free: Record<SlotKind, number>;
  readonly #waiting: Record<SlotKind, Set<() => void>> = { any: new Set(), large: new Set() };

  constructor(any: number, large: number) {
    this.#free = { any, large };
  }

  /** Runs `ready` now (returning true) or when a slot is free. Both ways the slot must be given back by `release`. */
  take(kind: SlotKind, ready: () => void): boolean {
    if (this.#free[kind] === 0) {
      this.#waiting[kind].add(ready);
      return false;
    }
    this.#free[kind]--;
    ready();
    return true;
  }

  /** Gives up waiting, or gives a slot back to the next who waits. */
  release(kind: SlotKind, ready: () => void): void {
    if (this.#waiting[kind].delete(ready)) return;
    const [next] = this.#waiting[kind];
    if (next === undefined) {
      this.#free[kind]++;
      return;
    }
    this.#waiting[kind].delete(next);
    next();
  }
}

export type SlotKind = 'any' | 'large';
