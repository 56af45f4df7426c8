import { messageOf } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import type { Losses } from '../proto/report.ts';
import { EdgeDiff, type Baseline } from './edges/edge-diff.ts';
import type { CollectorKernel, KernelLosses, ProgramRuns } from './kernel.ts';
import { costBetween, readCost, type CostReading } from './node/self-cost.ts';
import type { DeviceReading, UplinkReader } from './node/uplinks.ts';
import type { Period } from './period.ts';

/** An edge that has not moved for this long may be deleted. The scheduler keeps its own memory of it. */
const IDLE_MS = 10 * 60_000;
/** Deleting begins when the map is this full. */
const CROWDED = 0.5;
/** Bounds the synchronous part of one pass: a look-up and a deletion take about 6 us. */
const MAX_DELETED_A_PASS = 1000;

export interface CollectorOptions {
  readonly kernel: CollectorKernel;
  readonly uplinks: Pick<UplinkReader, 'read' | 'save' | 'restore'>;
  readonly logger: Logger;
  /** Monotonic. Default performance.now. */
  readonly nowMs?: () => number;
  readonly idleMs?: number;
  /**
   * Where what is told is kept beyond this process: end of the last period that is, ms. What moved later stays in the
   * kernel's map until it is. Default: nothing is kept anywhere.
   */
  readonly keptMs?: () => number;
}

/** How far the collector has told what the kernel counted. */
export interface CollectorState {
  readonly edges: Baseline;
  /** End of the last period. */
  readonly endMs: number;
  readonly losses: KernelLosses;
  readonly uplinks: readonly DeviceReading[];
}

/** Totals since the start, for metrics. */
export interface CollectorTotals {
  liveSockets: number;
  edges: number;
  deletedEdges: number;
  periods: number;
  /** Wall time of the last pass. */
  passMs: number;
  readFailed: number;
  /** Events that the kernel skipped; each may have hidden a connection. */
  missedEvents: number;
  mapFullConnections: number;
  mapFullBytes: number;
  storageFailed: number;
}

/** Reads the kernel's maps once a period and tells what was added. One period at a time. */
export class Collector {
  readonly totals: CollectorTotals = {
    liveSockets: 0,
    edges: 0,
    deletedEdges: 0,
    periods: 0,
    passMs: 0,
    readFailed: 0,
    missedEvents: 0,
    mapFullConnections: 0,
    mapFullBytes: 0,
    storageFailed: 0,
  };
  private readonly options: CollectorOptions;
  private readonly diff = new EdgeDiff();
  private readonly nowMs: () => number;
  private startedMs: number;
  private kernelLosses: KernelLosses = { mapFullConnections: 0, mapFullBytes: 0, storageFailed: 0 };
  private cost: CostReading;
  private lastRuns: readonly ProgramRuns[] = [];
  private readFailed = 0;
  private busy: Promise<unknown> = Promise.resolve();

  constructor(options: CollectorOptions) {
    this.options = options;
    this.nowMs = options.nowMs ?? (() => performance.now());
    this.startedMs = this.nowMs();
    this.lastRuns = options.kernel.runs();
    this.cost = readCost(this.lastRuns);
  }

  /** By program, as of the last period. */
  get programRuns(): readonly ProgramRuns[] {
    return this.lastRuns;
  }

  /** The map is so full that idle edges are deleted. */
  get isCrowded(): boolean {
    return this.diff.size > this.options.kernel.maxEdges * CROWDED;
  }

  /**
   * As of the last period that `collectPeriod` resolved with: whoever takes periods has taken the same. To be used
   * before anything else happens.
   */
  save(): CollectorState {
    const { diff, startedMs: endMs, kernelLosses: losses, options } = this;
    return { edges: diff.save(), endMs, losses, uplinks: options.uplinks.save() };
  }

  /** Goes on where another one was saved: the next period begins there. `baseline`: the rows of its edges. */
  restore({ endMs, losses, uplinks }: Omit<CollectorState, 'edges'>, baseline: Uint8Array): void {
    this.diff.restore(baseline, this.nowMs());
    this.startedMs = Math.min(endMs, this.startedMs);
    this.kernelLosses = losses;
    this.options.uplinks.restore(uplinks);
  }

  /**
   * Goes on where another one was, of which it is not known what it told: what the kernel's map holds now is not told
   * again. That some of it may never have been is a loss of unknown size; the next period counts it as a failed reading.
   */
  async skipToPresent(): Promise<void> {
    const { kernel } = this.options;
    await kernel.readEdges((keys, values, count) => this.diff.visit(keys, values, count, this.nowMs()));
    this.diff.finish();
    this.kernelLosses = kernel.losses();
    this.readFailed++;
  }

  /** What was added since the last call. A reading that fails is counted in the losses, never thrown. */
  collectPeriod(): Promise<Period> {
    const next = this.busy.then(() => this.collect());
    this.busy = next.catch(() => undefined);
    return next;
  }

  private async collect(): Promise<Period> {
    const { kernel, uplinks } = this.options;
    const startMs = this.nowMs();
    const sockets = await this.attempt('live sockets', () => kernel.countLiveSockets());
    if (sockets !== undefined) this.totals.liveSockets = sockets;
    await this.attempt('edges', () =>
      kernel.readEdges((keys, values, count) => this.diff.visit(keys, values, count, startMs)),
    );
    // From here to the end nothing waits: `save` sees all of this period, or nothing of it.
    const edges = this.diff.finish();
    this.deleteIdle(startMs);

    this.lastRuns = kernel.runs();
    const losses = this.readLosses();
    const cost = readCost(this.lastRuns);
    const endMs = this.nowMs();
    const period: Period = {
      periodMs: Math.max(1, Math.round(endMs - this.startedMs)),
      edges,
      uplinks: uplinks.read(),
      losses,
      cost: costBetween(this.cost, cost),
    };
    this.cost = cost;
    this.startedMs = endMs;
    this.totals.edges = this.diff.size;
    this.totals.periods++;
    this.totals.passMs = endMs - startMs;
    return period;
  }

  private readLosses(): Losses {
    const before = this.kernelLosses;
    let now = before;
    try {
      now = this.options.kernel.losses();
    } catch (error) {
      this.noteFailure('losses', error);
    }
    // As for edges: what the kernel took back is held back.
    const added = (name: keyof KernelLosses): number => {
      const delta = Math.max(0, now[name] - before[name]);
      this.totals[name] += delta;
      return delta;
    };
    const missed = this.lastRuns.reduce((sum, program) => sum + program.misses, 0);
    const newlyMissed = missed - this.totals.missedEvents;
    this.totals.missedEvents = missed;
    const readFailed = this.readFailed;
    this.readFailed = 0;
    this.totals.readFailed += readFailed;
    const losses: Losses = {
      mapFullConnections: added('mapFullConnections'),
      mapFullBytes: added('mapFullBytes'),
      // A skipped event hides the opening or the end of a socket: as good as a socket without storage.
      storageFailed: added('storageFailed') + newlyMissed,
      readFailed,
      droppedEdges: 0,
      droppedBytes: 0,
    };
    this.kernelLosses = {
      mapFullConnections: Math.max(before.mapFullConnections, now.mapFullConnections),
      mapFullBytes: Math.max(before.mapFullBytes, now.mapFullBytes),
      storageFailed: Math.max(before.storageFailed, now.storageFailed),
    };
    return losses;
  }

  /**
   * Makes room in a map that is more than half full. An edge that comes back is made anew by the kernel and starts at
   * zero, and so does what is remembered of it here; live sockets find no edge and make one, losing nothing. Between
   * the look and the deletion lie some microseconds, in an edge that was silent for minutes. What is not kept beyond
   * this process stays: the map is then the only place that the next agent could read it from.
   */
  private deleteIdle(nowMs: number): void {
    const { kernel, logger, idleMs = IDLE_MS, keptMs = () => Infinity } = this.options;
    if (!this.isCrowded) return;
    let deleted = 0;
    try {
      this.diff.idle(Math.min(nowMs - idleMs, keptMs()), (slot, key) => {
        if (deleted >= MAX_DELETED_A_PASS) return;
        const value = kernel.readEdge(key);
        if (value !== undefined && !this.diff.isEmitted(slot, value)) return;
        if (value !== undefined) kernel.deleteEdge(key);
        this.diff.forget(slot);
        deleted++;
      });
    } catch (error) {
      this.readFailed++;
      logger.warn('idle edges could not be deleted', { problem: messageOf(error) });
    }
    this.totals.deletedEdges += deleted;
    if (deleted > 0) logger.debug('deleted idle edges', { deleted, edges: this.diff.size });
  }

  private async attempt<T>(what: string, read: () => Promise<T>): Promise<T | undefined> {
    try {
      return await read();
    } catch (error) {
      this.noteFailure(what, error);
      return undefined;
    }
  }

  private noteFailure(what: string, error: unknown): void {
    this.readFailed++;
    this.options.logger.warn('a reading of the kernel failed', { what, problem: messageOf(error) });
  }
}
