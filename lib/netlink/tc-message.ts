import { fixedPart, type Message } from './message.ts';

/** struct tcmsg, which begins every message about qdiscs, classes and filters, and the names of places in the tree. Pure. */

export const TCMSG_SIZE = 20;

/** linux/rtnetlink.h, enum of TCA_*. */
export const TCA_KIND = 1;
export const TCA_OPTIONS = 2;
export const TCA_STATS2 = 7;
export const TCA_CHAIN = 11;

/** Parent of a device's root qdisc. */
export const TC_ROOT = 0xffffffff;
/** Parent and handle of a device's clsact (or ingress) qdisc. */
export const TC_CLSACT_PARENT = 0xfffffff1;
export const TC_CLSACT_HANDLE = 0xffff0000;
/** Parents of filters there. */
export const TC_HOOK = { ingress: 0xfffffff2, egress: 0xfffffff3 } as const;

export interface TcHeader {
  readonly ifindex: number;
  /** 0: the kernel chooses, or did so without being asked. */
  readonly handle: number;
  readonly parent: number;
  /** Filters: priority << 16 | protocol. Classes: handle of the leaf qdisc. */
  readonly info: number;
}

export function encodeTcHeader({ ifindex, handle = 0, parent = 0, info = 0 }: Partial<TcHeader>): Buffer {
  const bytes = Buffer.alloc(TCMSG_SIZE);
  bytes.writeInt32LE(ifindex ?? 0, 4);
  bytes.writeUInt32LE(handle, 8);
  bytes.writeUInt32LE(parent, 12);
  bytes.writeUInt32LE(info, 16);
  return bytes;
}

export function readTcHeader(message: Message, what: string): TcHeader & { readonly attributes: Buffer } {
  const body = fixedPart(message, TCMSG_SIZE, what);
  return {
    ifindex: body.readInt32LE(4),
    handle: body.readUInt32LE(8),
    parent: body.readUInt32LE(12),
    info: body.readUInt32LE(16),
    attributes: body.subarray(TCMSG_SIZE),
  };
}

/** Handle of a qdisc or id of a class, as `tc` writes it: (0x4e4c, 1) is "4e4c:1". */
export function tcHandle(major: number, minor = 0): number {
  return major * 0x10000 + minor;
}

/** "root", "4e4c:", "4e4c:1". */
export function formatTcHandle(handle: number): string {
  if (handle === TC_ROOT) return 'root';
  const minor = handle & 0xffff;
  return `${(handle >>> 16).toString(16)}:${minor === 0 ? '' : minor.toString(16)}`;
}
