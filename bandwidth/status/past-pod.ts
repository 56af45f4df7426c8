import type { SlotStat } from '../slot-stat.ts';

/** Packets of a sample: the counters are not read at one moment. */
const LEAST_PACKETS = 10n;

/**
 * Whether packets that did not come to from_pod are judged at the uplinks all the same, where the interface that they came
 * from says whose they are. Pure.
 */
export class PastPod {
  #last: bigint | undefined;
  #isSeen = false;

  /** @param bypassed another program keeps packets from from_pod just now */
  add({ packets, droppedPackets, offeredPackets, exemptPackets }: SlotStat, bypassed: boolean): void {
    const judgedOnlyThere = packets + droppedPackets - (offeredPackets - exemptPackets);
    const more = judgedOnlyThere - (this.#last ?? judgedOnlyThere);
    this.#last = judgedOnlyThere;
    this.#isSeen = bypassed && (this.#isSeen || more >= LEAST_PACKETS);
  }

  get isSeenAtUplinks(): boolean {
    return this.#isSeen;
  }
}
