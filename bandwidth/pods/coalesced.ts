/** Makes one call of many: at once after a pause, and not before `leastMs` after the call before. */
export class Coalesced {
  readonly #call: () => void;
  readonly #leastMs: number;
  #calledMs = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(call: () => void, leastMs: number) {
    this.#call = call;
    this.#leastMs = leastMs;
  }

  /** Something changed: a call will follow within `leastMs`, never from within this one. */
  request(): void {
    if (this.#stopped || this.#timer !== undefined) return;
    const waitMs = Math.max(0, this.#calledMs + this.#leastMs - performance.now());
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#calledMs = performance.now();
      this.#call();
    }, waitMs);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
