import { setPriority } from 'node:os';

/** Niceness of threads that have time; what answers kube-scheduler stays at the process's own. */
const BACKGROUND = 5;

/**
 * Lets the calling thread yield to the others of this process when cores are scarce: niceness is a thread's on Linux
 * (setpriority(2), PRIO_PROCESS with 0). A sandbox that forbids it costs only that preference.
 */
export function lowerThreadPriority(): void {
  try {
    setPriority(BACKGROUND);
  } catch {
    // Nothing depends on it.
  }
}
