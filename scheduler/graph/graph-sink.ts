import { NetloomError } from '../../lib/errors.ts';
import type { Logger } from '../../lib/log.ts';
import type { Report } from '../../proto/report.ts';
import type { ConnectedAgent, ReportSink } from '../ingest/report-sink.ts';
import { type GraphDelta, type SavedState, keysOf, restore, returnDelta, takeDelta } from './saved-state.ts';
import { type TrafficGraph, hex } from './traffic-graph.ts';

/** Where deltas go; scheduler/store makes one. */
export interface DeltaStore {
  readonly loaded: SavedState;
  /** Fulfilled once it is safe; rejects if nothing of it was saved. */
  save(delta: GraphDelta): Promise<void>;
}

export interface GraphSinkOptions {
  readonly graph: TrafficGraph;
  /** undefined: the graph lives as long as the process, and what is booked counts as committed. */
  readonly store: DeltaStore | undefined;
  readonly logger: Logger;
  /** Wall clock, ms. */
  readonly now?: () => number;
  /** Pause between saves, ms; an agent's report is acknowledged after the next one. Default 1,000. */
  readonly saveIntervalMs?: number;
}

const TICK_MS = 500;
/** The pause is at least so many times what the last save took (330 ms for 50,000 edges): a tenth of a core. */
const PAUSE_FACTOR = 9;
const MAX_PAUSE_MS = 15_000;

/**
 * Books reports and saves: a report's promise is fulfilled when the transaction that holds both what it added and its
 * number is on disk. When saving fails, everything waits and is tried again; the agents keep what is not acknowledged.
 */
export class GraphSink implements ReportSink {
  readonly #graph: TrafficGraph;
  readonly #store: DeltaStore | undefined;
  readonly #logger: Logger;
  readonly #now: () => number;
  readonly #saveIntervalMs: number;
  /** Highest saved sequence by node and map identity. */
  readonly #committed = new Map<string, Map<string, number>>();
  #waiting: { readonly resolve: () => void; readonly reject: (error: Error) => void }[] = [];
  #saving: Promise<void> | undefined;
  #saveTimer: NodeJS.Timeout | undefined;
  #tickTimer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor({ graph, store, logger, now = Date.now, saveIntervalMs = 1_000 }: GraphSinkOptions) {
    this.#graph = graph;
    this.#store = store;
    this.#logger = logger;
    this.#now = now;
    this.#saveIntervalMs = saveIntervalMs;
  }

  /** Loads what was saved, and starts to save and to decide on what is held. */
  start(): void {
    if (this.#store !== undefined) {
      const { loaded } = this.#store;
      const left = restore(this.#graph, loaded);
      for (const node of loaded.nodes) this.#committed.set(node.name, new Map(node.sequences));
      const { n } = loaded.edges;
      if (n > 0) this.#logger.info('saved graph loaded', { edges: n - left, nodes: loaded.nodes.length });
      if (left > 0) this.#logger.warn('saved edges without endpoints were left out', { edges: left });
      this.#scheduleSave(this.#saveIntervalMs);
    }
    this.#graph.start(this.#now());
    this.#tickTimer = setInterval(() => {
      this.#graph.tick(this.#now());
    }, TICK_MS);
    this.#tickTimer.unref();
  }

  /** Saves what is left. What cannot be saved is refused: the agents keep it. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#tickTimer);
    clearTimeout(this.#saveTimer);
    await this.#saving;
    clearTimeout(this.#saveTimer);
    await this.#save();
    const error = new NetloomError('STORE_WRITE_FAILED', 'the scheduler stopped before this report was saved');
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }

  /** Saves now; fulfilled when everything booked before the call is safe, or the attempt failed. */
  async flush(): Promise<void> {
    await this.#saving;
    await this.#save();
  }

  committedSeq(node: string, mapId: Uint8Array): number {
    const sequences = this.#store === undefined ? this.#graph.sequences : this.#committed;
    return sequences.get(node)?.get(hex(mapId)) ?? 0;
  }

  report(node: string, report: Report, receivedMs: number): void | Promise<void> {
    const result = this.#graph.record(node, report, receivedMs);
    if (!result.ok && result.reason === 'too-many-nodes') {
      const expected = `at most ${this.#graph.options.maxNodes} nodes`;
      throw new NetloomError('GRAPH_FULL', `no room for node ${node}`, { expected });
    }
    if (this.#store === undefined) return;
    // Booked before and waiting for its commit, or already safe.
    if (!result.ok && report.seq <= this.committedSeq(node, report.mapId)) return;
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  agentConnected({ node, hello, connectedMs }: ConnectedAgent): void {
    const { mapId, intervalMs, version } = hello;
    this.#graph.agentConnected({ node, mapId, intervalMs, version }, connectedMs);
  }

  agentGone(node: string, nowMs: number): void {
    this.#graph.agentDisconnected(node, nowMs);
  }

  #scheduleSave(pauseMs: number): void {
    if (this.#stopped) return;
    this.#saveTimer = setTimeout(() => {
      const from = performance.now();
      this.#saving = this.#save().finally(() => {
        this.#saving = undefined;
        const tookMs = performance.now() - from;
        this.#scheduleSave(Math.min(Math.max(this.#saveIntervalMs, tookMs * PAUSE_FACTOR), MAX_PAUSE_MS));
      });
    }, pauseMs);
    this.#saveTimer.unref();
  }

  /** Never rejects: the store has said what went wrong. */
  async #save(): Promise<void> {
    const store = this.#store;
    if (store === undefined) return;
    const waiting = this.#waiting;
    const delta = takeDelta(this.#graph);
    if (delta === undefined) {
      this.#waiting = [];
      for (const { resolve } of waiting) resolve();
      return;
    }
    this.#waiting = [];
    const keys = keysOf(delta);
    const { nodes } = delta;
    try {
      await store.save(delta);
    } catch {
      returnDelta(this.#graph, keys);
      this.#waiting = [...waiting, ...this.#waiting];
      return;
    }
    for (const { name, sequences } of nodes) this.#committed.set(name, new Map(sequences));
    if (keys.removedNodes.length > 0) {
      for (const name of this.#committed.keys()) if (!this.#graph.sequences.has(name)) this.#committed.delete(name);
    }
    for (const { resolve } of waiting) resolve();
  }
}
