import { messageOf } from '../../lib/errors.ts';
import type { Logger } from '../../lib/log.ts';

const QUIET_MS = 10_000;

/** Says each kind of fault at once, then at most every 10 s with the number left out: a fault may come with every call. */
export class Complaints {
  readonly #logger: Logger;
  readonly #nowMs: () => number;
  readonly #kinds = new Map<string, { quietUntilMs: number; suppressed: number }>();

  constructor(logger: Logger, nowMs: () => number) {
    this.#logger = logger;
    this.#nowMs = nowMs;
  }

  /** @param kind one of a fixed set of phrases, never text of a peer: each is remembered for good. */
  warn(kind: string, error?: unknown, fields: object = {}): void {
    const nowMs = this.#nowMs();
    const state = this.#kinds.get(kind) ?? { quietUntilMs: -Infinity, suppressed: 0 };
    this.#kinds.set(kind, state);
    if (nowMs < state.quietUntilMs) {
      state.suppressed++;
      return;
    }
    this.#logger.warn(kind, {
      ...fields,
      ...(error === undefined ? {} : { error: messageOf(error) }),
      ...(state.suppressed === 0 ? {} : { suppressed: state.suppressed }),
    });
    state.quietUntilMs = nowMs + QUIET_MS;
    state.suppressed = 0;
  }
}
