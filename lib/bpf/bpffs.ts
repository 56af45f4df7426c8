import { existsSync, lstatSync, readFileSync, readdirSync, rmdirSync, statfsSync, type Stats } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { geteuid } from 'node:process';
import { NetloomError, messageOf } from '../errors.ts';
import { makeOwnFolder, removeOwnFolder } from '../files/own-folder.ts';
import { errnoText } from './errno.ts';
import { lastErrno } from './libbpf.ts';
import { libc } from './libc.ts';

/** Magic numbers of statfs(2). */
const BPF_FS_MAGIC = 0xcafe4a11;
const SYSFS_MAGIC = 0x62656572;
/** MS_NOSUID | MS_NODEV | MS_NOEXEC. */
const MOUNT_FLAGS = 2 | 4 | 8;
/** The source column of /proc/self/mountinfo: tells our mounts from others', also after a crash. */
const MOUNT_SOURCE = 'netloom';

/** Whether `dir` exists and lies on a bpffs. */
export function isBpffs(dir: string): boolean {
  return fileSystemOf(dir) === BPF_FS_MAGIC;
}

function fileSystemOf(dir: string): number | undefined {
  try {
    return statfsSync(dir).type;
  } catch {
    return undefined;
  }
}

/**
 * Makes `dir` a directory on a bpffs and tells what that took. If it lies on one already, nothing is mounted;
 * else a bpffs is mounted on it, but only if the directory is ours: made by this call, or empty and owned by this user.
 * /sys/fs/bpf itself is the system's, and left alone.
 * @throws NetloomError BPFFS_UNUSABLE, BPF_NOT_PERMITTED
 */
export function ensureBpffs(dir: string): { readonly dir: string; readonly mounted: boolean } {
  const path = resolve(dir);
  if (isBpffs(path)) return { dir: path, mounted: false };
  makeDirs(path);
  if (isBpffs(path)) return { dir: path, mounted: false };
  try {
    mountBpffs(path);
  } catch (error) {
    removeOwnFolder(path);
    throw error;
  }
  return { dir: path, mounted: true };
}

/**
 * Mounts a bpffs, readable by this user only, on an empty directory of ours.
 * @throws NetloomError BPFFS_UNUSABLE, BPF_NOT_PERMITTED
 */
export function mountBpffs(dir: string): void {
  const found = whyNotOurs(dir);
  if (found !== undefined) {
    throw new NetloomError(
      'BPFFS_UNUSABLE',
      'no bpffs is mounted there, and Netloom mounts one only on a directory of its own',
      {
        place: dir,
        expected: 'an empty directory of this user, or one on a bpffs',
        found,
      },
    );
  }
  if (libc().mount(MOUNT_SOURCE, dir, 'bpf', MOUNT_FLAGS, 'mode=0700') === 0) return;
  const errno = lastErrno();
  throw new NetloomError('BPF_NOT_PERMITTED', `a bpffs cannot be mounted: ${errnoText(errno)}`, {
    place: dir,
    expected: 'CAP_SYS_ADMIN, or a bpffs that somebody else mounted',
    remedy: 'Mount it beforehand (mount -t bpf bpf DIR), or run as root.',
  });
}

/** Unmounts a bpffs that Netloom mounted, with all pins in it, and removes the directory; leaves any other alone. */
export function unmountBpffs(dir: string): void {
  const path = resolve(dir);
  if (!isOwnBpffs(path)) return;
  if (libc().umount2(path, 0) !== 0) {
    throw new NetloomError('BPFFS_UNUSABLE', `the bpffs cannot be unmounted: ${errnoText(lastErrno())}`, {
      place: path,
    });
  }
  rmdirSync(path);
}

/** Whether a bpffs is mounted there that Netloom mounted. */
export function isOwnBpffs(path: string): boolean {
  // proc_pid_mountinfo(5): the fifth field is the mount point; after " - " come file system type and source.
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .some((line) => line.split(' ')[4] === path && line.includes(` - bpf ${MOUNT_SOURCE} `));
}

/** undefined if a mount may cover it. */
function whyNotOurs(dir: string): string | undefined {
  let stats: Stats;
  try {
    stats = lstatSync(dir);
  } catch (error) {
    return messageOf(error);
  }
  if (!stats.isDirectory()) return 'not a directory';
  if (fileSystemOf(dir) === SYSFS_MAGIC) return 'a mount point of the system (sysfs)';
  if (stats.uid !== geteuid?.()) return `a directory of user ${stats.uid}`;
  if (readdirSync(dir).length > 0) return 'a directory with other content';
  return undefined;
}

function makeDirs(path: string): void {
  try {
    makeOwnFolder(path);
  } catch (error) {
    let at = path;
    while (!existsSync(dirname(at))) at = dirname(at);
    throw new NetloomError('BPFFS_UNUSABLE', `the directory cannot be made: ${messageOf(error)}`, {
      place: at,
      ...(fileSystemOf(dirname(at)) === SYSFS_MAGIC ? { found: 'sysfs: no bpffs is mounted above it' } : {}),
      cause: error,
    });
  }
}
