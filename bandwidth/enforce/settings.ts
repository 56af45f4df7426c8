import { DIRECTIONS, parseBandwidth, type Direction, type Wish } from '../contract/bandwidth.ts';
import type { NodePod } from '../interfaces/types.ts';
import { ownerOf } from './slots.ts';
import type { WishingPod } from './types.ts';

/** A pod as its source tells of it: the values of its annotations, where it has them. */
export interface AnnotatedPod extends NodePod {
  readonly egress?: string;
  readonly ingress?: string;
}

/**
 * What the pods' annotations say, and the last valid of what they said: an annotation that cannot be used does not take a
 * limit away; one that is gone does. Bounded by the pods that are there.
 */
export class Settings {
  #lastBps = new Map<string, bigint>();
  /** By owner: what the last agent had in force, of directions that were not read since. */
  readonly #left = new Map<string, bigint>();

  /** What an agent before this one had in force. @param left by ownerOf(): bits a second; 0: it only counted */
  takeUp(left: ReadonlyMap<string, bigint>): void {
    for (const [owner, bps] of left) if (bps > 0n) this.#left.set(owner, bps);
  }

  /** Of pods with the same uid, as only a file written by hand can have them, the last one counts. */
  read(pods: readonly AnnotatedPod[]): WishingPod[] {
    const lastBps = new Map<string, bigint>();
    const unique = new Map(pods.map((pod) => [pod.uid, pod]));
    const wishing = [...unique.values()].map((pod): WishingPod => {
      const wishes = { egress: parseBandwidth(pod.egress), ingress: parseBandwidth(pod.ingress) };
      for (const direction of DIRECTIONS) {
        const bps = this.#holding(pod.uid, direction, wishes[direction]);
        if (bps !== undefined) lastBps.set(`${pod.uid} ${direction}`, bps);
      }
      const { egress: _egress, ingress: _ingress, ...rest } = pod;
      return { ...rest, wishes };
    });
    this.#lastBps = lastBps;
    return wishing;
  }

  lastBps(uid: string, direction: Direction): bigint | undefined {
    return this.#lastBps.get(`${uid} ${direction}`);
  }

  #holding(uid: string, direction: Direction, wish: Wish): bigint | undefined {
    const owner = this.#left.size === 0 ? '' : ownerOf(uid, direction);
    const left = this.#left.get(owner);
    this.#left.delete(owner);
    if (wish.kind === 'limit') return wish.bps;
    return wish.kind === 'none' ? undefined : (this.#lastBps.get(`${uid} ${direction}`) ?? left);
  }
}
