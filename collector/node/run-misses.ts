import { readFileSync } from 'node:fs';

/**
 * Runs of a BPF program that the kernel skipped because the program was already running on that CPU (an interrupt came
 * in between). Told only by the program's fdinfo on kernels before BPF_OBJ_GET_INFO had it (>= 5.12); 0 where absent.
 */
export function runMisses(programFd: number): number {
  try {
    return parseRunMisses(readFileSync(`/proc/self/fdinfo/${programFd}`, 'latin1'));
  } catch {
    return 0;
  }
}

export function parseRunMisses(fdinfo: string): number {
  const match = /^recursion_misses:\s*(\d+)$/m.exec(fdinfo);
  return match === null ? 0 : Number(match[1]);
}
