import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, rmdirSync, statSync, unlinkSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { isBpffs, lockDirectory } from '../../lib/bpf/index.ts';
import { NetloomError, messageOf } from '../../lib/errors.ts';
import { LAYOUTS } from '../bpf/layout.ts';
import type { Role } from '../enforce/types.ts';

/** Maps of limit.bpf.c that outlive an agent: all. */
export const PINNED_MAPS = [
  'limit_interfaces',
  'limit_config',
  'limit_clock',
  'limit_flow',
  'limit_stat',
  'limit_owner',
] as const;
export type PinnedMap = (typeof PINNED_MAPS)[number];

/** Beyond layouts: what the values mean. Raised when an agent must not go on with the maps of an older one. */
const ABI = 1;
const LINKS = 'links';
const MAPS = /^maps_[0-9a-f]{16}_[1-9][0-9]{0,9}$/;
const LINK = /^([1-9][0-9]{0,9})_(from_pod|to_pod|leave)$/;

/** What pinned maps must have in common with the programs that use them, but for the number of their slots. */
const LAYOUT = createHash('sha256')
  .update(JSON.stringify({ abi: ABI, layouts: LAYOUTS, maps: PINNED_MAPS }))
  .digest('hex')
  .slice(0, 16);

export interface LinkPin {
  readonly ifindex: number;
  readonly role: Role;
  readonly path: string;
}

/**
 * The folder of a bpffs that keeps limits in force while no agent runs:
 *
 *   maps_LAYOUT_SLOTS/NAME   the maps; others than those of this agent stay until its programs have taken over
 *   links/IFINDEX_ROLE       the links (tcx; filters of clsact need no pin)
 *
 * One agent at a time has it: the lock is the kernel's, and goes with the process.
 */
export class LimitPins {
  readonly dir: string;
  readonly #lock: { close(): void };

  private constructor(dir: string, lock: { close(): void }) {
    this.dir = dir;
    this.#lock = lock;
  }

  /**
   * Makes the folder if there is none; mounts nothing.
   * @throws NetloomError BPFFS_UNUSABLE, AGENT_PINS_IN_USE
   */
  static open(dir: string): LimitPins {
    makeFolder(dir);
    const lock = lockDirectory(dir);
    if (lock === undefined) throw new NetloomError('AGENT_PINS_IN_USE', 'another agent has these pins', { place: dir });
    const foreign = readdirSync(dir).filter((name) => name !== LINKS && !MAPS.test(name));
    if (foreign.length > 0) {
      lock.close();
      throw unusable(dir, `pins of something else: ${foreign.slice(0, 3).join(', ')}`);
    }
    makeFolder(join(dir, LINKS));
    return new LimitPins(dir, lock);
  }

  /** The folder of maps with so many slots; made if there is none. */
  mapsDir(slots: number): string {
    const dir = join(this.dir, mapsName(slots));
    makeFolder(dir);
    return dir;
  }

  /** Folders of maps, of any version. */
  mapsDirs(): string[] {
    return readdirSync(this.dir)
      .filter((name) => MAPS.test(name))
      .map((name) => join(this.dir, name));
  }

  /** Folders of maps that are like ours but for the number of slots; the newest first. */
  mapsDirsOfOthers(slots: number): string[] {
    return this.mapsDirs()
      .filter((dir) => basename(dir).startsWith(`maps_${LAYOUT}_`) && basename(dir) !== mapsName(slots))
      .map((dir) => ({ dir, madeMs: statSync(dir).mtimeMs }))
      .sort((a, b) => b.madeMs - a.madeMs)
      .map(({ dir }) => dir);
  }

  /** Removes the maps of others: nothing uses them once all links are taken over. */
  dropOtherMaps(slots: number): void {
    for (const dir of this.mapsDirs()) if (basename(dir) !== mapsName(slots)) removeFolder(dir);
  }

  linkPath(ifindex: number, role: Role): string {
    return join(this.dir, LINKS, `${ifindex}_${role}`);
  }

  links(): LinkPin[] {
    return readdirSync(join(this.dir, LINKS)).flatMap((name) => {
      const match = LINK.exec(name);
      if (match === null) return [];
      return [{ ifindex: Number(match[1]), role: match[2] as Role, path: join(this.dir, LINKS, name) }];
    });
  }

  /** All of it, links first; the folder too, unless it is a mount point. */
  remove(): void {
    removeFolder(join(this.dir, LINKS));
    for (const dir of this.mapsDirs()) removeFolder(dir);
    try {
      rmdirSync(this.dir);
    } catch {
      // A mount point: whoever mounted it unmounts it.
    }
  }

  /** Gives the lock back; pins stay. Idempotent. */
  close(): void {
    this.#lock.close();
  }
}

function mapsName(slots: number): string {
  return `maps_${LAYOUT}_${slots}`;
}

function removeFolder(dir: string): void {
  try {
    for (const name of readdirSync(dir)) unlinkSync(join(dir, name));
    rmdirSync(dir);
  } catch (error) {
    throw new NetloomError('BPF_PIN_FAILED', `a pin cannot be removed: ${messageOf(error)}`, {
      place: dir,
      remedy: 'Remove it as root (rm -r); nothing else keeps it.',
      cause: error,
    });
  }
}

/** Level by level, and only below a bpffs: see makeDirs() of lib/bpf/bpffs.ts for why mkdir is not recursive here. */
function makeFolder(dir: string): void {
  const missing: string[] = [];
  let at = dir;
  for (; !existsSync(at); at = dirname(at)) missing.push(at);
  if (!isBpffs(at)) throw unusable(dir, missing.length === 0 ? 'another file system' : `${at} on another file system`);
  try {
    for (const level of missing.reverse()) mkdirSync(level, { mode: 0o700 });
  } catch (error) {
    throw unusable(dir, messageOf(error));
  }
}

function unusable(dir: string, found: string): NetloomError {
  return new NetloomError('BPFFS_UNUSABLE', 'limits cannot be pinned there', {
    place: dir,
    expected: 'a folder of its own on a bpffs, which this user may change',
    found,
    remedy: 'Mount a bpffs on the host (mount -t bpf bpf /sys/fs/bpf), or name another folder with --pins.',
  });
}
