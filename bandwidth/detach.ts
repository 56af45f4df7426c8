import { existsSync } from 'node:fs';
import { PinnedTcLink, openPinnedMap, removeClsactFilter, removeEmptyClsact } from '../lib/bpf/index.ts';
import { NetloomError } from '../lib/errors.ts';
import { withNetlink, type NetlinkSocket } from '../lib/netlink/index.ts';
import { lookElsewhere, type Elsewhere } from './kernel/elsewhere.ts';
import { findOurFilters } from './kernel/filters.ts';
import { DIRECTION } from './kernel/hooks.ts';
import { lockNode } from './kernel/node-lock.ts';
import { LimitPins } from './kernel/pins.ts';
import { mayLook } from './kernel/tcx.ts';
import { detachQdiscs } from './qdiscs/apply.ts';
import { decodeInterface } from './slot-config.ts';

/** What was taken away. */
export interface Detached {
  readonly programs: number;
  readonly qdiscs: number;
  /** Limits that another folder has, or an agent that runs: qdiscs were left alone. */
  readonly elsewhere: Elsewhere | undefined;
  /** What that agent tells of itself. */
  readonly running: string | undefined;
  /** This process may not look for limits: nothing is known of them. */
  readonly isBlind: boolean;
}

/**
 * Removes all that limits left in the kernel: links, filters, qdiscs, classes, maps and their folder. What others have
 * there stays, and so do limits of another agent. Filters and qdiscs are found on the devices themselves, so it also works
 * when the pins are lost.
 * @throws NetloomError AGENT_PINS_IN_USE, AGENT_OTHER_NAMESPACE, BPFFS_UNUSABLE, BPF_PIN_FAILED, NETLINK_NOT_PERMITTED, ...
 */
export async function detachLimits(dir: string): Promise<Detached> {
  const pins = existsSync(dir) ? LimitPins.open(dir) : undefined;
  let lock: { close(): void } | undefined;
  let running: string | undefined;
  try {
    try {
      lock = await lockNode(dir);
    } catch (error) {
      if (!(error instanceof NetloomError)) throw error;
      running = error.details.found;
    }
    let programs = 0;
    const made = new Set<number>();
    if (pins !== undefined) {
      for (const maps of pins.mapsDirs()) for (const ifindex of await devicesWithClsact(maps)) made.add(ifindex);
      for (const { path } of pins.links()) {
        // Waits until it is gone, which the kernel would else do in the background.
        new PinnedTcLink(path).remove();
        programs++;
      }
    }
    // Who may not look has attached nothing.
    const isOwn = pins !== undefined || mayLook();
    const elsewhere = isOwn ? await lookElsewhere(dir) : undefined;
    const qdiscs =
      !isOwn || elsewhere !== undefined || running !== undefined
        ? 0
        : withNetlink((socket) => {
            programs += removeFilters(socket, made);
            return detachQdiscs(socket).operations;
          });
    pins?.remove();
    return { programs, qdiscs, elsewhere, running, isBlind: !isOwn };
  } finally {
    lock?.close();
    pins?.close();
  }
}

function removeFilters(socket: NetlinkSocket, made: ReadonlySet<number>): number {
  const ours = findOurFilters(socket);
  for (const { ifindex, role } of ours) removeClsactFilter(ifindex, DIRECTION[role]);
  // It stays where somebody else has a filter.
  for (const ifindex of made) removeEmptyClsact(ifindex);
  return ours.length;
}

/** Whose clsact qdisc was made for us, as the maps tell. */
async function devicesWithClsact(mapsDir: string): Promise<number[]> {
  const path = `${mapsDir}/limit_interfaces`;
  if (!existsSync(path)) return [];
  const map = openPinnedMap(path);
  const found: number[] = [];
  try {
    await map.readAll((keys, values, count) => {
      for (let i = 0; i < count; i++) {
        const value = new Uint8Array(values.buffer, values.byteOffset + i * map.valueStride, map.valueSize);
        if (decodeInterface(value).madeClsact) found.push(keys.getUint32(4 * i, true));
      }
    });
  } finally {
    map.close();
  }
  return found;
}
