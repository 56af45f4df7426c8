import type { PodPlace } from '../interfaces/types.ts';

/** A CNI that is late gives a pod its interface in seconds. */
export const PATIENCE_MS = 60_000;

/**
 * Pods with an address of which no interface is found for a minute are not waited for any more: they are on macvlan,
 * ipvlan, SR-IOV, or share the interface of another. They are looked for all the same. Pure.
 */
export class Patience {
  /** By pod uid: not found since then. */
  #sinceMs = new Map<string, number>();

  /** Places as they are to be told. */
  judge(places: ReadonlyMap<string, PodPlace>, nowMs: number): Map<string, PodPlace> {
    const sinceMs = new Map<string, number>();
    const judged = new Map<string, PodPlace>();
    for (const [uid, place] of places) {
      judged.set(uid, place);
      if (place.found || !mayPass(place.reason)) continue;
      const since = this.#sinceMs.get(uid) ?? nowMs;
      sinceMs.set(uid, since);
      if (nowMs - since < PATIENCE_MS) continue;
      const guess = place.reason === 'not-found' ? ': perhaps macvlan, ipvlan or SR-IOV' : '';
      judged.set(uid, { found: false, reason: 'not-coming', detail: `${place.detail}, for over a minute${guess}` });
    }
    this.#sinceMs = sinceMs;
    return judged;
  }
}

function mayPass(reason: Exclude<PodPlace, { found: true }>['reason']): boolean {
  return reason === 'not-found' || reason === 'taken' || reason === 'ambiguous';
}
