import { closeSync, fstatSync, openSync, statSync } from 'node:fs';
import { bpfError } from './errno.ts';
import { lastErrno } from './libbpf.ts';
import { libc } from './libc.ts';

const CLONE_NEWNET = 0x40000000;
/** Of this thread: /proc/self would be the main thread's. */
const CURRENT = '/proc/thread-self/ns/net';

/** Identity of this thread's network namespace: the inode of its nsfs file. */
export function currentNetnsInode(): number {
  return statSync(CURRENT).ino;
}

/** A descriptor that keeps this thread's network namespace; the caller closes it. */
export function openCurrentNetns(): number {
  return openSync(CURRENT, 'r');
}

/**
 * Runs `work` with this thread in another network namespace, and goes back. `work` must be synchronous: code that
 * ran at an await would find itself there too, and threads made meanwhile would stay there. Needs CAP_SYS_ADMIN.
 * @param netnsFd an open /var/run/netns/NAME or /proc/PID/ns/net
 * @throws NetloomError BPF_SYSTEM_FAILED, BPF_NOT_PERMITTED
 */
export function inNetns<T>(netnsFd: number, work: () => T): T {
  if (fstatSync(netnsFd).ino === currentNetnsInode()) return work();
  const home = openCurrentNetns();
  try {
    enter(netnsFd);
    try {
      return work();
    } finally {
      enter(home);
    }
  } finally {
    closeSync(home);
  }
}

function enter(fd: number): void {
  if (libc().setns(fd, CLONE_NEWNET) < 0) {
    throw bpfError('BPF_SYSTEM_FAILED', 'entering a network namespace', lastErrno(), {
      expected: 'CAP_SYS_ADMIN',
    });
  }
}
