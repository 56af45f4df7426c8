import { sentenceOf } from '../../lib/errors.ts';
import type { LimitKernel } from '../kernel/limit-kernel.ts';
import type { Desired, Fault } from './types.ts';

/** Takes hooks and entries away that are not wanted any more. */
export function takeAway(kernel: LimitKernel, desired: Desired): Fault[] {
  const wanted = new Set(desired.hooks.map(({ ifindex, role }) => `${ifindex} ${role}`));
  const faults: Fault[] = [];
  for (const hook of kernel.hooks()) {
    if (wanted.has(`${hook.ifindex} ${hook.role}`)) continue;
    faults.push(...attempt({ ifindex: hook.ifindex }, () => kernel.removeHook(hook)));
  }
  const keep = new Set([...desired.interfaces.keys(), ...desired.hooks.map(({ ifindex }) => ifindex)]);
  for (const ifindex of kernel.interfaces()) {
    if (!keep.has(ifindex)) faults.push(...attempt({ ifindex }, () => kernel.removeInterface(ifindex)));
  }
  return faults;
}

/** @returns the fault that the work ended with, if it did */
export function attempt(place: Omit<Fault, 'text'>, work: () => unknown): Fault[] {
  try {
    work();
    return [];
  } catch (error) {
    return [{ ...place, text: sentenceOf(error) }];
  }
}
