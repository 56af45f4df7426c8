import { planDrift, type PlanDrift } from './drift.ts';
import type { LiveProblem } from './live-problem.ts';
import { localShares } from './local-share.ts';
import { countsFor, namedCounts, type NamedPlan } from './named-plan.ts';
import { planHash } from './plan-hash.ts';
import type { PlacementPlan } from './placement-plan.ts';
import { relabel } from './relabel.ts';

/**
 * When a plan is to be made anew. One plan is kept as long as it holds: plans that follow each other quickly thrash
 * (placement-study.md §2.4, re-planning every 10 % of churn ended 5 to 15 points below a plan that was kept).
 */
export interface PlanKeeperSettings {
  /** Local share that a plan may lose, and share of replicas it may know nothing of, before another is made. */
  readonly mostLost: number;
  readonly mostUnplanned: number;
  /** By how much more than when it was taken a plan may overload links (linkOverload), or less another must to take its place. */
  readonly mostOverload: number;
  /** By how much another plan must be better to take its place. */
  readonly leastGain: number;
  /** From the start to the first computation: traffic is learned by and by. */
  readonly firstMs: number;
  /** From one computation to the next at least. */
  readonly restMs: number;
}

export const DEFAULT_KEEPER_SETTINGS: PlanKeeperSettings = {
  mostLost: 0.05,
  mostUnplanned: 0.1,
  mostOverload: 0.05,
  leastGain: 0.02,
  firstMs: 300_000,
  restMs: 900_000,
};

/** Keeps the plan of a cluster. Pure; times are wall-clock milliseconds. */
export class PlanKeeper {
  readonly #settings: PlanKeeperSettings;
  #plan: NamedPlan | undefined;
  #drift: PlanDrift | undefined;
  #restUntilMs: number;
  /** Overload of links that no plan could do without so far. */
  #overload = 0;

  /** @param plan of an earlier run */
  constructor(plan: NamedPlan | undefined, startMs: number, settings: Partial<PlanKeeperSettings> = {}) {
    this.#plan = plan;
    this.#settings = { ...DEFAULT_KEEPER_SETTINGS, ...settings };
    this.#restUntilMs = startMs + this.#settings.firstMs;
  }

  get plan(): NamedPlan | undefined {
    return this.#plan;
  }

  /** As of the last look. */
  get drift(): PlanDrift | undefined {
    return this.#drift;
  }

  /** What the cluster is now: whether a plan is to be computed for it, and the node-local share of what stands. */
  look(live: LiveProblem, nowMs: number): { readonly needsPlan: boolean; readonly standingShare: number } {
    this.#drift = this.#plan === undefined ? undefined : driftOf(live, this.#plan);
    const standingShare = localShares(live.problem, live.standing).node;
    return { needsPlan: this.#needsPlan(live, nowMs), standingShare };
  }

  #needsPlan(live: LiveProblem, nowMs: number): boolean {
    if (live.problem.edgeA.length === 0 || nowMs < this.#restUntilMs) return false;
    if (this.#drift === undefined) return true;
    const { mostLost, mostUnplanned, mostOverload } = this.#settings;
    const { lost, unplanned, linkOverload } = this.#drift;
    return lost > mostLost || unplanned > mostUnplanned || linkOverload > this.#overload + mostOverload;
  }

  /** A computation begins, or has failed: the next one comes no sooner than after a rest. */
  tried(nowMs: number): void {
    this.#restUntilMs = nowMs + this.#settings.restMs;
  }

  /**
   * Takes the plan if it is better than the one there is, with as much as possible of it in place already.
   * @param live the problem that it was made for
   * @returns the plan taken; undefined: the old one stays
   */
  offer(live: LiveProblem, made: PlacementPlan, nowMs: number, computeSeconds: number): NamedPlan | undefined {
    const old = this.#plan;
    if (old !== undefined) {
      const { present, unplanned, linkOverload } = driftOf(live, old);
      const { mostUnplanned, mostOverload, leastGain } = this.#settings;
      const isRelief = made.linkOverload < linkOverload - mostOverload;
      const wanted = unplanned > mostUnplanned ? 0 : leastGain;
      if (!isRelief && made.localShare.node < present.node + wanted) {
        // What the old plan has lost is not to be had any more: from here on further losses count.
        this.#plan = { ...old, localShare: present };
        this.#overload = linkOverload;
        return undefined;
      }
    }
    this.#overload = made.linkOverload;
    const counts = relabel(live.problem, made, live.standing);
    const { iterations, localShare } = made;
    this.#plan = {
      version: (old?.version ?? 0) + 1,
      hash: planHash(counts),
      madeAtMs: nowMs,
      computeSeconds,
      iterations,
      localShare,
      ...namedCounts(live, counts),
    };
    return this.#plan;
  }
}

function driftOf(live: LiveProblem, plan: NamedPlan): PlanDrift {
  return planDrift({ ...countsFor(live, plan), localShare: plan.localShare }, live.problem);
}
