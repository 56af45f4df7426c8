import type { Problem } from '../api/replies.ts';
import { workloadKey, type ClusterEvent, type PodRecord, type WorkloadRef } from '../cluster/model.ts';
import type { Decision } from '../extender/decision.ts';
import type { Logger } from '../../lib/log.ts';
import { newlyBound } from './newly-bound.ts';

/**
 * What became of our answer for a pod that was bound. followed: it stands on the best node of the answer; overruled: on
 * another; no_opinion: the answer was `[]`; late: kube-scheduler had gone before it was answered; not_asked: it asked for
 * earlier pods of this workload, and not for this one; never_asked: for none of this workload.
 */
export const FATES = ['followed', 'overruled', 'no_opinion', 'late', 'not_asked', 'never_asked'] as const;
export type Fate = (typeof FATES)[number];

/** What became of a pod; given: it had its node when it was first seen, though Netloom was watching. */
export type Outcome = Fate | 'given' | 'settling';

export interface BoundPodsDeps {
  /** The answer about the node where the pod stands. */
  readonly decisionOf: (podUid: string, node: string) => Decision | undefined;
  /** As it is known. */
  readonly podOf: (uid: string) => PodRecord | undefined;
  readonly workloadOf: (pod: PodRecord) => WorkloadRef;
  readonly nodeCount: () => number;
  readonly logger: Logger;
}

interface Waiting {
  readonly pod: PodRecord;
  readonly sinceMs: number;
}

/** Pods in a row that kube-scheduler placed without us although it used to ask for their workloads. */
interface Run {
  pods: number;
  readonly sinceMs: number;
  lastMs: number;
  /** Some of the nodes they went to. */
  readonly nodes: Set<string>;
  sample: string;
  warnedMs: number | undefined;
}

/** A binding is seen before the answer that led to it: answers come from the other thread every 200 ms. */
const SETTLE_MS = 2_000;
const MOST_WAITING = 10_000;
const MOST_WORKLOADS = 10_000;
const MOST_LATE = 10_000;
const MOST_OUTCOMES = 10_000;
/**
 * kube-scheduler rightly does not ask when one node is left, or nominated by a preemption. That happens to many pods
 * in a row where nodes come one by one (an autoscaler's), so a run says something only if it is long, went to several
 * nodes, and outlasts a start of ours.
 */
const RUN = { pods: 20, nodes: 3, ms: 10_000 } as const;
const WARN_EVERY_MS = 300_000;
/** A run that nothing was added to for so long is history. */
const FORGET_MS = 3_600_000;

const WHAT_TO_CHECK =
  "is the extender's address reachable from kube-scheduler, is its certificate good, is httpTimeout over " +
  '(netloom_extender_late_total), is the extenders entry still in the configuration of every kube-scheduler';

/**
 * Notices what no request can tell: that kube-scheduler binds pods without having asked, or without having had the
 * answer. It is measured against what was before, workload by workload: so neither other schedulers, nor pods that
 * managedResources leaves out, nor those that fit on one node only are taken for a fault. Pure; times are steady milliseconds.
 */
export class BoundPods {
  readonly #deps: BoundPodsDeps;
  readonly #waiting = new Map<string, Waiting>();
  /** Workloads for whose pods kube-scheduler had asked when it bound them, the one asked for last at the end. */
  readonly #asked = new Set<string>();
  /** Pods that were answered too late, the last ones at the end. */
  readonly #late = new Set<string>();
  /** By UID, the last ones at the end. */
  readonly #outcomes = new Map<string, Fate | 'given'>();
  readonly counts: Record<Fate, number> = {
    followed: 0,
    overruled: 0,
    no_opinion: 0,
    late: 0,
    not_asked: 0,
    never_asked: 0,
  };
  #run: Run | undefined;

  constructor(deps: BoundPodsDeps) {
    this.#deps = deps;
  }

  /** Before they are applied. */
  changes(events: readonly ClusterEvent[], nowMs: number): void {
    for (const pod of newlyBound(events, this.#deps.podOf)) {
      if (pod.mirror || pod.owner?.kind === 'DaemonSet' || pod.owner?.kind === 'Node') continue;
      this.#waiting.set(pod.uid, { pod, sinceMs: nowMs });
      if (this.#waiting.size > MOST_WAITING) this.#judgeFirst(nowMs);
    }
    for (const { op, record } of events) {
      if (op !== 'upsert' || record.type !== 'pod' || record.node === undefined) continue;
      if (this.#deps.podOf(record.uid) === undefined && !this.#waiting.has(record.uid)) this.#came(record.uid, 'given');
    }
  }

  /** kube-scheduler had gone when the answer about this pod was written. */
  late(podUid: string): void {
    addLast(this.#late, podUid, MOST_LATE);
  }

  /** undefined: it was bound before this watched, long ago, or not at all. */
  outcomeOf(podUid: string): Outcome | undefined {
    return this.#waiting.has(podUid) ? 'settling' : this.#outcomes.get(podUid);
  }

  /** To be called now and then. */
  tick(nowMs: number): void {
    for (const { sinceMs } of this.#waiting.values()) {
      if (nowMs - sinceMs < SETTLE_MS) break;
      this.#judgeFirst(nowMs);
    }
    const run = this.#run;
    if (run === undefined) return;
    if (nowMs - run.lastMs > FORGET_MS) this.#run = undefined;
    else if (this.#tells(run, nowMs) && nowMs - (run.warnedMs ?? Number.NEGATIVE_INFINITY) >= WARN_EVERY_MS) {
      // Again only if more came.
      if (run.warnedMs !== undefined && run.lastMs <= run.warnedMs) return;
      run.warnedMs = nowMs;
      this.#deps.logger.warn('kube-scheduler places pods without our answers, though it used to ask', {
        pods: run.pods,
        forMs: Math.round(run.lastMs - run.sinceMs),
        last: run.sample,
        check: WHAT_TO_CHECK,
      });
    }
  }

  problems(nowMs: number): Problem[] {
    const run = this.#run;
    if (run === undefined || !this.#tells(run, nowMs)) return [];
    return [
      {
        what: `kube-scheduler places pods without our answers, though it used to ask for their workloads: ${WHAT_TO_CHECK}`,
        count: run.pods,
        sample: run.sample,
      },
    ];
  }

  #tells({ pods, nodes, sinceMs }: Run, nowMs: number): boolean {
    return pods >= RUN.pods && nodes.size >= Math.min(RUN.nodes, this.#deps.nodeCount()) && nowMs - sinceMs >= RUN.ms;
  }

  #judgeFirst(nowMs: number): void {
    const [first] = this.#waiting.values();
    if (first === undefined) return;
    const { pod } = first;
    this.#waiting.delete(pod.uid);
    const workload = workloadKey(this.#deps.workloadOf(pod));
    const fate = this.#fateOf(pod, workload);
    this.counts[fate]++;
    this.#came(pod.uid, fate);
    if (fate === 'never_asked') return;
    if (fate === 'late' || fate === 'not_asked') {
      this.#missed(pod, fate, nowMs);
      return;
    }
    addLast(this.#asked, workload, MOST_WORKLOADS);
    if (this.#run?.warnedMs !== undefined) {
      this.#deps.logger.info('kube-scheduler asks and gets answers again', { withoutThem: this.#run.pods });
    }
    this.#run = undefined;
  }

  #came(podUid: string, outcome: Fate | 'given'): void {
    this.#outcomes.set(podUid, outcome);
    if (this.#outcomes.size <= MOST_OUTCOMES) return;
    const [oldest] = this.#outcomes.keys();
    this.#outcomes.delete(oldest!);
  }

  #fateOf({ uid, node }: PodRecord, workload: string): Fate {
    if (this.#late.delete(uid)) return 'late';
    const decision = node === undefined ? undefined : this.#deps.decisionOf(uid, node);
    if (decision === undefined) return this.#asked.has(workload) ? 'not_asked' : 'never_asked';
    const [best] = decision.top;
    if (best === undefined) return 'no_opinion';
    const own = decision.top.find(({ Host }) => Host === node);
    return own?.Score === best.Score ? 'followed' : 'overruled';
  }

  #missed(pod: PodRecord, fate: 'late' | 'not_asked', nowMs: number): void {
    const run = (this.#run ??= {
      pods: 0,
      sinceMs: nowMs,
      lastMs: nowMs,
      nodes: new Set(),
      sample: '',
      warnedMs: undefined,
    });
    run.pods++;
    run.lastMs = nowMs;
    if (run.nodes.size < RUN.nodes) run.nodes.add(pod.node!);
    run.sample = `${pod.namespace}/${pod.name} on ${pod.node} (${fate === 'late' ? 'answered too late' : 'not asked'})`;
  }
}

/** Adds, or moves to the end; beyond `most` the first is let go. */
function addLast(set: Set<string>, key: string, most: number): void {
  set.delete(key);
  set.add(key);
  if (set.size <= most) return;
  const [first] = set;
  set.delete(first!);
}
