import type { Case } from './cases/case.ts';
import type { KernelName } from './guest/kernels.ts';

/** One boot: cases that can share a guest. */
export interface GuestPlan {
  readonly kernel: KernelName;
  readonly shift: 0 | 1;
  readonly without: readonly string[];
  readonly cases: readonly Case[];
}

/** A guest of more cases than this is split: two guests run at a time. */
const MOST_CASES = 16;

/** Every case on each kernel that it is for, and that is wanted. Pure. */
export function planGuests(cases: readonly Case[], kernels: readonly KernelName[], most = MOST_CASES): GuestPlan[] {
  const plans: GuestPlan[] = [];
  for (const kernel of kernels) {
    const groups = Map.groupBy(
      cases.filter((entry) => entry.kernels.includes(kernel)),
      ({ shift, without = [] }) => `${shift} ${without.join()}`,
    );
    for (const group of groups.values()) {
      const { shift, without = [] } = group[0]!;
      const parts = Math.ceil(group.length / most);
      for (let part = 0; part < parts; part++) {
        // Dealt out in turn: cases of one kind are about equally long.
        plans.push({ kernel, shift, without, cases: group.filter((_, i) => i % parts === part) });
      }
    }
  }
  return plans;
}
