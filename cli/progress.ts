import type { Writer } from './command.ts';

/** On a terminal a line that is written over; elsewhere a line every few seconds, for whoever reads a log. */
const TTY_EVERY_MS = 200;
const LOG_EVERY_MS = 5_000;

/** Says on standard error how far a long run is, if it turns out to be one. */
export class ProgressLine {
  readonly #stream: Writer;
  #shownMs = performance.now();
  #width = 0;

  constructor(stream: Writer) {
    this.#stream = stream;
  }

  show(text: () => string): void {
    const now = performance.now();
    if (now - this.#shownMs < (this.#stream.isTty ? TTY_EVERY_MS : LOG_EVERY_MS)) return;
    this.#shownMs = now;
    const line = text();
    if (!this.#stream.isTty) {
      this.#stream.write(`${line}\n`);
      return;
    }
    this.#stream.write(`\r${line.padEnd(this.#width)}`);
    this.#width = line.length;
  }

  /** Takes the line away. */
  end(): void {
    if (this.#width > 0) this.#stream.write(`\r${' '.repeat(this.#width)}\r`);
    this.#width = 0;
  }
}
