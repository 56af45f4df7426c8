import { createHash } from 'node:crypto';
import { accessSync, constants, existsSync, readdirSync, unlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isBpffs, lockDirectory, openPinnedMap } from '../lib/bpf/index.ts';
import { NetloomError, messageOf } from '../lib/errors.ts';
import { makeOwnFolder, removeOwnFolder } from '../lib/files/own-folder.ts';
import { ABI, IDENTITY, LAYOUTS } from './bpf/layout.ts';

/** Maps of collector.bpf.c that outlive an agent. */
export const PINNED_MAPS = ['sockets', 'edges', 'losses', 'settings', 'scope', 'cluster_ranges', 'identity'] as const;
const LINK = 'on_state';
/** Where pinOver() puts a link for a moment. */
const NEXT_LINK = `${LINK}_next`;

/** Folder of the limits of the same agent: another room's. */
const NEIGHBOUR = 'limits';

/**
 * The folder of a bpffs in which an agent leaves its maps and the link of its program to the next one: counting goes on
 * between them. One agent at a time has it: its lock is the kernel's, and goes with the process.
 */
export class PinFolder {
  readonly dir: string;
  readonly #lock: { close(): void };

  private constructor(dir: string, lock: { close(): void }) {
    this.dir = dir;
    this.#lock = lock;
  }

  /**
   * Makes the folder if there is none; mounts nothing.
   * @throws NetloomError BPFFS_UNUSABLE: nothing can be pinned there; AGENT_PINS_IN_USE
   */
  static open(dir: string): PinFolder {
    makeFolder(dir);
    try {
      accessSync(dir, constants.R_OK | constants.W_OK | constants.X_OK);
    } catch (error) {
      throw unusable(dir, messageOf(error));
    }
    const lock = lockDirectory(dir);
    if (lock === undefined) {
      throw new NetloomError('AGENT_PINS_IN_USE', 'another agent has these pins', { place: dir });
    }
    const folder = new PinFolder(dir, lock);
    const foreign = folder.#entries().filter((name) => !isOurs(name));
    if (foreign.length > 0 && folder.#identity() === undefined) {
      folder.close();
      throw unusable(dir, `pins of something else: ${foreign.slice(0, 3).join(', ')}`);
    }
    return folder;
  }

  get linkPath(): string {
    return join(this.dir, LINK);
  }

  /** Whether a program is attached, though no agent runs. */
  get isAttached(): boolean {
    return existsSync(this.linkPath);
  }

  /** `none`: nothing is pinned. `other`: by another layout or other sizes, or not completely. */
  compare(abi: Uint8Array): 'none' | 'same' | 'other' {
    const entries = this.#entries();
    if (entries.length === 0) return 'none';
    const whole = PINNED_MAPS.every((name) => entries.includes(name));
    const found = this.#identity()?.subarray(IDENTITY.fields.abi.offset);
    return whole && found !== undefined && Buffer.compare(found, abi) === 0 ? 'same' : 'other';
  }

  /** Removes the link and the maps with all they counted. */
  clear(): void {
    const entries = this.#entries();
    // Links first: a program that counts into maps that nobody reads would be work for nothing.
    for (const name of [...entries].sort((a, b) => Number(isLink(b)) - Number(isLink(a)))) {
      try {
        unlinkSync(join(this.dir, name));
      } catch (error) {
        throw new NetloomError('BPF_PIN_FAILED', `a pin cannot be removed: ${messageOf(error)}`, {
          place: join(this.dir, name),
          remedy: 'Remove it as root (rm); nothing else keeps it.',
          cause: error,
        });
      }
    }
  }

  /** Whether the folder went; one that no agent made, or on which a bpffs is mounted, stays. */
  remove(): boolean {
    return removeOwnFolder(this.dir);
  }

  /** Gives the lock back; pins stay. Idempotent. */
  close(): void {
    this.#lock.close();
  }

  #entries(): string[] {
    return readdirSync(this.dir).filter((name) => name !== NEIGHBOUR);
  }

  /** The value of the pinned map `identity`; undefined: there is none, or it is no such map. */
  #identity(): Uint8Array | undefined {
    try {
      const map = openPinnedMap(join(this.dir, 'identity'));
      try {
        return map.keySize === 4 && map.valueSize === IDENTITY.size ? map.lookup(new Uint8Array(4)) : undefined;
      } finally {
        map.close();
      }
    } catch {
      return undefined;
    }
  }
}

/** What pinned maps must have in common with this agent to be taken up: 16 bytes. Programs are not part of it. */
export function abiOf(sizes: Readonly<Record<string, number>>): Uint8Array {
  const text = JSON.stringify({ abi: ABI, layouts: LAYOUTS, maps: PINNED_MAPS, sizes });
  return new Uint8Array(createHash('sha256').update(text).digest().subarray(0, IDENTITY.fields.abi.size));
}

function isLink(name: string): boolean {
  return name === LINK || name === NEXT_LINK;
}

function isOurs(name: string): boolean {
  return isLink(name) || (PINNED_MAPS as readonly string[]).includes(name);
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
  return new NetloomError('BPFFS_UNUSABLE', 'nothing can be pinned there', {
    place: dir,
    expected: 'a folder of its own on a bpffs, which this user may change',
    found,
    remedy: 'Mount a bpffs on the host (mount -t bpf bpf /sys/fs/bpf), or name another folder with --pins.',
  });
}
