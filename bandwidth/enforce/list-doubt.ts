/** So long limits stay that a list of pods says nothing of, though their interfaces are there. */
export const DOUBT_MS = 60_000;

export interface ListFacts {
  /** Pods in the list. */
  readonly listed: number;
  /** Directions of pods that have a limit in force. */
  readonly inForce: number;
  /** Some of these are in the list. */
  readonly someListed: boolean;
  /** An interface of theirs is there. */
  readonly someThere: boolean;
}

/**
 * Whether a list of the node's pods is to be believed. One that would take away all limits while the pods' interfaces are
 * still there is more likely wrong than the pods gone: an agent with the name of another node, a file that is cut short.
 * It is believed after a minute. Of an agent that has believed a list before only an empty one is doubted. Pure.
 */
export class ListDoubt {
  readonly #doubtMs: number;
  #sinceMs: number | undefined;
  #hasBelieved = false;

  constructor(doubtMs = DOUBT_MS) {
    this.#doubtMs = doubtMs;
  }

  /** @returns whether the list may be acted on */
  believes({ listed, inForce, someListed, someThere }: ListFacts, nowMs: number): boolean {
    const strange = listed === 0 || (!this.#hasBelieved && !someListed);
    const doubted = inForce > 0 && someThere && strange;
    if (doubted) {
      this.#sinceMs ??= nowMs;
      if (nowMs - this.#sinceMs < this.#doubtMs) return false;
    }
    this.#sinceMs = undefined;
    this.#hasBelieved = true;
    return true;
  }
}
