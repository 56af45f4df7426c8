/** The least time between two rounds; a change after a quiet time is acted on at once. */
const LEAST_GAP_MS = 100;
/** Another round comes after this at the latest, whatever was heard. */
export const RESYNC_MS = 10_000;
/** While something is waited for, or could not be done: doubled each time, up to RESYNC_MS. */
const RETRY_MS = 250;

/** Runs one piece of work over and over: one at a time, and once more where it was asked for meanwhile. */
export class Rounds {
  readonly #work: () => Promise<void>;
  #next: NodeJS.Timeout | undefined;
  #again: NodeJS.Timeout | undefined;
  #retryMs = RETRY_MS;
  #running: Promise<void> | undefined;
  #dirty = false;
  #lastMs = Number.NEGATIVE_INFINITY;
  #stopped = false;

  /** @param work never rejects */
  constructor(work: () => Promise<void>) {
    this.#work = work;
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  /** Asks for a round. */
  trigger(): void {
    if (this.#stopped) return;
    this.#dirty = true;
    if (this.#running !== undefined) return;
    clearTimeout(this.#next);
    const waitMs = Math.max(0, this.#lastMs + LEAST_GAP_MS - performance.now());
    this.#next = setTimeout(() => this.#run(), waitMs);
  }

  /** Asks for one in a while. */
  retry(): void {
    if (this.#stopped) return;
    clearTimeout(this.#again);
    this.#again = setTimeout(() => this.trigger(), this.#retryMs);
    this.#retryMs = Math.min(RESYNC_MS, 2 * this.#retryMs);
  }

  /** The next retry comes soon again. */
  resetRetry(): void {
    this.#retryMs = RETRY_MS;
  }

  /** Resolves once the round that was asked for last is over. */
  async settled(): Promise<void> {
    while (this.#running !== undefined || this.#dirty) {
      await (this.#running ?? new Promise((resolve) => setTimeout(resolve, LEAST_GAP_MS)));
    }
  }

  /** No further rounds; resolves once the one that runs is over. Idempotent. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#next);
    clearTimeout(this.#again);
    this.#dirty = false;
    await this.#running;
  }

  #run(): void {
    if (this.#stopped) return;
    this.#dirty = false;
    this.#running = this.#work().finally(() => {
      this.#running = undefined;
      this.#lastMs = performance.now();
      if (this.#dirty) this.trigger();
    });
  }
}
