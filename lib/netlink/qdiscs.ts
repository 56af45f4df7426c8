import { ENODEV, ENOENT, EEXIST, EINVAL } from '../bpf/errno.ts';
import { Attributes } from './attributes.ts';
import { NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, type Message } from './message.ts';
import { NetlinkError } from './netlink-error.ts';
import { decodeOptions, encodeQdisc, type QdiscOptions, type QdiscSettings } from './qdisc-options.ts';
import type { NetlinkSocket } from './socket.ts';
import {
  TCA_KIND,
  TCA_OPTIONS,
  TC_ROOT,
  encodeTcHeader,
  formatTcHandle,
  readTcHeader,
  tcHandle,
} from './tc-message.ts';
import { readFqStats, readTcStats, type FqStats, type TcStats } from './tc-stats.ts';

const RTM_NEWQDISC = 36;
const RTM_DELQDISC = 37;
const RTM_GETQDISC = 38;

/** Where a qdisc hangs. */
export interface QdiscPlace {
  readonly ifindex: number;
  /** TC_ROOT, TC_CLSACT_PARENT, or the class (of mq: the queue) whose leaf it is. */
  readonly parent: number;
  /** 0: the kernel made it by itself. */
  readonly handle: number;
}

export interface Qdisc extends QdiscPlace {
  /** As the kernel calls it: "fq", "pfifo_fast", ... */
  readonly kind: string;
  readonly options: QdiscOptions;
  readonly stats: TcStats;
  readonly fqStats?: FqStats;
}

/**
 * What became of a change. `kind-unknown`: this kernel has no such qdisc and no module of that name could be loaded.
 * `occupied`: somebody's qdisc is there already; it was left alone. `absent`: there is no such device, qdisc or class.
 * All other refusals are thrown.
 */
export type ChangeOutcome =
  | { readonly outcome: 'done' }
  | { readonly outcome: 'kind-unknown'; readonly kind: string; readonly module: string }
  | { readonly outcome: 'occupied'; readonly words: string }
  | { readonly outcome: 'absent'; readonly words: string };

/**
 * Qdiscs of all devices of the socket's namespace (the kernel does not list those of one device). Not among them: those
 * of devices that were never up, and the default leaves of classes.
 * @throws as NetlinkSocket.dump
 */
export function dumpQdiscs(socket: NetlinkSocket): Qdisc[] {
  return socket.dump('listing qdiscs', RTM_GETQDISC, encodeTcHeader({}), parseQdisc);
}

/** RTM_NEWQDISC; undefined: another message. Pure. @throws NetloomError NETLINK_MALFORMED */
export function parseQdisc(message: Message): Qdisc | undefined {
  if (message.type !== RTM_NEWQDISC) return undefined;
  const { ifindex, handle, parent, attributes: bytes } = readTcHeader(message, 'a qdisc');
  const attributes = new Attributes(bytes);
  const kind = attributes.string(TCA_KIND) ?? '';
  const fqStats = kind === 'fq' ? readFqStats(attributes) : undefined;
  return {
    ifindex,
    handle,
    parent,
    kind,
    options: decodeOptions(kind, attributes.bytes(TCA_OPTIONS)),
    stats: readTcStats(attributes),
    ...(fqStats === undefined ? {} : { fqStats }),
  };
}

/** Makes one where there is none but the kernel's default (handle 0); else `occupied`, decided by the kernel itself. */
export function addQdisc(socket: NetlinkSocket, place: QdiscPlace, settings: QdiscSettings): ChangeOutcome {
  return change(socket, 'adding', NLM_F_CREATE | NLM_F_EXCL, place, settings);
}

/** New settings for the one that has this handle; `absent` if another one is there by now. */
export function changeQdisc(socket: NetlinkSocket, place: QdiscPlace, settings: QdiscSettings): ChangeOutcome {
  return change(socket, 'changing', NLM_F_REPLACE, place, settings);
}

/** Whatever is there. Only for places below a qdisc of our own. */
export function replaceQdisc(socket: NetlinkSocket, place: QdiscPlace, settings: QdiscSettings): ChangeOutcome {
  return change(socket, 'replacing by', NLM_F_CREATE | NLM_F_REPLACE, place, settings);
}

/** Takes away the one that has this handle; the kernel puts its default in its place. */
export function deleteQdisc(socket: NetlinkSocket, place: QdiscPlace): ChangeOutcome {
  const what = `deleting qdisc ${formatTcHandle(place.handle)}`;
  return outcomeOf('', place, () => socket.request(what, RTM_DELQDISC, 0, encodeTcHeader(place), placeText(place)));
}

function change(
  socket: NetlinkSocket,
  verb: string,
  flags: number,
  place: QdiscPlace,
  settings: QdiscSettings,
): ChangeOutcome {
  const body = Buffer.concat([encodeTcHeader(place), encodeQdisc(settings)]);
  const what = `${verb} qdisc ${settings.kind} ${formatTcHandle(place.handle)}`;
  return outcomeOf(settings.kind, place, () => socket.request(what, RTM_NEWQDISC, flags, body, placeText(place)));
}

/** Runs a request whose expected refusals are an outcome. */
export function outcomeOf(kind: string, place: QdiscPlace, request: () => unknown): ChangeOutcome {
  try {
    request();
    return { outcome: 'done' };
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error;
    const { errno, words = '' } = error.refusal;
    // qdisc_create() of net/sched/sch_api.c, after request_module() brought nothing; the second form until Linux 6.4.
    if (errno === ENOENT && /kind is unknown|Specified qdisc not found/.test(words)) {
      return { outcome: 'kind-unknown', kind, module: `sch_${kind}` };
    }
    if (errno === EEXIST) return { outcome: 'occupied', words };
    // EINVAL: the root, but not the one with this handle.
    const otherThere = errno === EINVAL && place.handle !== 0 && /Invalid handle|doesn't match|mismatch/i.test(words);
    if (errno === ENODEV || errno === ENOENT || otherThere) return { outcome: 'absent', words };
    throw error;
  }
}

function placeText({ ifindex, parent }: QdiscPlace): string {
  return `device ${ifindex}, ${formatTcHandle(parent)}`;
}

const LOOPBACK = 1;
const PROBE_MAJOR = 0x4e50;

/**
 * Whether this kernel has sch_fq; its module is loaded if need be. Tried on loopback with a quantum of 0, which fq itself
 * refuses (fq_change() of net/sched/sch_fq.c) before anything is changed: a kernel without fq refuses the kind.
 * Needs CAP_NET_ADMIN.
 */
export function kernelHasFq(socket: NetlinkSocket): boolean {
  try {
    const place = { ifindex: LOOPBACK, parent: TC_ROOT, handle: tcHandle(PROBE_MAJOR) };
    return replaceQdisc(socket, place, { kind: 'fq', quantumBytes: 0 }).outcome !== 'kind-unknown';
  } catch (error) {
    if (error instanceof NetlinkError && error.refusal.errno === EINVAL) return true;
    throw error;
  }
}
