import { LIMIT_STAT } from '../../bandwidth/bpf/layout.ts';
import { decodeSlotStat, type SlotStat } from '../../bandwidth/slot-stat.ts';

/** Counters of a slot that never saw a packet, but for these. */
export function stat(more: Partial<SlotStat>): SlotStat {
  return { ...decodeSlotStat(new Uint8Array(LIMIT_STAT.size)), ...more };
}
