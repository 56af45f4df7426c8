import { randomBytes } from 'node:crypto';
import { messageOf } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import { Collector } from './collector.ts';
import { loadCollector, MAX_RANGES, MAX_SCOPE } from './kernel.ts';
import { Scope } from './node/scope.ts';
import { UplinkReader } from './node/uplinks.ts';
import type { Address, AgentOptions } from './options.ts';
import { createReportStream } from './report/report-stream.ts';
import { tlsFiles } from './tls-files.ts';

const MAP_ID_BYTES = 16;
/** How long stopping waits for the scheduler to acknowledge what was measured last. */
const FLUSH_MS = 2000;

export interface AgentDeps {
  readonly logger: Logger;
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
 * @throws NetloomError of lib/bpf where the kernel programs cannot run; AGENT_LISTEN_FAILED
 */
export async function startAgent(options: AgentOptions, deps: AgentDeps): Promise<Agent> {
  const { logger } = deps;
  const kernel = await loadCollector({
    scoped: options.scope !== undefined,
    ...(options.bpfObject === undefined ? {} : { object: options.bpfObject }),
    ...(options.maxEdges === undefined ? {} : { maxEdges: options.maxEdges }),
  });
  const closers: (() => unknown)[] = [() => kernel.close()];
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
    const scope = openScope(options, logger, (inodes) => kernel.setScope(inodes));
    if (scope !== undefined) closers.push(() => scope.close());

    const collector = new Collector({
      kernel,
      logger,
      uplinks: new UplinkReader({
        ...(options.uplinks === undefined ? {} : { names: options.uplinks }),
        ...(options.uplinkSpeedBps === undefined ? {} : { speedBps: options.uplinkSpeedBps }),
        ...(options.uplinkNetns === undefined ? {} : { netns: options.uplinkNetns }),
      }),
    });
    // prom-client and an HTTP server take 20 MB of memory: only agents that are asked for metrics load them.
    const metrics =
      options.metrics === undefined
        ? undefined
        : await (
            await import('./metrics.ts')
          ).serveMetrics(options.metrics, { collector, maxEdges: kernel.maxEdges, scope });
    if (metrics !== undefined) closers.push(() => metrics.close());

    const stream = (deps.createStream ?? createReportStream)({
      target: hostPort(options.scheduler),
      hello: {
        node: options.node,
        mapId: new Uint8Array(randomBytes(MAP_ID_BYTES)),
        intervalMs: options.intervalMs,
        version: options.version ?? '',
      },
      logger,
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
      ...(options.tls === undefined ? {} : { tls: tlsFiles(options.tls) }),
      ...(options.maxUnackedBytes === undefined ? {} : { limits: { maxBufferedBytes: options.maxUnackedBytes } }),
    });
    // Nobody is there to acknowledge anything while the stream is broken.
    closers.push(() => stream.close({ flushMs: stream.stats().state === 'streaming' ? FLUSH_MS : 0 }));
    metrics?.observeStream(() => stream.stats());

    const report = async (): Promise<void> => {
      try {
        const period = await collector.collectPeriod();
        metrics?.observe(period);
        stream.offer(period);
      } catch (error) {
        logger.error('a period could not be reported', { problem: messageOf(error) });
      }
    };
    const timer = everyPeriod(options.intervalMs, report);
    logger.info('measuring', { node: options.node, intervalMs: options.intervalMs, maxEdges: kernel.maxEdges });

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
  } catch (error) {
    await closeAll();
    throw error;
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
