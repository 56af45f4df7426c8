/**
 * A sum for each index of a space (nodes, zones), of which a call touches few: clearing costs O(1),
 * and reading an index that was not touched gives 0.
 */
export class Tally {
  #sums = new Float64Array(0);
  #epochs = new Uint32Array(0);
  #epoch = 0;

  /** Empties the tally and makes room for indices 0..size-1. */
  reset(size: number): void {
    if (this.#sums.length < size) {
      this.#sums = new Float64Array(size);
      this.#epochs = new Uint32Array(size);
      this.#epoch = 0;
    }
    if (this.#epoch === 0xffffffff) {
      this.#epochs.fill(0);
      this.#epoch = 0;
    }
    this.#epoch += 1;
  }

  add(index: number, amount: number): void {
    if (this.#epochs[index] === this.#epoch) {
      this.#sums[index]! += amount;
      return;
    }
    this.#epochs[index] = this.#epoch;
    this.#sums[index] = amount;
  }

  get(index: number): number {
    return this.#epochs[index] === this.#epoch ? this.#sums[index]! : 0;
  }

  has(index: number): boolean {
    return this.#epochs[index] === this.#epoch;
  }
}
