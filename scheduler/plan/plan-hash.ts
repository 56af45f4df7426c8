import type { ReplicaCounts } from './placement-plan.ts';

/** 16 hex digits over all targets. */
export function planHash({ targetStart, targetNode, targetCount }: ReplicaCounts): string {
  let a = 0x811c9dc5;
  let b = 0x01234567;
  for (const column of [targetStart, targetNode, targetCount]) {
    for (const value of column) {
      a = Math.imul(a ^ value, 0x01000193);
      b = Math.imul(b ^ (value + 1), 0x85ebca6b) ^ (b >>> 13);
    }
  }
  return (a >>> 0).toString(16).padStart(8, '0') + (b >>> 0).toString(16).padStart(8, '0');
}
