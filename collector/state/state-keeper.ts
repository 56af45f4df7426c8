import { messageOf } from '../../lib/errors.ts';
import type { Logger } from '../../lib/log.ts';
import type { Collector, CollectorState } from '../collector.ts';
import type { KernelIdentity } from '../kernel.ts';
import type { StoredPeriod } from '../report/period.ts';
import type { NumberedPeriod, SavedQueue } from '../report/report-queue.ts';
import type { LoadedState } from './agent-state.ts';
import type { StateFile } from './state-file.ts';

export interface StateKeeperOptions {
  readonly file: Pick<StateFile, 'path' | 'write' | 'append' | 'close'>;
  readonly identity: Pick<KernelIdentity, 'setMapId'>;
  readonly mapId: Uint8Array;
  readonly collector: Pick<Collector, 'save'>;
  readonly queue: { save(): SavedQueue; readonly revision: number };
  readonly logger: Logger;
}

/**
 * Keeps what the next agent needs (AgentState) in a file, before anything leaves this process that depends on it. Where
 * the file cannot be written, the maps lose their identity: the next agent then knows that it does not know.
 */
export class StateKeeper {
  /** End of the last period in the file, on the clock of this process, ms; -Infinity: none. */
  keptMs = Number.NEGATIVE_INFINITY;
  readonly #options: StateKeeperOptions;
  /** Revision of the queue in the file; undefined: the file is not good. */
  #revision: number | undefined;
  #failed = false;

  constructor(options: StateKeeperOptions) {
    this.#options = options;
  }

  /** For ReportStreamOptions.onNumbered. Never throws. */
  noteNumber({ seq, period }: NumberedPeriod): void {
    const { file, queue } = this.#options;
    if (this.#revision === queue.revision) {
      try {
        file.append(seq, period.edges.n);
        return;
      } catch {
        // Perhaps a whole file can still be written in its place.
      }
    }
    this.save();
  }

  /** Unless the queue is as it is in the file. Never throws. */
  saveIfBehind(): void {
    if (this.#revision !== this.#options.queue.revision) this.save();
  }

  /** Never throws. */
  save(): void {
    const { file, mapId, collector, queue, identity, logger } = this.#options;
    const { revision } = queue;
    try {
      const state = collector.save();
      file.write({ mapId, collector: onBootClock(state), queue: queueOn(queue.save(), bootOffsetMs()) });
      this.#revision = revision;
      this.keptMs = state.endMs;
      if (!this.#failed) return;
      this.#failed = false;
      identity.setMapId(mapId);
      logger.info('the state is kept again', { file: file.path });
    } catch (error) {
      this.#revision = undefined;
      if (this.#failed) return;
      this.#failed = true;
      logger.warn('the state cannot be kept: the next agent will not know what was reported', {
        file: file.path,
        problem: messageOf(error),
      });
      try {
        identity.setMapId(undefined);
      } catch (problem) {
        logger.error('the maps cannot be marked', { problem: messageOf(problem) });
      }
    }
  }

  close(): void {
    this.#options.file.close();
  }
}

/** A state that was read, on the clock of this process. */
export function onProcessClock(state: LoadedState): LoadedState {
  const offsetMs = -bootOffsetMs();
  const { collector, queue } = state;
  return {
    ...state,
    collector: { ...collector, endMs: collector.endMs + offsetMs },
    queue: queueOn(queue, offsetMs),
  };
}

function onBootClock(state: CollectorState): CollectorState {
  return { ...state, endMs: state.endMs + bootOffsetMs() };
}

function queueOn(queue: SavedQueue, offsetMs: number): SavedQueue {
  const moved = (period: StoredPeriod): StoredPeriod => ({
    ...period,
    startMs: period.startMs + offsetMs,
    endMs: period.endMs + offsetMs,
  });
  return {
    ...queue,
    sent: queue.sent.map(({ seq, period }) => ({ seq, period: moved(period) })),
    waiting: queue.waiting.map(moved),
  };
}

/** CLOCK_MONOTONIC is so much ahead of this process's performance.now(). */
function bootOffsetMs(): number {
  return Number(process.hrtime.bigint()) / 1e6 - performance.now();
}
