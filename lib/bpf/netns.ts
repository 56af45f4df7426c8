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

const AF_UNIX = 1;
const SOCK_DGRAM_CLOEXEC = 2 | 0o2000000;
const SOL_SOCKET = 1;
/** Since Linux 5.14; asm-generic/socket.h. */
const SO_NETNS_COOKIE = 71;

/**
 * A name for this thread's network namespace that no other one has until the next boot: inodes are given anew. Letters and
 * digits. Of kernels before 5.14 it is the inode all the same.
 */
export function currentNetnsName(): string {
  const fd = libc().socket(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0);
  if (fd >= 0) {
    try {
      const [value, size] = [Buffer.alloc(8), Buffer.alloc(4)];
      size.writeUInt32LE(value.length);
      if (libc().getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, value, size) === 0) return `${value.readBigUInt64LE()}`;
    } finally {
      closeSync(fd);
    }
  }
  return `i${currentNetnsInode()}`;
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
