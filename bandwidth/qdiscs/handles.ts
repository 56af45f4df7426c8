import { TC_CLSACT_PARENT, TC_ROOT, formatTcHandle, tcHandle } from '../../lib/netlink/tc-message.ts';
import type { DeviceState } from './types.ts';

/** "NL": the major of our qdiscs, by which a restarted agent finds them. Pure. */
export const MAJOR = 0x4e4c;
export const ROOT_HANDLE = tcHandle(MAJOR);

type FoundQdisc = DeviceState['qdiscs'][number];

/** Handle of our leaf for queue 1, 2, ... of a multi-queue device: a major of its own for each. */
export function leafHandle(queue: number): number {
  return tcHandle(MAJOR + queue);
}

/** Who made the root: the kernel by itself (handle 0, or none yet), we, or somebody else. */
export type Root =
  | { readonly owner: 'kernel'; readonly multiQueue: boolean }
  | { readonly owner: 'us'; readonly qdisc: FoundQdisc }
  | { readonly owner: 'other'; readonly qdisc: FoundQdisc }
  | { readonly owner: 'nobody' };

export function rootOf(device: DeviceState): Root {
  const root = device.qdiscs.find((qdisc) => qdisc.parent === TC_ROOT);
  // Built-in qdiscs (noop) are not listed. Where the root alone is not listed, it was deleted a moment ago.
  if (root === undefined) return device.qdisc === 'noop' ? { owner: 'nobody' } : { owner: 'kernel', multiQueue: false };
  if (root.handle === 0) return { owner: 'kernel', multiQueue: root.kind === 'mq' };
  return { owner: isOurRoot(root) ? 'us' : 'other', qdisc: root };
}

/** By handle and by what we never make otherwise: somebody may have chosen the same handle. */
function isOurRoot({ handle, options }: FoundQdisc): boolean {
  if (handle !== ROOT_HANDLE) return false;
  switch (options.kind) {
    case 'fq':
      return options.orphanMask === 65_535;
    case 'htb':
      return options.defaultMinor === 0;
    case 'mq':
      return true;
    default:
      return false;
  }
}

export interface Leaf {
  /** 1, 2, ... */
  readonly queue: number;
  readonly owner: 'kernel' | 'us' | 'other';
  readonly qdisc: FoundQdisc;
}

/** The queues of a multi-queue root: those in use only, for the kernel lists no others. */
export function leavesOf(device: DeviceState, rootHandle: number): Leaf[] {
  return device.qdiscs
    .filter(({ parent }) => parent !== TC_ROOT && parent !== TC_CLSACT_PARENT && parent >>> 16 === rootHandle >>> 16)
    .map((qdisc): Leaf => {
      const queue = qdisc.parent & 0xffff;
      const us = qdisc.handle === leafHandle(queue) && qdisc.options.kind === 'fq';
      return { queue, owner: qdisc.handle === 0 ? 'kernel' : us ? 'us' : 'other', qdisc };
    })
    .sort((a, b) => a.queue - b.queue);
}

/** "tbf 8001: at root". */
export function describeQdisc({ kind, handle, parent }: FoundQdisc): string {
  return `${kind} ${formatTcHandle(handle)} at ${formatTcHandle(parent)}`;
}

/** Whether packets that pass a root honour their departure times: it is fq, or has fq on each of its queues. */
export function pacesAll(device: DeviceState, root: FoundQdisc): boolean {
  if (root.kind !== 'mq') return root.kind === 'fq';
  const leaves = leavesOf(device, root.handle);
  return leaves.length > 0 && leaves.every((leaf) => leaf.qdisc.kind === 'fq');
}
