/** How many replicas of a workload each zone takes. Nodes without a zone take any number. */
export class ZoneRoom {
  readonly #nodeZone: Int32Array;
  readonly #cap: Int32Array;
  readonly zoneCount: number;
  /** By workload and zone. */
  readonly #counts: Int32Array;

  /** @param cap by workload, in one zone */
  constructor(nodeZone: Int32Array, cap: Int32Array) {
    this.#nodeZone = nodeZone;
    this.#cap = cap;
    this.zoneCount = Math.max(-1, ...new Set(nodeZone)) + 1;
    this.#counts = new Int32Array(cap.length * this.zoneCount);
  }

  copyFrom(other: ZoneRoom): void {
    this.#counts.set(other.#counts);
  }

  add(c: number, n: number, k: number): void {
    const zone = this.#nodeZone[n]!;
    if (zone >= 0) this.#counts[c * this.zoneCount + zone]! += k;
  }

  /** Below 0: none. */
  zoneOf(n: number): number {
    return this.#nodeZone[n]!;
  }

  /** Replicas beyond the cap; 0 and less: there are none. */
  excess(c: number, zone: number): number {
    return this.#counts[c * this.zoneCount + zone]! - this.#cap[c]!;
  }

  /** Whether the zone of n has more than its cap, were there k more. */
  isBeyond(c: number, n: number, k = 0): boolean {
    const zone = this.#nodeZone[n]!;
    return zone >= 0 && this.excess(c, zone) + k > 0;
  }

  areAlike(n: number, m: number): boolean {
    return this.#nodeZone[n] === this.#nodeZone[m];
  }
}
