import { PinnedTcLink, chainPrograms } from '../../lib/bpf/index.ts';
import { NetloomError } from '../../lib/errors.ts';

/** Asked of loopback, which every namespace has. @throws NetloomError BPF_NOT_PERMITTED without CAP_NET_ADMIN */
export function kernelHasTcx(): boolean {
  return chainPrograms(1, 'ingress') !== undefined;
}

/** false: without CAP_NET_ADMIN, as an agent that only measures. */
export function mayLook(): boolean {
  try {
    kernelHasTcx();
    return true;
  } catch (error) {
    if (error instanceof NetloomError && error.code === 'BPF_NOT_PERMITTED') return false;
    throw error;
  }
}

/** Where the program of a pinned link runs; undefined: its device is gone. @throws NetloomError BPF_PIN_FAILED: no such link */
export function runningAt(path: string): { readonly ifindex: number; readonly programId: number } | undefined {
  const link = new PinnedTcLink(path);
  try {
    const { ifindex, programId } = link.info;
    return ifindex === 0 ? undefined : { ifindex, programId };
  } finally {
    link.close();
  }
}
