import { Worker } from 'node:worker_threads';
import type { Logger } from '../../lib/log.ts';
import type { LiveProblem } from '../plan/live-problem.ts';
import { countsFor, type NamedPlan } from '../plan/named-plan.ts';
import { PlanKeeper, type PlanKeeperSettings } from '../plan/plan-keeper.ts';
import { replicaCaps } from '../placement/min-marginal.ts';
import { worthwhileIterations } from '../plan/iterations.ts';
import type { PlacementPlan } from '../plan/placement-plan.ts';
import type { FromPlanner, PlanJob } from './plan-messages.ts';

export interface PlannerOptions {
  /** Proposals of the annealing; undefined: as many as the problem is worth. */
  readonly iterations: number | undefined;
  readonly keeper?: Partial<PlanKeeperSettings>;
}

export interface PlannerDeps {
  /** Greatest share of a workload's replicas in one zone, (0, 1]. */
  readonly maxZoneReplicaShare: number;
  readonly logger: Logger;
  /** Wall clock, ms. */
  readonly now: () => number;
  /** Of an earlier run. */
  readonly saved: NamedPlan | undefined;
  /** A plan took the place of the one before. */
  readonly onPlan: (plan: NamedPlan) => void;
  /** A computation has ended, whatever became of it. */
  readonly onEnd?: () => void;
}

export interface PlannerStatus {
  readonly plan: NamedPlan | undefined;
  readonly ageSeconds: number | undefined;
  /** Node-local share of the plan's target under present traffic, 0..1; of what stands. */
  readonly targetShare: number | undefined;
  readonly standingShare: number | undefined;
  readonly drift: number | undefined;
  readonly unplanned: number | undefined;
  /** Share of the running computation that is done, 0..1; undefined: none is running. */
  readonly running: number | undefined;
  readonly computed: number;
  readonly taken: number;
  readonly failures: number;
  readonly lastComputeSeconds: number;
}

/** The cluster is looked at this often, and at most so often that looking takes a hundredth of the thread's time. */
const LOOK_MS = 30_000;
const LOOK_COST_FACTOR = 100;
/** A computation that has not ended by then is given up. */
const MOST_COMPUTE_MS = 1_200_000;
/** Of the thread's heap; the arrays of a plan for 5,000 nodes lie outside of it. */
const MOST_HEAP_MB = 1_024;

/** Has plans made in a thread of their own, and keeps the best one. */
export class Planner {
  readonly #options: PlannerOptions;
  readonly #deps: PlannerDeps;
  readonly #keeper: PlanKeeper;
  #worker: Worker | undefined;
  #timeout: NodeJS.Timeout | undefined;
  #nextLookMs = 0;
  #done = 0;
  #standingShare: number | undefined;
  #counts = { computed: 0, taken: 0, failures: 0 };
  #lastComputeSeconds = 0;

  constructor(options: PlannerOptions, deps: PlannerDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#keeper = new PlanKeeper(deps.saved, deps.now(), options.keeper);
  }

  get plan(): NamedPlan | undefined {
    return this.#keeper.plan;
  }

  /** Whether look() is due. */
  isDue(): boolean {
    return this.#worker === undefined && this.#deps.now() >= this.#nextLookMs;
  }

  /** Takes note of what the cluster is, and starts a computation where that is called for. */
  look(liveOf: () => LiveProblem): void {
    const from = performance.now();
    const live = liveOf();
    const nowMs = this.#deps.now();
    const { needsPlan, standingShare } = this.#keeper.look(live, nowMs);
    this.#standingShare = standingShare;
    this.#nextLookMs = nowMs + Math.max(LOOK_MS, (performance.now() - from) * LOOK_COST_FACTOR);
    if (needsPlan) this.#compute(live);
  }

  status(): PlannerStatus {
    const { plan, drift } = this.#keeper;
    return {
      plan,
      ageSeconds: plan === undefined ? undefined : (this.#deps.now() - plan.madeAtMs) / 1000,
      targetShare: drift?.present.node,
      standingShare: this.#standingShare,
      drift: drift?.lost,
      unplanned: drift?.unplanned,
      running: this.#worker === undefined ? undefined : this.#done,
      ...this.#counts,
      lastComputeSeconds: this.#lastComputeSeconds,
    };
  }

  async stop(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    clearTimeout(this.#timeout);
    await worker?.terminate();
  }

  #compute(live: LiveProblem): void {
    const { logger, now } = this.#deps;
    const { problem } = live;
    this.#keeper.tried(now());
    this.#done = 0;
    const iterations = this.#options.iterations ?? worthwhileIterations(problem);
    // The version makes another plan of the same cluster another try.
    const seed = (this.#keeper.plan?.version ?? 0) + this.#counts.computed;
    const zoneCap = replicaCaps(problem.replicas, this.#deps.maxZoneReplicaShare);
    const earlier = this.#keeper.plan;
    const start = earlier === undefined ? {} : { start: countsFor(live, earlier) };
    const job: PlanJob = { problem, options: { seed, iterations, zoneCap, ...start } };
    const worker = new Worker(new URL('./plan-thread.ts', import.meta.url), {
      workerData: job,
      resourceLimits: { maxOldGenerationSizeMb: MOST_HEAP_MB },
    });
    this.#worker = worker;
    this.#timeout = setTimeout(() => {
      logger.warn('computing a placement plan takes too long and is given up', { iterations });
      void worker.terminate();
    }, MOST_COMPUTE_MS);
    this.#timeout.unref();
    worker.on('message', (message: FromPlanner) => {
      if (this.#worker !== worker) return;
      if (message.type === 'progress') {
        const { done, of } = message.progress;
        this.#done = of === 0 ? 0 : done / of;
      } else this.#computed(live, message.plan, message.cpuSeconds);
    });
    worker.on('error', (error: unknown) => {
      logger.error('computing a placement plan failed; the one before stays', { problem: error });
    });
    worker.on('exit', (code) => {
      clearTimeout(this.#timeout);
      if (this.#worker !== worker) return;
      this.#worker = undefined;
      if (code !== 0) this.#counts.failures++;
      this.#keeper.tried(now());
      this.#deps.onEnd?.();
    });
  }

  #computed(live: LiveProblem, made: PlacementPlan, cpuSeconds: number): void {
    const { logger, now, onPlan } = this.#deps;
    this.#counts.computed++;
    this.#lastComputeSeconds = cpuSeconds;
    const taken = this.#keeper.offer(live, made, now(), cpuSeconds);
    const figures = {
      localShare: Number(made.localShare.node.toFixed(4)),
      now: this.#standingShare === undefined ? undefined : Number(this.#standingShare.toFixed(4)),
      cpuSeconds: Number(cpuSeconds.toFixed(1)),
      iterations: made.iterations,
    };
    if (taken === undefined) {
      logger.info('a new placement plan is no better: the one before stays', figures);
      return;
    }
    this.#counts.taken++;
    logger.info('a new placement plan', { version: taken.version, hash: taken.hash, ...figures });
    onPlan(taken);
  }
}
