import type { PodNote } from '../../lib/kube/event-writer.ts';

/** The part of an EventWriter that is used. */
export interface NoteWriter {
  admit(): boolean;
  write(note: PodNote): Promise<void>;
}

/** Two for each of 8,192 pods; what is beyond is counted. */
const MAX_WAITING = 16_384;
const RETRY_MS = 250;
/** What was told is kept for the next agent at most so often. */
const KEEP_MS = 500;

/** Where it is kept what was told. */
export interface ToldStore {
  read(): Map<string, string>;
  write(told: ReadonlyMap<string, string>): void;
}

/**
 * Tells of how the pods stand as fast as Events may be written: all limits of a node come to be at once, when its agent
 * starts. Of each direction of a pod the newest word waits, and the same is not said twice in a row, also by the next agent.
 */
export class NoteQueue {
  readonly #writer: NoteWriter;
  readonly #waiting = new Map<string, PodNote>();
  readonly #told: Map<string, string>;
  readonly #store: ToldStore | undefined;
  #timer: NodeJS.Timeout | undefined;
  #keeping: NodeJS.Timeout | undefined;
  /** Notes that were not kept because too many waited. */
  dropped = 0;

  constructor(writer: NoteWriter, store?: ToldStore) {
    this.#writer = writer;
    this.#store = store;
    this.#told = store?.read() ?? new Map<string, string>();
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
    for (const key of [...this.#waiting.keys(), ...this.#told.keys()]) if (!keys.has(key)) this.forget(key);
  }

  /** The same may be said of it again. */
  forget(key: string): void {
    this.#waiting.delete(key);
    if (this.#told.delete(key)) this.#noteChange();
  }

  /** What waits is not told any more. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#waiting.clear();
    if (this.#keeping !== undefined) this.#keepTold();
  }

  #noteChange(): void {
    if (this.#store === undefined) return;
    this.#keeping ??= setTimeout(() => this.#keepTold(), KEEP_MS);
    this.#keeping.unref();
  }

  #keepTold(): void {
    clearTimeout(this.#keeping);
    this.#keeping = undefined;
    try {
      this.#store?.write(this.#told);
    } catch {
      // The next agent says it once more.
    }
  }

  #flush(): void {
    clearTimeout(this.#timer);
    for (const [key, note] of this.#waiting) {
      if (!this.#writer.admit()) break;
      this.#waiting.delete(key);
      this.#told.set(key, note.message);
      this.#noteChange();
      void this.#writer.write(note);
    }
    if (this.#waiting.size === 0) return;
    this.#timer = setTimeout(() => this.#flush(), RETRY_MS);
    this.#timer.unref();
  }
}
