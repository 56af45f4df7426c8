import { resolve } from 'node:path';
import type { Registry } from 'prom-client';
import { NetloomError, messageOf, sentenceOf } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import { Collector } from './collector.ts';
import { BASELINE_ROW_BYTES } from './edges/edge-diff.ts';
import { loadCollector, MAX_RANGES, MAX_SCOPE } from './kernel.ts';
import { Scope } from './node/scope.ts';
import { UplinkReader } from './node/uplinks.ts';
import type { Address, AgentOptions } from './options.ts';
import { PinFolder } from './pins.ts';
import { createReportStream, type ReportStream } from './report/report-stream.ts';
import { startingPoint } from './state/starting-point.ts';
import { DEFAULT_STATE_DIR, StateFile } from './state/state-file.ts';
import { onProcessClock, StateKeeper } from './state/state-keeper.ts';
import { tlsFiles } from './tls-files.ts';
/** How long stopping waits for the scheduler to acknowledge what was measured last. */
const FLUSH_MS = 2000;

export interface AgentDeps {
  readonly logger: Logger;
  /** Adds what another room of the agent measures to /metrics. */
  readonly registerMetrics?: (registry: Registry) => Promise<void>;
  /** For tests. */
  readonly createStream?: typeof createReportStream;
}

export interface Agent {
  /** Where /metrics is served, if it was asked for. */
  readonly metricsPort: number | undefined;
  /** A last period, what is unacknowledged is given a moment to arrive, then everything is closed. Idempotent. */
  stop(): Promise<void>;
}

/**
 * Measures this node and reports to the scheduler until stopped. Resolves once the kernel programs are attached:
 * connections that open from then on are counted. An unreachable scheduler is no fault: reports wait, bounded.
 * With pins it goes on where the last agent was, and leaves everything to the next. Pins that cannot be had are no fault
 * either: the log says why, and it measures without.
 * @throws NetloomError of lib/bpf where the kernel programs cannot run; AGENT_LISTEN_FAILED, AGENT_PINS_IN_USE
 */
export async function startAgent(options: AgentOptions, deps: AgentDeps): Promise<Agent> {
  const { logger } = deps;
  const closers: (() => unknown)[] = [];
  const closeAll = async (): Promise<void> => {
    for (const close of closers.splice(0).reverse()) {
      try {
        await close();
      } catch (error) {
        logger.warn('closing failed', { problem: messageOf(error) });
      }
    }
  };
  try {
    return await start(options, deps, closers, closeAll);
  } catch (error) {
    await closeAll();
    throw error;
  }
}

/** What is to be closed at the end, or if this throws, is in `closers`: the last first. */
async function start(
  options: AgentOptions,
  deps: AgentDeps,
  closers: (() => unknown)[],
  closeAll: () => Promise<void>,
): Promise<Agent> {
  const { logger } = deps;
  const pins = openPins(options.pins, logger);
  if (pins !== undefined) closers.push(() => pins.close());
  const kernel = await loadCollector({
    ...(pins === undefined ? {} : { pins }),
    scoped: options.scope !== undefined,
    ...(options.bpfObject === undefined ? {} : { object: options.bpfObject }),
    ...(options.maxEdges === undefined ? {} : { maxEdges: options.maxEdges }),
  });
  closers.push(() => kernel.close());
  const scope = openScope(options, logger, (inodes) => kernel.setScope(inodes));
  if (scope !== undefined) closers.push(() => scope.close());

  const uplinks = new UplinkReader({
    ...(options.uplinks === undefined ? {} : { names: options.uplinks }),
    ...(options.uplinkSpeedBps === undefined ? {} : { speedBps: options.uplinkSpeedBps }),
    ...(options.uplinkNetns === undefined ? {} : { netns: options.uplinkNetns }),
  });
  const file = pins === undefined ? undefined : new StateFile(options.state ?? DEFAULT_STATE_DIR, pins.dir);
  const from = startingPoint(kernel.identity, file, logger);
  const { mapId } = from;
  let keeper: StateKeeper | undefined;
  const collector = new Collector({
    kernel,
    logger,
    uplinks,
    ...(file === undefined ? {} : { keptMs: () => keeper?.keptMs ?? Number.NEGATIVE_INFINITY }),
  });
  const state = from.kind === 'resumed' ? onProcessClock(from.state) : undefined;
  if (from.kind === 'unknown') await collector.skipToPresent();
  if (state !== undefined) {
    collector.restore(state.collector, state.baseline);
    logger.info('going on where the last agent was', {
      edges: state.baseline.length / BASELINE_ROW_BYTES,
      awayMs: Math.round(performance.now() - state.collector.endMs),
      reportsLeft: state.queue.sent.length + state.queue.waiting.length,
    });
  }

  // prom-client and an HTTP server take 20 MB of memory: only agents that are asked for metrics load them.
  const metrics =
    options.metrics === undefined
      ? undefined
      : await (
          await import('./metrics.ts')
        ).serveMetrics(options.metrics, { collector, maxEdges: kernel.maxEdges, scope });
  if (metrics !== undefined) {
    closers.push(() => metrics.close());
    await deps.registerMetrics?.(metrics.registry);
  }

  const stream: ReportStream = (deps.createStream ?? createReportStream)({
    target: hostPort(options.scheduler),
    hello: { node: options.node, mapId, intervalMs: options.intervalMs, version: options.version ?? '' },
    logger,
    onNumbered: (report) => keeper?.noteNumber(report),
    onRanges: (ranges) => {
      if (ranges.length > MAX_RANGES)
        logger.warn('too many cluster ranges: nothing is folded', { ranges: ranges.length });
      try {
        kernel.setRanges(ranges);
        logger.info('cluster ranges', { ranges: ranges.length });
      } catch (error) {
        logger.warn('the cluster ranges could not be set', { problem: messageOf(error) });
      }
    },
    ...(state === undefined ? {} : { resume: state.queue }),
    ...(options.tls === undefined ? {} : { tls: tlsFiles(options.tls) }),
    ...(options.maxUnackedBytes === undefined ? {} : { limits: { maxBufferedBytes: options.maxUnackedBytes } }),
  });
  if (file !== undefined && kernel.identity !== undefined) {
    keeper = new StateKeeper({ file, identity: kernel.identity, mapId, collector, queue: stream, logger });
    // Whatever happens before the first report: the next agent knows that nothing was reported yet.
    keeper.save();
  }
  closers.push(async () => {
    // Nobody is there to acknowledge anything while the stream is broken.
    await stream.close({ flushMs: stream.stats().state === 'streaming' ? FLUSH_MS : 0 });
    keeper?.save();
    keeper?.close();
  });
  metrics?.observeStream(() => stream.stats());

  const report = async (): Promise<void> => {
    try {
      const period = await collector.collectPeriod();
      metrics?.observe(period);
      stream.offer(period);
      // While nothing is sent nothing is kept, and only what is kept may make room.
      if (collector.isCrowded) keeper?.saveIfBehind();
    } catch (error) {
      logger.error('a period could not be reported', { problem: messageOf(error) });
    }
  };
  const timer = everyPeriod(options.intervalMs, report);
  logger.info('measuring', {
    node: options.node,
    intervalMs: options.intervalMs,
    maxEdges: kernel.maxEdges,
    ...(pins === undefined ? {} : { pins: pins.dir }),
  });

  let stopping: Promise<void> | undefined;
  return {
    metricsPort: metrics?.port,
    stop: () =>
      (stopping ??= (async () => {
        await timer.stop();
        await report();
        await closeAll();
      })()),
  };
}

function openPins(dir: string | undefined, logger: Logger): PinFolder | undefined {
  if (dir === undefined) return undefined;
  try {
    return PinFolder.open(resolve(dir));
  } catch (error) {
    if (!(error instanceof NetloomError) || error.code !== 'BPFFS_UNUSABLE') throw error;
    logger.warn('measuring without pins: the next agent will not know the connections that are open now', {
      problem: sentenceOf(error),
    });
    return undefined;
  }
}

function hostPort({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function openScope(
  options: AgentOptions,
  logger: Logger,
  apply: (inodes: ReadonlySet<number>) => void,
): Scope | undefined {
  if (options.scope === undefined) return undefined;
  return new Scope({
    file: options.scope,
    logger,
    maxNamespaces: MAX_SCOPE,
    onChange: (inodes) => {
      try {
        apply(inodes);
        logger.info('scope', { namespaces: inodes.size });
      } catch (error) {
        logger.warn('the scope could not be set', { problem: messageOf(error) });
      }
    },
  });
}

/** Runs `work` at start + k * intervalMs, never twice at once: a period that takes longer swallows the next beats. */
function everyPeriod(intervalMs: number, work: () => Promise<void>): { stop(): Promise<void> } {
  const startMs = performance.now();
  let running: Promise<void> = Promise.resolve();
  let timer: NodeJS.Timeout;
  let stopped = false;
  let beat = 0;
  const schedule = (): void => {
    if (stopped) return;
    const sinceMs = performance.now() - startMs;
    // A timer may fire a moment early: each beat comes once.
    beat = Math.max(beat + 1, Math.floor(sinceMs / intervalMs) + 1);
    timer = setTimeout(
      () => {
        running = work().then(schedule);
      },
      beat * intervalMs - sinceMs,
    );
  };
  schedule();
  return {
    stop: async () => {
      stopped = true;
      clearTimeout(timer);
      await running;
    },
  };
}
