import { closeSync, constants, openSync } from 'node:fs';
import { EAGAIN, bpfError } from './errno.ts';
import { lastErrno } from './libbpf.ts';
import { libc } from './libc.ts';

/** LOCK_EX | LOCK_NB of flock(2). */
const EXCLUSIVE_NOW = 2 | 4;

/**
 * Locks a directory against others who do the same, in all namespaces of this kernel; undefined: somebody has it.
 * The kernel gives it back when this process ends, however it ends. Works on a bpffs, which holds no ordinary files.
 * @throws NetloomError BPF_SYSTEM_FAILED, BPF_NOT_PERMITTED, or the error of opening it
 */
export function lockDirectory(path: string): { close(): void } | undefined {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  if (libc().flock(fd, EXCLUSIVE_NOW) === 0) {
    let open = true;
    return {
      close: () => {
        if (open) closeSync(fd);
        open = false;
      },
    };
  }
  const errno = lastErrno();
  closeSync(fd);
  if (errno === EAGAIN) return undefined;
  throw bpfError('BPF_SYSTEM_FAILED', 'a directory cannot be locked', errno, { place: path });
}
