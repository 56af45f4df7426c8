import { isOnePerNode, kindOf } from '../placement/workload-kind.ts';
import { knownTraffic, trafficOf, type PlacementView } from '../placement/index.ts';
import type { PodFacts } from './args.ts';
import { workloadOf } from './workload-of.ts';

interface Unseen {
  /** "namespace/Kind/name" */
  readonly workload: string;
  readonly sinceMs: number;
}

interface Waiter {
  readonly pod: PodFacts;
  /** UIDs of what the newest view does not show. */
  left: readonly string[];
  readonly end: (seen: boolean) => void;
}

/** A bind takes milliseconds; what is not seen by then was not bound, or the watch is far behind. */
const KEPT_MS = 1_000;
const MAX_KEPT = 1_024;
/** Of a pod's own traffic: a replica that has less of it draws the pod nowhere that would be worth a wait. */
const DRAWING_SHARE = 0.05;
/**
 * kube-scheduler stands still while we wait. An application that is installed waits about a bind's time a pod (5 to 20 ms),
 * which the full budget pays for; what arrives without an end is slowed by no more than the share.
 */
const BUDGET = { fullMs: 500, share: 0.04 } as const;
/** After so many waits in vain in a row none is tried until a pod is seen again: the watch is behind, or nothing is bound. */
const MOST_MISSES = 3;

/**
 * Pods that were answered for and that no view shows on a node yet. kube-scheduler binds a pod while it asks about the
 * next. Where the two talk to each other (an application that is installed arrives as a whole), an answer at once would
 * not know where the first one went, and scatter them. So it waits until a view shows the first, and no longer than
 * `waitMs`; for no pod twice in vain, and not at all while waiting does not help or has taken too much time.
 * A view that does not have the workloads yet cannot say who talks to whom: kube-scheduler's watch was faster than ours.
 */
export class UnseenPods {
  readonly #waitMs: number;
  readonly #unseen = new Map<string, Unseen>();
  readonly #waiters = new Set<Waiter>();
  #misses = 0;
  /** What a wait that ended well took, a running average. */
  #usualMs = 5;
  #budgetMs: number = BUDGET.fullMs;
  #budgetAtMs = 0;

  /** @param waitMs 0: never wait */
  constructor(waitMs: number) {
    this.#waitMs = waitMs;
  }

  /** A pod was answered for. */
  note(podUid: string, workload: string, nowMs: number): void {
    if (this.#waitMs === 0) return;
    this.#unseen.delete(podUid);
    this.#unseen.set(podUid, { workload, sinceMs: nowMs });
    for (const [uid, { sinceMs }] of this.#unseen) {
      if (this.#unseen.size <= MAX_KEPT && nowMs - sinceMs < KEPT_MS) return;
      this.#unseen.delete(uid);
    }
  }

  /** @param podUids whom the newest view is the first to show on their nodes */
  seen(view: PlacementView, podUids: readonly string[], nowMs: number): void {
    for (const uid of podUids) if (this.#unseen.delete(uid)) this.#misses = 0;
    for (const waiter of this.#waiters) {
      waiter.left = this.#missing(view, waiter.pod, nowMs);
      if (waiter.left.length === 0) waiter.end(true);
    }
  }

  /** Answers that wait. */
  get waiting(): number {
    return this.#waiters.size;
  }

  /** Whom an answer about the pod is to wait for: UIDs of others, and its own if the view has nothing of its workload. */
  awaited(view: PlacementView, pod: PodFacts, nowMs: number): readonly string[] {
    if (this.#waitMs === 0 || this.#misses >= MOST_MISSES) return [];
    // Less than twice the usual would mostly be waited in vain.
    if (this.#budget(nowMs) < Math.min(this.#waitMs, 2 * this.#usualMs)) return [];
    return this.#missing(view, pod, nowMs);
  }

  /** Resolves when a view shows all of them, or after waitMs or the budget; to whether one does. */
  wait(pod: PodFacts, awaited: readonly string[], nowMs: number): Promise<boolean> {
    const startMs = performance.now();
    const mostMs = Math.min(this.#waitMs, Math.max(0, this.#budget(nowMs)));
    return new Promise((resolve) => {
      const waiter: Waiter = {
        pod,
        left: awaited,
        end: (seen) => {
          clearTimeout(timer);
          this.#waiters.delete(waiter);
          const tookMs = performance.now() - startMs;
          this.#budgetMs -= tookMs;
          if (seen) this.#usualMs += (tookMs - this.#usualMs) / 4;
          resolve(seen);
        },
      };
      const timer = setTimeout(() => {
        this.#misses++;
        for (const uid of waiter.left) this.#unseen.delete(uid);
        waiter.end(false);
      }, mostMs);
      this.#waiters.add(waiter);
    });
  }

  #missing(view: PlacementView, pod: PodFacts, nowMs: number): string[] {
    const { index, onePerNode } = workloadOf(view.names, pod);
    const known = index !== undefined && index < view.workloadCount ? index : undefined;
    if (onePerNode || (known !== undefined && view.placementOff[known] === 1)) return [];
    // Of a bare pod there is nothing to know from before.
    const uids = pod.controller === undefined || isThere(view, known) ? [] : [pod.uid];
    const least = known === undefined ? 0 : DRAWING_SHARE * knownTraffic(view, known);
    for (const [uid, { workload, sinceMs }] of this.#unseen) {
      if (uid === pod.uid || nowMs - sinceMs >= KEPT_MS) continue;
      const peer = view.names.ownerIndex.get(workload) ?? view.names.workloadIndex.get(workload);
      if (!isThere(view, peer)) {
        if (!isOnePerNode(workload) && kindOf(workload) !== 'Pod') uids.push(uid);
      } else if (known !== undefined && peer !== known && trafficWithReplica(view, known, peer!) > least)
        uids.push(uid);
    }
    return uids;
  }

  #budget(nowMs: number): number {
    const grown = Math.max(0, nowMs - this.#budgetAtMs) * BUDGET.share;
    this.#budgetMs = Math.min(BUDGET.fullMs, this.#budgetMs + grown);
    this.#budgetAtMs = nowMs;
    return this.#budgetMs;
  }
}

/** Whether the view has pods of a workload, placed or to come. false too: a workload that is gone, whose name is kept. */
function isThere(view: PlacementView, workload: number | undefined): boolean {
  if (workload === undefined || workload >= view.workloadCount) return false;
  return view.toCome[workload]! > 0 || view.placedEnd[workload]! > view.placedStart[workload]!;
}

/** Bytes per second with one replica of the peer, both ways and in both roles. */
function trafficWithReplica(view: PlacementView, workload: number, peer: number): number {
  let sum = 0;
  for (let e = view.peerStart[workload]!; e < view.peerStart[workload + 1]!; e++) {
    if (view.peer[e] === peer) sum += trafficOf(view.peerBytesPerSecond[e]);
  }
  return sum / Math.max(1, view.replicas[peer]!);
}
