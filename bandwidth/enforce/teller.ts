import type { Logger } from '../../lib/log.ts';
import type { Direction } from '../contract/bandwidth.ts';
import type { Standing, WishingPod } from './types.ts';

/** How a direction of a pod stands. */
export interface Told {
  readonly pod: WishingPod;
  readonly direction: Direction;
  readonly standing: Standing;
}

/** Told of each change; undefined: nothing is wished of it any more, or the pod went. */
export type OnStanding = (pod: WishingPod, direction: Direction, standing: Standing | undefined) => void;

export interface Warning {
  readonly text: string;
  readonly level: 'warn' | 'error';
}

export function warning(text: string): Warning {
  return { text, level: 'warn' };
}

const MAX_WARNINGS = 20;

/** Tells what changed since it was told last: how pods stand, and what is wrong. */
export class Teller {
  readonly #logger: Logger;
  readonly #onStanding: OnStanding | undefined;
  #standings = new Map<string, Told>();
  #warnings: readonly Warning[] = [];

  constructor(logger: Logger, onStanding: OnStanding | undefined) {
    this.#logger = logger;
    this.#onStanding = onStanding;
  }

  /** What is wrong, as it was told last. */
  get warnings(): string[] {
    return this.#warnings.map(({ text }) => text);
  }

  /** @param all directions that there are now */
  tell(all: Iterable<Told>): void {
    const standings = new Map<string, Told>();
    for (const one of all) {
      const { pod, direction, standing } = one;
      const key = `${pod.uid} ${direction}`;
      const before = this.#standings.get(key)?.standing;
      standings.set(key, one);
      const same =
        before !== undefined &&
        before.state === standing.state &&
        before.reason === standing.reason &&
        before.bps === standing.bps;
      if (!same) this.#onStanding?.(pod, direction, standing);
    }
    for (const [key, { pod, direction }] of this.#standings) {
      if (!standings.has(key)) this.#onStanding?.(pod, direction, undefined);
    }
    this.#standings = standings;
  }

  /** @param problems that there are now */
  warn(problems: readonly Warning[]): void {
    const known = new Set(this.warnings);
    for (const { text, level } of problems) if (!known.has(text)) this.#logger[level](text);
    this.#warnings = problems.slice(0, MAX_WARNINGS);
  }
}
