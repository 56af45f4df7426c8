import { existsSync } from 'node:fs';
import { PinnedTcLink, chainPrograms, openPinnedMap, removeClsactFilter, removeEmptyClsact } from '../lib/bpf/index.ts';
import { NetloomError } from '../lib/errors.ts';
import { dumpLinks, withNetlink, type NetlinkSocket } from '../lib/netlink/index.ts';
import { findOurFilters } from './kernel/filters.ts';
import { DIRECTION } from './kernel/hooks.ts';
import { LimitPins } from './kernel/pins.ts';
import { detachQdiscs } from './qdiscs/apply.ts';
import { decodeInterface } from './slot-config.ts';

/** What was taken away. */
export interface Detached {
  readonly programs: number;
  readonly qdiscs: number;
  /** Interfaces at which programs of limits still run, pinned in another folder: their qdiscs were left alone. */
  readonly elsewhere: number;
}

/**
 * Removes all that limits left in the kernel: links, filters, qdiscs, classes, maps and their folder. What others have
 * there stays, and so do limits of another agent. Filters and qdiscs are found on the devices themselves, so it also works
 * when the pins are lost.
 * @throws NetloomError AGENT_PINS_IN_USE, BPFFS_UNUSABLE, BPF_PIN_FAILED, NETLINK_NOT_PERMITTED, ...
 */
export async function detachLimits(dir: string): Promise<Detached> {
  const pins = existsSync(dir) ? LimitPins.open(dir) : undefined;
  try {
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
    const { qdiscs, elsewhere } = withNetlink((socket) => {
      const links = dumpLinks(socket);
      // Who may not look has attached nothing.
      if (pins === undefined && !mayList(links)) return { qdiscs: 0, elsewhere: 0 };
      const others = links.filter(({ ifindex }) => hasOurProgram(ifindex)).length;
      if (others > 0) return { qdiscs: 0, elsewhere: others };
      programs += removeFilters(socket, made);
      return { qdiscs: detachQdiscs(socket).operations, elsewhere: 0 };
    });
    pins?.remove();
    return { programs, qdiscs, elsewhere };
  } finally {
    pins?.close();
  }
}

const OUR_PROGRAMS: ReadonlySet<string> = new Set(Object.keys(DIRECTION));

/** false: without CAP_NET_ADMIN, as an agent that only measures. */
function mayList(links: readonly { readonly ifindex: number }[]): boolean {
  try {
    for (const { ifindex } of links.slice(0, 1)) chainPrograms(ifindex, 'ingress');
    return true;
  } catch (error) {
    if (error instanceof NetloomError && error.code === 'BPF_NOT_PERMITTED') return false;
    throw error;
  }
}

function hasOurProgram(ifindex: number): boolean {
  return (['ingress', 'egress'] as const).some((point) =>
    (chainPrograms(ifindex, point) ?? []).some(({ name = '' }) => OUR_PROGRAMS.has(name)),
  );
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
