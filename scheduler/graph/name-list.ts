/** Names as indices, in the order they came; knows which the other side has not heard yet. */
export class NameList {
  readonly #index = new Map<string, number>();
  readonly #names: string[] = [];
  #told = 0;

  get size(): number {
    return this.#names.length;
  }

  /** By index. */
  get names(): readonly string[] {
    return this.#names;
  }

  get(name: string): number | undefined {
    return this.#index.get(name);
  }

  at(index: number): string {
    return this.#names[index]!;
  }

  add(name: string): number {
    const known = this.#index.get(name);
    if (known !== undefined) return known;
    const index = this.#names.push(name) - 1;
    this.#index.set(name, index);
    return index;
  }

  takeNew(): string[] {
    const added = this.#names.slice(this.#told);
    this.#told = this.#names.length;
    return added;
  }
}
