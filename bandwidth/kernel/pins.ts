import { createHash } from 'node:crypto';
import { existsSync, readdirSync, rmdirSync, statSync, unlinkSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { currentNetnsName, isBpffs, lockDirectory } from '../../lib/bpf/index.ts';
import { NetloomError, messageOf } from '../../lib/errors.ts';
import { makeOwnFolder, removeOwnFolder } from '../../lib/files/own-folder.ts';
import { LAYOUTS } from '../bpf/layout.ts';
import type { Role } from '../enforce/types.ts';
import { kernelHasTcx, runningAt } from './tcx.ts';

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
export const LINKS = 'links';
export const MAPS_NAME = /^maps_[0-9a-f]{16}_[1-9][0-9]{0,9}$/;
/** The name of the network namespace whose devices the limits are at: currentNetnsName(). */
export const NETNS_PREFIX = 'netns_';
const NETNS = new RegExp(`^${NETNS_PREFIX}(i?[0-9]+)$`);
export const LINK_NAME = /^([1-9][0-9]{0,9})_(from_pod|to_pod|leave)$/;

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
 *   netns_NAME               whose devices these are about: an agent in another network namespace keeps off
 *
 * One agent at a time has it: the lock is the kernel's, and goes with the process.
 */
export class LimitPins {
  readonly dir: string;
  #lock: { close(): void };
  /** Of the folder that is locked: one that was made anew has another. */
  #inode: number;

  private constructor(dir: string, lock: { close(): void }) {
    this.dir = dir;
    this.#lock = lock;
    this.#inode = statSync(dir).ino;
  }

  /**
   * Makes the folder if there is none; mounts nothing.
   * @throws NetloomError BPFFS_UNUSABLE, AGENT_PINS_IN_USE, AGENT_OTHER_NAMESPACE
   */
  static open(dir: string): LimitPins {
    makeFolder(dir);
    const pins = new LimitPins(dir, lock(dir));
    try {
      const names = readdirSync(dir);
      const foreign = names.filter((name) => name !== LINKS && !MAPS_NAME.test(name) && !NETNS.test(name));
      if (foreign.length > 0) throw unusable(dir, `pins of something else: ${foreign.slice(0, 3).join(', ')}`);
      makeFolder(join(dir, LINKS));
      pins.#claim();
      return pins;
    } catch (error) {
      pins.close();
      throw error;
    }
  }

  /** Whether the folder is still there as this process made or found it. */
  get isThere(): boolean {
    return inodeOf(this.dir) === this.#inode && existsSync(join(this.dir, LINKS));
  }

  /** Makes the folder anew where somebody removed it. @throws as `open` */
  keep(): void {
    makeFolder(this.dir);
    const inode = inodeOf(this.dir);
    if (inode !== this.#inode) {
      const next = lock(this.dir);
      this.#lock.close();
      this.#lock = next;
      this.#inode = inode!;
    }
    makeFolder(join(this.dir, LINKS));
    this.#claim();
  }

  /** Sees that the pins are about this namespace; what was pinned about one that is gone goes. */
  #claim(): void {
    const here = currentNetnsName();
    const name = this.#netns();
    if (name === here) return;
    if (name !== undefined) {
      if (this.#isInForce()) {
        throw new NetloomError('AGENT_OTHER_NAMESPACE', 'these limits are those of another network namespace', {
          place: this.dir,
          expected: `to run in network namespace ${name}, whose devices have the limits`,
          found: `network namespace ${here}`,
        });
      }
      for (const { path } of this.links()) unlinkSync(path);
      for (const dir of this.mapsDirs()) removeFolder(dir);
      rmdirSync(join(this.dir, `${NETNS_PREFIX}${name}`));
    }
    makeFolder(join(this.dir, `${NETNS_PREFIX}${here}`));
  }

  #netns(): string | undefined {
    return readdirSync(this.dir).flatMap((name) => NETNS.exec(name)?.[1] ?? [])[0];
  }

  /** Filters of clsact in another namespace cannot be seen from here: where there may be some, they are taken to be there. */
  #isInForce(): boolean {
    const links = this.links();
    if (links.some(({ path }) => runningAt(path) !== undefined)) return true;
    return links.length === 0 && this.mapsDirs().length > 0 && !kernelHasTcx();
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
      .filter((name) => MAPS_NAME.test(name))
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
      const match = LINK_NAME.exec(name);
      if (match === null) return [];
      return [{ ifindex: Number(match[1]), role: match[2] as Role, path: join(this.dir, LINKS, name) }];
    });
  }

  /** All of it, links first; the folder too, and empty ones above it, as far as agents made them. */
  remove(): void {
    removeFolder(join(this.dir, LINKS));
    for (const dir of this.mapsDirs()) removeFolder(dir);
    const netns = this.#netns();
    if (netns !== undefined) rmdirSync(join(this.dir, `${NETNS_PREFIX}${netns}`));
    removeOwnFolder(this.dir);
  }

  /** Takes the folder away that `open` made, where nothing was pinned. */
  removeIfEmpty(): void {
    if (this.isThere && this.links().length === 0 && this.mapsDirs().length === 0) this.remove();
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

function lock(dir: string): { close(): void } {
  const found = lockDirectory(dir);
  if (found === undefined) throw new NetloomError('AGENT_PINS_IN_USE', 'another agent has these pins', { place: dir });
  return found;
}

function inodeOf(dir: string): number | undefined {
  return statSync(dir, { throwIfNoEntry: false })?.ino;
}

/** Only below a bpffs. */
function makeFolder(dir: string): void {
  let at = dir;
  while (!existsSync(at)) at = dirname(at);
  if (!isBpffs(at)) throw unusable(dir, at === dir ? 'another file system' : `${at} on another file system`);
  try {
    makeOwnFolder(dir);
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
