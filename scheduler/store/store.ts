import { Worker } from 'node:worker_threads';
import { NetloomError } from '../../lib/errors.ts';
import type { Logger } from '../../lib/log.ts';
import type { GraphDelta, SavedState } from '../graph/saved-state.ts';
import type { NamedPlan } from '../plan/named-plan.ts';
import type { FromStore, StoreFailure, ToStore } from './store-messages.ts';

export interface StoreOptions {
  /** The SQLite file; its folder is made. Beside it lie PATH-wal and PATH-shm. */
  readonly path: string;
  /** Most bytes of the file, 0: no bound (default). */
  readonly maxBytes?: number;
  readonly logger: Logger;
}

export interface StoreStatus {
  readonly path: string;
  readonly saves: number;
  readonly failures: number;
  /** Files that could not be read and were moved aside. */
  readonly movedAside: number;
  readonly lastSaveMs: number;
  /** What the last save failed with; undefined: it did not. */
  readonly error: NetloomError | undefined;
}

export interface GraphStore {
  /** Everything that was saved, as of the start; taken once. */
  readonly loaded: SavedState;
  /** The plan of an earlier run. */
  readonly loadedPlan: NamedPlan | undefined;
  /**
   * Fulfilled once it is on disk; rejects with a NetloomError (STORE_WRITE_FAILED), then nothing of it was saved.
   * Takes the delta's arrays. One at a time: wait for it before the next.
   */
  save(delta: GraphDelta): Promise<void>;
  /** Puts the plan in the place of the one before; rejects like save(). */
  savePlan(plan: NamedPlan): Promise<void>;
  status(): StoreStatus;
  close(): Promise<void>;
}

/** Opens the store in a thread of its own. Rejects with STORE_IN_USE, or STORE_UNWRITABLE where no file can be made. */
export async function createStore({ path, maxBytes = 0, logger }: StoreOptions): Promise<GraphStore> {
  let thread = new StoreThread(path, maxBytes);
  const opened = await thread.ask({ op: 'open' }).catch(async (error: unknown) => {
    await thread.end();
    throw error;
  });
  if (opened.op !== 'opened') throw new Error(`the store answered ${opened.op} to open`);
  const { state, plan: loadedPlan, movedAside } = opened;
  if (movedAside !== undefined) {
    const error = toError(movedAside);
    logger.error(error.message, { code: error.code, ...error.details, cause: undefined });
  }
  /** A thread that died is made anew; what it had not saved comes again with the next delta. */
  const reopen = async (): Promise<StoreThread> => {
    const next = new StoreThread(path, maxBytes);
    try {
      await next.ask({ op: 'open' });
    } catch (error) {
      await next.end();
      throw error;
    }
    logger.warn('the store has a new thread', { path });
    return next;
  };
  let [saves, failures, lastSaveMs] = [0, 0, 0];
  let lastError: NetloomError | undefined;
  let reopening: Promise<StoreThread> | undefined;
  const write = async (message: ToStore, transfer: ArrayBuffer[]): Promise<void> => {
    try {
      // Graph and plan may both find it ended.
      if (thread.ended) thread = await (reopening ??= reopen().finally(() => (reopening = undefined)));
      const answer = await thread.ask(message, transfer);
      if (answer.op === 'saved') lastSaveMs = answer.tookMs;
      saves++;
      if (lastError !== undefined) logger.info('the graph is saved again', { path });
      lastError = undefined;
    } catch (error) {
      failures++;
      // Said once for a row of failures: a full disk lasts.
      const first = lastError === undefined;
      lastError =
        error instanceof NetloomError
          ? error
          : new NetloomError('STORE_WRITE_FAILED', String(error), { place: path, cause: error });
      if (first) logger.error(lastError.message, { code: lastError.code, path, remedy: lastError.remedy });
      throw lastError;
    }
  };
  return {
    loaded: state,
    loadedPlan,
    async save(delta) {
      const { edges, removedEdges } = delta;
      const arrays = [edges.keys, edges.figures, edges.ports, removedEdges];
      await write(
        { op: 'save', delta },
        arrays.map((array) => array.buffer as ArrayBuffer),
      );
    },
    savePlan: async (plan) => write({ op: 'savePlan', plan }, []),
    status: () => ({
      path,
      saves,
      failures,
      movedAside: movedAside === undefined ? 0 : 1,
      lastSaveMs,
      error: lastError,
    }),
    close: async () => thread.close(),
  };
}

interface Waiting {
  readonly resolve: (answer: FromStore) => void;
  readonly reject: (error: NetloomError) => void;
}

/** Asks the worker; answers come in the order of the questions. */
class StoreThread {
  readonly #worker: Worker;
  readonly #waiting: Waiting[] = [];
  #ended: NetloomError | undefined;

  constructor(path: string, maxBytes: number) {
    this.#worker = new Worker(new URL('./store-worker.ts', import.meta.url), { workerData: { path, maxBytes } });
    this.#worker.on('message', (answer: FromStore) => {
      const waiting = this.#waiting.shift();
      if (waiting === undefined) return;
      if (answer.op === 'failed') waiting.reject(toError(answer.failure));
      else waiting.resolve(answer);
    });
    const gone = (reason: string, cause?: unknown): void => {
      this.#ended ??= new NetloomError('STORE_WRITE_FAILED', `the store's thread ended: ${reason}`, {
        place: path,
        cause,
      });
      for (const waiting of this.#waiting.splice(0)) waiting.reject(this.#ended);
    };
    this.#worker.on('error', (error: unknown) => gone(String(error), error));
    this.#worker.on('exit', (code) => gone(`exit code ${code}`));
  }

  get ended(): boolean {
    return this.#ended !== undefined;
  }

  async ask(message: ToStore, transfer: ArrayBuffer[] = []): Promise<FromStore> {
    if (this.#ended !== undefined) throw this.#ended;
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#worker.postMessage(message, transfer);
    });
  }

  async close(): Promise<void> {
    if (this.#ended !== undefined) return;
    await this.ask({ op: 'close' }).catch(() => {});
    await this.end();
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }
}

function toError({ code, message, place, expected, found, remedy }: StoreFailure): NetloomError {
  return new NetloomError(
    code ?? 'STORE_WRITE_FAILED',
    code === undefined ? `the graph was not saved: ${message}` : message,
    {
      ...(place === undefined ? {} : { place }),
      ...(expected === undefined ? {} : { expected }),
      ...(found === undefined ? {} : { found }),
      // The registry's remedy is the default of both sides.
      ...(remedy === undefined ? {} : { remedy }),
    },
  );
}
