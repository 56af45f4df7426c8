import { readFileSync } from 'node:fs';

/** Memory of a process that is resident, and the most that ever was (proc(5): VmRSS, VmHWM). */
export function residentBytes(pid: number): { readonly now: number; readonly peak: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const of = (field: string) => Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1] ?? NaN) * 1024;
  return { now: of('VmRSS'), peak: of('VmHWM') };
}
