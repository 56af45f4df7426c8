import { stat } from 'node:fs/promises';
import type { ErrorCode } from '../error-codes.ts';
import { messageOf, NetloomError } from '../errors.ts';

const UNREADABLE: ReadonlySet<ErrorCode> = new Set(['SNAPSHOT_UNREADABLE', 'TRAFFIC_UNREADABLE'] as const);

export interface WatchedFileOptions {
  readonly path: string;
  /** Called for each content of the file, one call at a time. May throw: then failed() is told. */
  readonly read: () => Promise<void>;
  readonly failed: (error: unknown) => void;
  /** Also the first read may fail: start() tells failed() and goes on. Default: it rejects. */
  readonly patient?: boolean;
  /** Default 250 ms. */
  readonly pollMs?: number;
  /** What could not be opened or read is tried again after this long, though it looks the same. Default 10 s. */
  readonly retryMs?: number;
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
  /** Of the last read; what is the same again is not told again. */
  #fault: string | undefined;
  #retryAtMs = Infinity;
  #timer: NodeJS.Timeout | undefined;
  #work: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(options: WatchedFileOptions) {
    this.#options = options;
  }

  /** The first read; rejects where it fails, unless it is patient: who starts with a bad file wants to know at once. */
  async start(): Promise<void> {
    this.#seen = await identityOf(this.#options.path);
    this.#candidate = this.#seen;
    if (this.#options.patient === true) await this.#read(true);
    else await this.#options.read();
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
    const changed = identity !== this.#seen;
    if (!settled || (!changed && performance.now() < this.#retryAtMs)) return;
    this.#seen = identity;
    await this.#read(changed);
  }

  async #read(changed: boolean): Promise<void> {
    this.#retryAtMs = Infinity;
    try {
      await this.#options.read();
      this.#fault = undefined;
    } catch (error) {
      // No descriptors left, a network file system away: nothing will change in the file when that is over.
      if (error instanceof NetloomError && UNREADABLE.has(error.code)) {
        this.#retryAtMs = performance.now() + (this.#options.retryMs ?? 10_000);
      }
      const fault = messageOf(error);
      if (this.#stopped || (!changed && fault === this.#fault)) return;
      this.#fault = fault;
      this.#options.failed(error);
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
