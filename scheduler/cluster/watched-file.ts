import { stat } from 'node:fs/promises';

export interface WatchedFileOptions {
  readonly path: string;
  /** Called for each content of the file, one call at a time. May throw: then failed() is told. */
  readonly read: () => Promise<void>;
  readonly failed: (error: unknown) => void;
  /** Default 250 ms. */
  readonly pollMs?: number;
}

/**
 * Reads a file now and again whenever it was replaced: renamed over, rewritten in place, or a symlink was turned
 * elsewhere (as ConfigMap volumes do). By polling stat: fs.watch loses the file when it is renamed over, and network
 * file systems tell nothing. A file that is being written is read once it has stood still for one poll.
 */
export class WatchedFile {
  readonly #options: WatchedFileOptions;
  #seen = '';
  #candidate = '';
  #timer: NodeJS.Timeout | undefined;
  #work: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(options: WatchedFileOptions) {
    this.#options = options;
  }

  /** The first read; rejects where it fails: who starts with a bad file wants to know at once. */
  async start(): Promise<void> {
    this.#seen = await identityOf(this.#options.path);
    this.#candidate = this.#seen;
    await this.#options.read();
    this.#schedule();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#work;
  }

  #schedule(): void {
    if (this.#stopped) return;
    this.#timer = setTimeout(() => {
      this.#work = this.#look().finally(() => this.#schedule());
    }, this.#options.pollMs ?? 250);
    this.#timer.unref();
  }

  async #look(): Promise<void> {
    const identity = await identityOf(this.#options.path);
    const settled = identity === this.#candidate;
    this.#candidate = identity;
    if (!settled || identity === this.#seen) return;
    this.#seen = identity;
    await this.#read();
  }

  async #read(): Promise<void> {
    try {
      await this.#options.read();
    } catch (error) {
      if (!this.#stopped) this.#options.failed(error);
    }
  }
}

/** What changes when a file does; of the file a symlink points at. */
async function identityOf(path: string): Promise<string> {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
    return `${dev} ${ino} ${size} ${mtimeNs} ${ctimeNs}`;
  } catch (error) {
    return `missing ${(error as NodeJS.ErrnoException).code ?? ''}`;
  }
}
