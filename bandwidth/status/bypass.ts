/** Packets of a second below which nothing is concluded. */
export const LEAST_PACKETS = 50;
/** Of what passed the interface; see research: 1,421 of 1,421 where we come first, 0 where another ends the chain. */
export const LEAST_SHARE = 0.5;
/** Samples in a row that say it by themselves. */
const LEAST_SAMPLES = 2;

/** What went by somewhere, cumulative. */
export interface Passage {
  readonly packets: bigint;
  readonly bytes: bigint;
}

/**
 * Whether packets of an interface do not come to our program: another one before it ends the chain. The interface's own
 * counters say how many there were. Both packets and bytes must be missing: where the interface counts what GRO joins
 * afterwards there are fewer packets, and where it counts super-packets there are fewer bytes. Pure.
 */
export class BypassWatch {
  #last: { readonly atInterface: Passage; readonly atHook: Passage } | undefined;
  #suspicious = 0;

  /** Both of the same direction, read at about the same time. */
  add(atInterface: Passage, atHook: Passage): void {
    const last = this.#last;
    this.#last = { atInterface, atHook };
    if (last === undefined) return;
    const packets = atInterface.packets - last.atInterface.packets;
    if (packets < LEAST_PACKETS) return;
    const lacking = (seen: bigint, passed: bigint): boolean => Number(seen) < Number(passed) * LEAST_SHARE;
    const missed =
      lacking(atHook.packets - last.atHook.packets, packets) &&
      lacking(atHook.bytes - last.atHook.bytes, atInterface.bytes - last.atInterface.bytes);
    this.#suspicious = missed ? this.#suspicious + 1 : 0;
  }

  /** Packets were missed in the last sample: enough where somebody is seen before us. */
  get suspected(): boolean {
    return this.#suspicious > 0;
  }

  get bypassed(): boolean {
    return this.#suspicious >= LEAST_SAMPLES;
  }

  /** Who was before us is gone: to be seen anew. */
  clear(): void {
    this.#suspicious = 0;
  }
}
