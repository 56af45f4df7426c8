import type { Logger } from '../../lib/log.ts';
import type { ClusterEvent, ClusterRecord } from '../cluster/model.ts';
import { recordKey } from '../cluster/records.ts';

/** Objects that are listed. */
const MOST = 1_000;

/** Objects that are used but for a field, such as an address that is none. The first is logged. */
export class OddFields {
  readonly #logger: Logger;
  readonly #texts = new Map<string, string>();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** @param odd what of it could not be used; undefined: nothing */
  see(record: ClusterRecord, odd: string | undefined): void {
    // Nearly always.
    if (odd === undefined && this.#texts.size === 0) return;
    const key = recordKey(record);
    if (odd === undefined) {
      this.#texts.delete(key);
      return;
    }
    if (this.#texts.size === 0) this.#logger.warn('an object is used but for a field', { object: odd });
    if (this.#texts.size < MOST || this.#texts.has(key)) this.#texts.set(key, odd);
  }

  changes(events: readonly ClusterEvent[]): void {
    if (this.#texts.size === 0) return;
    for (const { op, record } of events) if (op === 'delete') this.#texts.delete(recordKey(record));
  }

  get all(): readonly string[] {
    return [...this.#texts.values()];
  }
}
