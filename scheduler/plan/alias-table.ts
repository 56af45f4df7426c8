import type { Random } from './random.ts';

/** Draws index i with probability weight_i / sum in constant time (Vose, 1991). */
export class AliasTable {
  readonly #keep: Float64Array;
  readonly #other: Int32Array;

  constructor(weights: ArrayLike<number>) {
    const n = weights.length;
    let sum = 0;
    for (let i = 0; i < n; i++) sum += weights[i]!;
    this.#keep = Float64Array.from({ length: n }, (_, i) => (weights[i]! * n) / sum);
    this.#other = Int32Array.from({ length: n }, (_, i) => i);
    const small: number[] = [];
    const large: number[] = [];
    for (let i = 0; i < n; i++) (this.#keep[i]! < 1 ? small : large).push(i);
    while (small.length > 0 && large.length > 0) {
      const less = small.pop()!;
      const more = large.pop()!;
      this.#other[less] = more;
      this.#keep[more]! -= 1 - this.#keep[less]!;
      (this.#keep[more]! < 1 ? small : large).push(more);
    }
    // What rounding left over stands for itself.
    for (const i of [...small, ...large]) this.#keep[i] = 1;
  }

  draw(random: Random): number {
    const i = random.below(this.#keep.length);
    return random.unit() < this.#keep[i]! ? i : this.#other[i]!;
  }
}
