import { NetloomError } from '../errors.ts';

/**
 * Says whether a kernel handle may still be used, and puts its release off while calls on the thread pool are in
 * flight: a file descriptor closed under such a call could be another file by the time the kernel looks at it.
 *
 * open -> closing (closed to new uses; calls in flight go on) -> released (exactly once).
 */
export class Lifetime {
  readonly #what: string;
  readonly #release: () => void;
  #inFlight = 0;
  #closed = false;

  constructor(what: string, release: () => void) {
    this.#what = what;
    this.#release = release;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** @throws NetloomError BPF_CLOSED */
  assertOpen(): void {
    if (this.#closed) throw new NetloomError('BPF_CLOSED', `${this.#what} is closed`);
  }

  /** Runs one call on the thread pool. @throws NetloomError BPF_CLOSED */
  async hold<T>(call: () => Promise<T>): Promise<T> {
    this.assertOpen();
    this.#inFlight++;
    try {
      return await call();
    } finally {
      this.#inFlight--;
      if (this.#closed && this.#inFlight === 0) this.#release();
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#inFlight === 0) this.#release();
  }
}
