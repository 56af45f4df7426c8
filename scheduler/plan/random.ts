/**
 * sfc32 (Chris Doty-Humphrey, PractRand): small, fast, the same numbers for the same seed on every machine.
 * Integers only, so that nothing depends on how a platform rounds.
 */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** @param stream numbers of different streams of one seed have nothing to do with each other. */
  constructor(seed: number, stream = 0) {
    this.#a = Math.floor(seed / 2 ** 32) | 0;
    this.#b = seed | 0;
    this.#c = stream | 0;
    // As PractRand does: neighbouring seeds are strangers after that.
    for (let i = 0; i < 15; i++) this.bits();
  }

  /** 32 bits, as a signed integer. */
  bits(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum;
  }

  /** Uniform in [0, 1). */
  unit(): number {
    return (this.bits() >>> 0) * 2 ** -32;
  }

  /** Uniform in 0..n-1; n up to 2^32. */
  below(n: number): number {
    return Math.floor((this.bits() >>> 0) * 2 ** -32 * n);
  }
}
