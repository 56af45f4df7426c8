import { shuffle } from '../../../lib/shuffle.ts';
import type { Random } from '../random.ts';

/** `count` values of a histogram in its proportions, in random order: one of each of `count` equal slices of it. */
export function drawHistogram(
  histogram: readonly (readonly [number, number])[],
  count: number,
  random: Random,
): number[] {
  const total = histogram.reduce((sum, [, n]) => sum + n, 0);
  const values: number[] = [];
  let bin = 0;
  let below = histogram[0]![1];
  for (let i = 0; i < count; i++) {
    const at = ((i + 0.5) / count) * total;
    while (at >= below && bin < histogram.length - 1) below += histogram[++bin]![1];
    values.push(histogram[bin]![0]);
  }
  shuffle(values, random);
  return values;
}

/** Value of a curve of points with ascending x, straight between them. */
export function interpolate(points: readonly (readonly [number, number])[], x: number): number {
  let i = 1;
  while (i < points.length - 1 && points[i]![0] < x) i++;
  const [x0, y0] = points[i - 1]!;
  const [x1, y1] = points[i]!;
  return y0 + ((y1 - y0) * (x - x0)) / (x1 - x0);
}

/** Draws indices with probability in proportion to weights that change: a Fenwick tree. */
export class WeightedDraw {
  readonly #sums: Float64Array;
  readonly #weights: Float64Array;
  readonly #top: number;

  constructor(weights: ArrayLike<number>) {
    this.#weights = Float64Array.from(weights);
    this.#sums = new Float64Array(weights.length + 1);
    this.#top = 2 ** Math.floor(Math.log2(Math.max(1, weights.length)));
    for (let i = 0; i < weights.length; i++) this.#add(i, weights[i]!);
  }

  set(index: number, weight: number): void {
    this.#add(index, weight - this.#weights[index]!);
    this.#weights[index] = weight;
  }

  get(index: number): number {
    return this.#weights[index]!;
  }

  /** -1: all weights are 0. */
  draw(random: Random): number {
    let total = 0;
    for (let i = this.#weights.length; i > 0; i -= i & -i) total += this.#sums[i]!;
    if (!(total > 0)) return -1;
    let left = random.unit() * total;
    let at = 0;
    for (let step = this.#top; step > 0; step >>= 1) {
      if (at + step > this.#weights.length || this.#sums[at + step]! > left) continue;
      at += step;
      left -= this.#sums[at]!;
    }
    // Rounding may end on a weight of 0: the nearest one above 0 before it, or behind it.
    at = Math.min(at, this.#weights.length - 1);
    for (let i = at; i >= 0; i--) if (this.#weights[i]! > 0) return i;
    return this.#weights.findIndex((weight) => weight > 0);
  }

  #add(index: number, change: number): void {
    for (let i = index + 1; i < this.#sums.length; i += i & -i) this.#sums[i]! += change;
  }
}
