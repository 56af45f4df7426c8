import type { AssumedPod, PlacementView } from '../placement/index.ts';

interface Assumed {
  /** "namespace/Kind/name" */
  readonly workload: string;
  readonly node: string;
  readonly sinceMs: number;
}

/** A pod that no view shows by then was not bound, or the watch is far behind (scheduler.md §8.8). */
const KEPT_MS = 30_000;
const MAX_KEPT = 1_024;

/**
 * Where the pods went that were answered for, until a view shows them: on the best node of their answer, as far as one can tell.
 * An answer for a pod replaces the one before; a pod never counts for itself, so the same question has the same answer.
 */
export class AssumedPods {
  readonly #pods = new Map<string, Assumed>();

  /** @param node the best of the answer; undefined: there was no opinion, and nothing can be assumed */
  note(podUid: string, workload: string, node: string | undefined, nowMs: number): void {
    this.#pods.delete(podUid);
    if (node !== undefined) this.#pods.set(podUid, { workload, node, sinceMs: nowMs });
    for (const [uid, { sinceMs }] of this.#pods) {
      if (this.#pods.size <= MAX_KEPT && nowMs - sinceMs < KEPT_MS) return;
      this.#pods.delete(uid);
    }
  }

  /** The newest view shows these on their nodes. */
  seen(podUids: readonly string[]): void {
    for (const uid of podUids) this.#pods.delete(uid);
  }

  besides(podUid: string, { names, workloadCount, nodeCount }: PlacementView, nowMs: number): readonly AssumedPod[] {
    const pods: AssumedPod[] = [];
    for (const [uid, assumed] of this.#pods) {
      if (uid === podUid || nowMs - assumed.sinceMs >= KEPT_MS) continue;
      const workload = names.workloadIndex.get(assumed.workload);
      const node = names.nodeIndex.get(assumed.node);
      if (workload === undefined || workload >= workloadCount || node === undefined || node >= nodeCount) continue;
      pods.push({ workload, node });
    }
    return pods;
  }
}
