import { Worker } from 'node:worker_threads';
import { Registry } from 'prom-client';
import { NetloomError } from '../../lib/errors.ts';
import type { LogFormat, LogLevel, Logger } from '../../lib/log.ts';
import { isLoopbackHost } from '../../lib/loopback.ts';
import type { Answer } from '../extender/decision.ts';
import { AssumedPods, startExtender, UnseenPods } from '../extender/index.ts';
import { PlacementViewReceiver } from '../placement/view-receiver.ts';
import { DECISIONS_EVERY_MS, type FromIngest, type IngestData, type Readiness, type ToIngest } from './messages.ts';
import { formatListen } from './listen-text.ts';
import type { SchedulerOptions } from './options.ts';

export interface SchedulerDeps {
  readonly logger: Logger;
  /** For the logger of the ingest thread. */
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat;
}

export interface Scheduler {
  /** As they were really bound. */
  readonly extenderPort: number;
  readonly agentsPort: number;
  readonly apiPort: number;
  stop(): Promise<void>;
}

/** A started ingest thread that dies is started again after this long, twice as long each time. */
const RESTART_MS = { least: 1_000, most: 30_000 } as const;
const METRICS_TIMEOUT_MS = 2_000;
const STOP_TIMEOUT_MS = 10_000;
/** A thread that could not start ends by itself within this. */
const FAILED_END_MS = 2_000;
/** Answers told to the ingest thread at once, at most this often; more than `most` in between are not kept for explain. */
const DECISIONS = { everyMs: DECISIONS_EVERY_MS, most: 5_000 } as const;

const ENTERING: Readiness = { ready: false, reason: 'entering the first view' };

/**
 * Starts the extender on this thread and all the rest on the ingest thread. Should that die, the extender goes on with
 * the last view, says so, and starts it again.
 * @throws NetloomError of whichever part cannot start
 */
export async function startScheduler(options: SchedulerOptions, deps: SchedulerDeps): Promise<Scheduler> {
  const { logger } = deps;
  const firstView = Promise.withResolvers<void>();
  // A file is written when somebody writes it: waiting for that would be in vain.
  const unseen = new UnseenPods(options.kubernetes?.peerWaitMs ?? 0);
  const assumed = options.kubernetes === undefined ? undefined : new AssumedPods();
  const placed: string[] = [];
  const receiver = new PlacementViewReceiver((view) => {
    firstView.resolve();
    const seen = placed.splice(0);
    assumed?.seen(seen);
    unseen.seen(view, seen, performance.now());
  });
  const registry = new Registry();
  const ingest = new IngestThread(options, deps, receiver, (uids) => placed.push(...uids));
  const ports = await ingest.start();
  try {
    const extender = await startExtender(
      {
        listen: options.listen,
        ...(options.tls === undefined ? {} : { tls: options.tls }),
        bodyLimitBytes: options.bodyLimitBytes,
        placement: options.placement,
      },
      {
        view: () => receiver.current,
        // The names of a large cluster's first view take some turns to enter.
        ready: () => (receiver.current === undefined && ingest.readiness.ready ? ENTERING : ingest.readiness),
        metricsText: async () => (await registry.metrics()) + (await ingest.metrics()),
        registry,
        unseen,
        ...(assumed === undefined ? {} : { assumed }),
        onDecision: (answer) => ingest.noteDecision(answer),
        onLate: (podUid) => ingest.noteLate(podUid),
        logger,
      },
    );
    if (options.tls === undefined && !isLoopbackHost(options.listen.host)) {
      logger.warn('kube-scheduler is answered in plain HTTP: whoever reaches the address may ask, and read /metrics', {
        listen: formatListen(options.listen),
        remedy: '--tls-cert and --tls-key, or a loopback address',
      });
    }
    if (ingest.readiness.ready) await firstView.promise;
    logger.info('scheduler is up', { extender: extender.address.port, agents: ports.agentsPort, api: ports.apiPort });
    return {
      extenderPort: extender.address.port,
      ...ports,
      stop: async () => {
        await extender.close();
        await ingest.stop();
      },
    };
  } catch (error) {
    await ingest.stop();
    throw error;
  }
}

interface Ports {
  readonly agentsPort: number;
  readonly apiPort: number;
}

/**
 * The ingest thread as this side sees it: starting (the first start; a failure is the caller's), running, dead (waiting to be
 * started again, on the ports that it had), stopped.
 */
class IngestThread {
  readonly #options: SchedulerOptions;
  readonly #deps: SchedulerDeps;
  readonly #receiver: PlacementViewReceiver;
  /** Told before the view that shows them. */
  readonly #onPlaced: (podUids: readonly string[]) => void;
  #worker: Worker | undefined;
  #ports: Ports | undefined;
  #stopping = false;
  #restartMs: number = RESTART_MS.least;
  #restartTimer: NodeJS.Timeout | undefined;
  #asked = 0;
  readonly #metrics = new Map<number, (text: string) => void>();
  #decisions: Answer[] = [];
  #decisionsTimer: NodeJS.Timeout | undefined;
  restarts = 0;
  decisionsDropped = 0;
  readiness: Readiness = { ready: false, reason: 'starting' };

  constructor(
    options: SchedulerOptions,
    deps: SchedulerDeps,
    receiver: PlacementViewReceiver,
    onPlaced: (podUids: readonly string[]) => void,
  ) {
    this.#options = options;
    this.#deps = deps;
    this.#receiver = receiver;
    this.#onPlaced = onPlaced;
  }

  async start(): Promise<Ports> {
    return new Promise((resolve, reject) => {
      const { logLevel, logFormat, logger } = this.#deps;
      const workerData: IngestData = { options: this.#boundOptions(), logLevel, logFormat };
      const worker = new Worker(new URL('./ingest-thread.ts', import.meta.url), { workerData });
      this.#worker = worker;
      let failure: NetloomError | undefined;
      let endTimer: NodeJS.Timeout | undefined;
      worker.on('message', (message: FromIngest) => {
        switch (message.type) {
          case 'started':
            this.#ports = { agentsPort: message.agentsPort, apiPort: message.apiPort };
            this.#restartMs = RESTART_MS.least;
            resolve(this.#ports);
            return;
          case 'failed':
            // Told once the thread has ended: a process that ends while a thread of it still does may crash.
            failure = new NetloomError(message.code, message.message, message.details);
            endTimer = setTimeout(() => void worker.terminate(), FAILED_END_MS);
            return;
          case 'readiness':
            this.readiness = message.readiness;
            return;
          case 'view':
            this.#onPlaced(message.placed);
            this.#receiver.receive(message.view);
            return;
          case 'metrics':
            this.#metrics.get(message.id)?.(message.text);
        }
      });
      worker.on('error', (error: unknown) => {
        logger.error('the ingest thread failed', { problem: error });
      });
      worker.on('exit', (code) => {
        clearTimeout(endTimer);
        reject(
          failure ?? new NetloomError('SCHEDULER_START_FAILED', `the ingest thread ended with code ${String(code)}`),
        );
        if (this.#worker !== worker) return;
        this.#worker = undefined;
        if (this.#ports !== undefined && !this.#stopping) this.#restart();
      });
    });
  }

  /** A restarted thread listens where the first one did, also where any free port had been asked for. */
  #boundOptions(): SchedulerOptions {
    if (this.#ports === undefined) return this.#options;
    const { listenAgents, listenApi } = this.#options;
    return {
      ...this.#options,
      listenAgents: { ...listenAgents, port: this.#ports.agentsPort },
      listenApi: { ...listenApi, port: this.#ports.apiPort },
    };
  }

  #restart(): void {
    const { logger } = this.#deps;
    this.restarts++;
    logger.error('answers come from the last view until the ingest thread is back', { restartMs: this.#restartMs });
    this.#restartTimer = setTimeout(() => {
      this.start().catch((error: unknown) => {
        logger.error('the ingest thread could not be started again', { problem: error });
        if (this.#worker === undefined && !this.#stopping && this.#restartTimer === undefined) this.#restart();
      });
      this.#restartTimer = undefined;
    }, this.#restartMs);
    this.#restartMs = Math.min(this.#restartMs * 2, RESTART_MS.most);
  }

  noteDecision(answer: Answer): void {
    if (this.#decisions.length >= DECISIONS.most) {
      this.decisionsDropped++;
      return;
    }
    this.#decisions.push(answer);
    this.#decisionsTimer ??= setTimeout(() => this.#tellDecisions(), DECISIONS.everyMs);
  }

  #tellDecisions(): void {
    clearTimeout(this.#decisionsTimer);
    this.#decisionsTimer = undefined;
    this.#post({ type: 'decisions', answers: this.#decisions });
    this.#decisions = [];
  }

  noteLate(podUid: string): void {
    this.#tellDecisions();
    this.#post({ type: 'late', podUid });
  }

  /** Prometheus text of the ingest thread, with what this side knows of it. */
  async metrics(): Promise<string> {
    const id = ++this.#asked;
    const text = await new Promise<string>((resolve) => {
      const timer = setTimeout(() => resolve(''), METRICS_TIMEOUT_MS);
      this.#metrics.set(id, (answer) => {
        clearTimeout(timer);
        resolve(answer);
      });
      this.#post({ type: 'metrics', id });
    });
    this.#metrics.delete(id);
    return (
      text +
      gauge('netloom_ingest_up', 'Whether the ingest thread answered this scrape.', text === '' ? 0 : 1) +
      counter('netloom_ingest_restarts_total', 'Times that the ingest thread had died.', this.restarts) +
      counter('netloom_decisions_dropped_total', 'Answers that explain cannot show.', this.decisionsDropped)
    );
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#restartTimer);
    clearTimeout(this.#decisionsTimer);
    const worker = this.#worker;
    if (worker === undefined) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => {
        this.#deps.logger.warn('the ingest thread did not stop in time and is ended');
        void worker.terminate();
      }, STOP_TIMEOUT_MS);
      worker.once('exit', () => {
        clearTimeout(timer);
        resolve();
      });
      this.#post({ type: 'stop' });
    });
  }

  #post(message: ToIngest): void {
    this.#worker?.postMessage(message);
  }
}

function gauge(name: string, help: string, value: number): string {
  return `# HELP ${name} ${help}\n# TYPE ${name} gauge\n${name} ${String(value)}\n`;
}

function counter(name: string, help: string, value: number): string {
  return `# HELP ${name} ${help}\n# TYPE ${name} counter\n${name} ${String(value)}\n`;
}
