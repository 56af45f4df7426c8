import type { PodNote } from '../../lib/kube/event-writer.ts';

/** The part of an EventWriter that is used. */
export interface NoteWriter {
  admit(): boolean;
  write(note: PodNote): Promise<void>;
}

/** Two for each of 8,192 pods; what is beyond is counted. */
const MAX_WAITING = 16_384;
const RETRY_MS = 250;

/**
 * Tells of how the pods stand as fast as Events may be written: all limits of a node come to be at once, when its agent
 * starts. Of each direction of a pod the newest word waits, and the same is not said twice in a row.
 */
export class NoteQueue {
  readonly #writer: NoteWriter;
  readonly #waiting = new Map<string, PodNote>();
  readonly #told = new Map<string, string>();
  #timer: NodeJS.Timeout | undefined;
  /** Notes that were not kept because too many waited. */
  dropped = 0;

  constructor(writer: NoteWriter) {
    this.#writer = writer;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** @param note undefined: there is nothing to tell of it any more */
  offer(key: string, note: PodNote | undefined): void {
    if (note === undefined || this.#told.get(key) === note.message) {
      this.#waiting.delete(key);
      return;
    }
    if (!this.#waiting.has(key) && this.#waiting.size >= MAX_WAITING) {
      this.dropped++;
      return;
    }
    this.#waiting.set(key, note);
    this.#flush();
  }

  /** Forgets what is not of these. */
  keep(keys: ReadonlySet<string>): void {
    for (const map of [this.#waiting, this.#told]) for (const key of map.keys()) if (!keys.has(key)) map.delete(key);
  }

  /** What waits is not told any more. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#waiting.clear();
  }

  #flush(): void {
    clearTimeout(this.#timer);
    for (const [key, note] of this.#waiting) {
      if (!this.#writer.admit()) break;
      this.#waiting.delete(key);
      this.#told.set(key, note.message);
      void this.#writer.write(note);
    }
    if (this.#waiting.size === 0) return;
    this.#timer = setTimeout(() => this.#flush(), RETRY_MS);
    this.#timer.unref();
  }
}
