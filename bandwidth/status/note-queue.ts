import type { PodNote } from '../../lib/kube/event-writer.ts';

/** The part of an EventWriter that is used. */
export interface NoteWriter {
  admit(): boolean;
  /** @returns whether it was written; never rejects */
  write(note: PodNote): Promise<boolean>;
}

/** Two for each of 8,192 pods; what is beyond is counted. */
const MAX_WAITING = 16_384;
const LOOK_MS = 250;
/** After a failure nothing is written for this time, doubled with each further one: all nodes share one API server. */
const LEAST_PAUSE_MS = 1_000;
const MOST_PAUSE_MS = 60_000;
/** With these pauses half an hour for one note alone. */
const MAX_TRIES = 32;
/** What is being written when the agent ends is waited for so long: else the next one says it again. */
const END_MS = 1_000;
/** What was told is kept for the next agent at most so often. */
const KEEP_MS = 500;

/** Where it is kept what was told. */
export interface ToldStore {
  read(): Map<string, string>;
  write(told: ReadonlyMap<string, string>): void;
}

/** Cumulative, but for `waiting`. */
export interface NoteStats {
  readonly waiting: number;
  readonly written: number;
  /** Tries. */
  readonly failed: number;
  /** Notes that were given up: too many waited, or too many tries failed. */
  readonly dropped: number;
}

interface Waiting {
  readonly note: PodNote;
  /** That failed. */
  readonly tries: number;
}

/**
 * Tells of how the pods stand as fast as Events may be written: all limits of a node come to be at once, when its agent
 * starts. Of each direction of a pod the newest word waits, and the same is not said twice in a row, also by the next agent.
 * What could not be written waits again, behind the others; while nothing can be, one is tried now and then.
 */
export class NoteQueue {
  readonly #writer: NoteWriter;
  readonly #waiting = new Map<string, Waiting>();
  readonly #writing = new Map<string, PodNote>();
  readonly #calls = new Set<Promise<void>>();
  readonly #told: Map<string, string>;
  readonly #store: ToldStore | undefined;
  readonly #stats = { written: 0, failed: 0, dropped: 0 };
  #timer: NodeJS.Timeout | undefined;
  #keeping: NodeJS.Timeout | undefined;
  /** 0: what was tried last was written. */
  #pauseMs = 0;
  #pausedUntilMs = 0;
  #stopped = false;

  constructor(writer: NoteWriter, store?: ToldStore) {
    this.#writer = writer;
    this.#store = store;
    this.#told = store?.read() ?? new Map<string, string>();
  }

  get stats(): NoteStats {
    return { waiting: this.#waiting.size, ...this.#stats };
  }

  /** @param note undefined: there is nothing to tell of it any more */
  offer(key: string, note: PodNote | undefined): void {
    if (note === undefined || this.#lastWord(key) === note.message) {
      this.#waiting.delete(key);
      return;
    }
    if (this.#waiting.get(key)?.note.message === note.message) return;
    if (!this.#waiting.has(key) && this.#waiting.size >= MAX_WAITING) {
      this.#stats.dropped++;
      return;
    }
    this.#waiting.set(key, { note, tries: 0 });
    this.#flush();
  }

  /** Forgets what is not of these. */
  keep(keys: ReadonlySet<string>): void {
    const known = [...this.#waiting.keys(), ...this.#writing.keys(), ...this.#told.keys()];
    for (const key of known) if (!keys.has(key)) this.forget(key);
  }

  /** The same may be said of it again. */
  forget(key: string): void {
    this.#waiting.delete(key);
    this.#writing.delete(key);
    if (this.#told.delete(key)) this.#noteChange();
  }

  /** What waits is not told any more; what is being written is, for a moment. Idempotent. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#waiting.clear();
    if (this.#calls.size > 0) {
      let timer: NodeJS.Timeout | undefined;
      const end = new Promise((resolve) => (timer = setTimeout(resolve, END_MS)));
      await Promise.race([Promise.all(this.#calls), end]);
      clearTimeout(timer);
    }
    if (this.#keeping !== undefined) this.#keepTold();
  }

  #lastWord(key: string): string | undefined {
    return this.#writing.get(key)?.message ?? this.#told.get(key);
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
    if (this.#stopped) return;
    if (performance.now() >= this.#pausedUntilMs) this.#writeSome();
    if (this.#waiting.size === 0) return;
    this.#timer = setTimeout(() => this.#flush(), LOOK_MS);
    this.#timer.unref();
  }

  #writeSome(): void {
    for (const [key, { note, tries }] of this.#waiting) {
      // Words about the same stay in order.
      if (this.#writing.has(key)) continue;
      if ((this.#pauseMs > 0 && this.#calls.size > 0) || !this.#writer.admit()) return;
      this.#waiting.delete(key);
      this.#writing.set(key, note);
      const call = this.#writer.write(note).then((isWritten) => {
        this.#calls.delete(call);
        if (isWritten) this.#succeeded(key, note);
        else this.#failed(key, note, tries + 1);
      });
      this.#calls.add(call);
    }
  }

  #succeeded(key: string, note: PodNote): void {
    this.#stats.written++;
    this.#pauseMs = 0;
    this.#pausedUntilMs = 0;
    if (this.#writing.get(key) === note) {
      this.#writing.delete(key);
      this.#told.set(key, note.message);
      this.#noteChange();
    }
    if (this.#waiting.size > 0) this.#flush();
  }

  #failed(key: string, note: PodNote, tries: number): void {
    this.#stats.failed++;
    const nowMs = performance.now();
    // Several that were on their way together are one failure.
    if (nowMs >= this.#pausedUntilMs) {
      this.#pauseMs = Math.min(MOST_PAUSE_MS, Math.max(LEAST_PAUSE_MS, 2 * this.#pauseMs));
      this.#pausedUntilMs = nowMs + this.#pauseMs;
    }
    if (this.#writing.get(key) !== note) return;
    this.#writing.delete(key);
    const next = this.#waiting.get(key)?.note.message;
    // It is again as it was told before.
    if (next !== undefined && next === this.#told.get(key)) this.#waiting.delete(key);
    if (next !== undefined || this.#stopped) return;
    if (tries >= MAX_TRIES) this.#stats.dropped++;
    else this.#waiting.set(key, { note, tries });
    this.#flush();
  }
}
