/** Names-only requests are up to 3 MB at 65,000 nodes and 0.3 MB at 5,000. */
const KEPT_BYTES = 4 * 1024 * 1024;
const KEPT_BUFFERS = 4;

/**
 * Buffers in which bodies are put together, used again and again. Memory outside the JavaScript heap counts towards the next
 * full collection: with a fresh buffer for every body of 5,000 names, 2 % of the calls waited 5 ms for one.
 */
export class BodyBuffers {
  readonly #free: Buffer[] = [];

  /** The chunks in one piece, which `done` gives back: nobody may look at it any more. */
  join(chunks: readonly Buffer[], length: number): { readonly bytes: Buffer; readonly done: () => void } {
    if (chunks.length === 1) return { bytes: chunks[0]!, done: nothing };
    if (length > KEPT_BYTES) return { bytes: Buffer.concat(chunks, length), done: nothing };
    const buffer = this.#take(length);
    let at = 0;
    for (const chunk of chunks) {
      buffer.set(chunk, at);
      at += chunk.length;
    }
    return { bytes: buffer.subarray(0, length), done: () => this.#give(buffer) };
  }

  #take(length: number): Buffer {
    const kept = this.#free.pop();
    if (kept !== undefined && kept.length >= length) return kept;
    // A power of two, so that bodies that grow little by little do not need a new buffer each time.
    return Buffer.allocUnsafeSlow(2 ** Math.ceil(Math.log2(Math.max(length, 65_536))));
  }

  #give(buffer: Buffer): void {
    if (this.#free.length < KEPT_BUFFERS) this.#free.push(buffer);
  }
}

function nothing(): void {}
