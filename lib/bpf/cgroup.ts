import { closeSync, constants, mkdirSync, openSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';

/** Where the cgroup2 hierarchy is mounted; undefined if it is not. */
export function cgroup2Mount(mountinfo: string = readFileSync('/proc/self/mountinfo', 'utf8')): string | undefined {
  // proc_pid_mountinfo(5): the fifth field is the mount point (octal escapes), the type follows " - ".
  const line = mountinfo.split('\n').find((candidate) => candidate.includes(' - cgroup2 '));
  return line
    ?.split(' ')[4]
    ?.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));
}

/** Runs `work` with an open cgroup that holds no process, so that nothing it attaches ever runs. */
export function withEmptyCgroup<T>(mount: string, name: string, work: (cgroupFd: number) => T): T {
  const path = join(mount, name);
  mkdirSync(path);
  try {
    const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      return work(fd);
    } finally {
      closeSync(fd);
    }
  } finally {
    rmdirSync(path);
  }
}
