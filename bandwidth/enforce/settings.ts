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
 * limit away. Bounded by the pods that are there.
 */
export class Settings {
  #lastBps = new Map<string, bigint>();
  /** By owner: what the last agent had in force, until the pods are first seen. */
  #left: ReadonlyMap<string, bigint>;

  /** @param left by ownerOf(): bits a second */
  constructor(left: ReadonlyMap<string, bigint> = new Map()) {
    this.#left = left;
  }

  read(pods: readonly AnnotatedPod[]): WishingPod[] {
    const lastBps = new Map<string, bigint>();
    const wishing = pods.map((pod): WishingPod => {
      const wishes = { egress: parseBandwidth(pod.egress), ingress: parseBandwidth(pod.ingress) };
      for (const direction of DIRECTIONS) {
        const bps = this.#holding(pod.uid, direction, wishes[direction]);
        if (bps !== undefined) lastBps.set(`${pod.uid} ${direction}`, bps);
      }
      const { egress: _egress, ingress: _ingress, ...rest } = pod;
      return { ...rest, wishes };
    });
    this.#lastBps = lastBps;
    this.#left = new Map();
    return wishing;
  }

  lastBps(uid: string, direction: Direction): bigint | undefined {
    return this.#lastBps.get(`${uid} ${direction}`);
  }

  #holding(uid: string, direction: Direction, wish: Wish): bigint | undefined {
    if (wish.kind === 'limit') return wish.bps;
    if (wish.kind === 'none') return undefined;
    const left = this.#left.get(ownerOf(uid, direction));
    return this.#lastBps.get(`${uid} ${direction}`) ?? (left === 0n ? undefined : left);
  }
}
