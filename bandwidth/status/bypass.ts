/** Packets of a second below which nothing is concluded. */
const LEAST_PACKETS = 50;
/** Of what passed the interface; see research: 1,421 of 1,421 where we come first, 0 where another ends the chain. */
const LEAST_SHARE = 0.5;
/** Samples in a row. */
const LEAST_SAMPLES = 2;

/**
 * Whether packets of an interface do not come to our program: another one before it ends the chain. The interface's own
 * counter says how many there were. Pure.
 */
export class BypassWatch {
  #interfacePackets: bigint | undefined;
  #hookPackets: bigint | undefined;
  #suspicious = 0;

  /** @param interfacePackets and `hookPackets`: cumulative, of the same direction, read at about the same time */
  add(interfacePackets: bigint, hookPackets: bigint): void {
    const passed = interfacePackets - (this.#interfacePackets ?? interfacePackets);
    const seen = hookPackets - (this.#hookPackets ?? hookPackets);
    this.#interfacePackets = interfacePackets;
    this.#hookPackets = hookPackets;
    if (passed < LEAST_PACKETS) return;
    this.#suspicious = Number(seen) < Number(passed) * LEAST_SHARE ? this.#suspicious + 1 : 0;
  }

  get bypassed(): boolean {
    return this.#suspicious >= LEAST_SAMPLES;
  }
}
