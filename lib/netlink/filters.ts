import { Attributes } from './attributes.ts';
import type { Message } from './message.ts';
import type { NetlinkSocket } from './socket.ts';
import { TCA_CHAIN, TCA_KIND, TCA_OPTIONS, TC_HOOK, encodeTcHeader, readTcHeader } from './tc-message.ts';

const RTM_NEWTFILTER = 44;
const RTM_GETTFILTER = 46;

const TCA_BPF_NAME = 7;
const TCA_BPF_FLAGS = 8;
const TCA_BPF_ID = 11;
const TCA_BPF_FLAG_ACT_DIRECT = 1;

/** A classifier at a clsact (or ingress) hook. */
export interface Filter {
  readonly ifindex: number;
  /** As the kernel calls it: "bpf", "matchall", "u32", "flower", ... */
  readonly kind: string;
  /** The least runs first. */
  readonly priority: number;
  readonly protocol: number;
  readonly chain: number;
  readonly handle: number;
  /** Of kind bpf. */
  readonly bpf?: {
    readonly programId?: number;
    /** What the loader wrote: "FILE:[SECTION]", or the program's name. */
    readonly name?: string;
    /** Its verdict ends the chain; otherwise it is one classifier among others. */
    readonly directAction: boolean;
  };
}

/** Filters of one device and direction, in the order in which they run. @throws as NetlinkSocket.dump */
export function dumpFilters(socket: NetlinkSocket, ifindex: number, direction: keyof typeof TC_HOOK): Filter[] {
  const header = encodeTcHeader({ ifindex, parent: TC_HOOK[direction] });
  return socket.dump(`listing ${direction} filters of device ${ifindex}`, RTM_GETTFILTER, header, parseFilter);
}

/**
 * RTM_NEWTFILTER; undefined: another message, or the empty head of a priority. Pure.
 * @throws NetloomError NETLINK_MALFORMED
 */
export function parseFilter(message: Message): Filter | undefined {
  if (message.type !== RTM_NEWTFILTER) return undefined;
  const { ifindex, handle, info, attributes: bytes } = readTcHeader(message, 'a filter');
  const attributes = new Attributes(bytes);
  if (!attributes.has(TCA_OPTIONS)) return undefined;
  const kind = attributes.string(TCA_KIND) ?? '';
  return {
    ifindex,
    kind,
    handle,
    priority: info >>> 16,
    // In network byte order.
    protocol: ((info & 0xff) << 8) | ((info >> 8) & 0xff),
    chain: attributes.u32(TCA_CHAIN) ?? 0,
    ...(kind === 'bpf' ? { bpf: bpfOf(attributes.nested(TCA_OPTIONS)) } : {}),
  };
}

function bpfOf(options: Attributes): NonNullable<Filter['bpf']> {
  const programId = options.u32(TCA_BPF_ID);
  const name = options.string(TCA_BPF_NAME);
  return {
    directAction: ((options.u32(TCA_BPF_FLAGS) ?? 0) & TCA_BPF_FLAG_ACT_DIRECT) !== 0,
    ...(programId === undefined ? {} : { programId }),
    ...(name === undefined ? {} : { name }),
  };
}
