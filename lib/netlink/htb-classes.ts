import { Attributes, attribute, nestedAttribute, stringAttribute, u64Attribute } from './attributes.ts';
import { NLM_F_CREATE, NLM_F_REPLACE, type Message } from './message.ts';
import { outcomeOf, type ChangeOutcome } from './qdiscs.ts';
import { fitsRate32, readRate, ticksOf, writeRate } from './rate.ts';
import type { NetlinkSocket } from './socket.ts';
import { TCA_KIND, TCA_OPTIONS, encodeTcHeader, formatTcHandle, readTcHeader } from './tc-message.ts';
import { readTcStats, type TcStats } from './tc-stats.ts';

const RTM_NEWTCLASS = 40;
const RTM_DELTCLASS = 41;
const RTM_GETTCLASS = 42;

const TCA_HTB_PARMS = 1;
const TCA_HTB_RATE64 = 6;
const TCA_HTB_CEIL64 = 7;
/** struct tc_htb_opt: rate, ceil, then buffer, cbuffer, quantum, level, prio. */
const PARMS_SIZE = 44;

export interface HtbClassSettings {
  readonly rateBytesPerSecond: bigint;
  /** Up to which it borrows from its parent. */
  readonly ceilBytesPerSecond: bigint;
  readonly burstBytes: number;
  readonly ceilBurstBytes: number;
  /** Bytes that it sends at a turn beside others of its priority. */
  readonly quantumBytes: number;
  /** 0 (first) to 7. */
  readonly priority: number;
}

export interface HtbClassPlace {
  readonly ifindex: number;
  /** Handle of the qdisc, or id of the parent class. */
  readonly parent: number;
  readonly classId: number;
}

export interface HtbClass extends HtbClassPlace {
  readonly settings: HtbClassSettings;
  readonly stats: TcStats;
}

/** HTB classes of one device. @throws as NetlinkSocket.dump */
export function dumpHtbClasses(socket: NetlinkSocket, ifindex: number): HtbClass[] {
  return socket.dump(`listing classes of device ${ifindex}`, RTM_GETTCLASS, encodeTcHeader({ ifindex }), parseHtbClass);
}

/**
 * Makes a class, or gives it new settings. Its leaf is the kernel's pfifo until another one is added. The
 * kernel takes a parent class that is not there for none: make parents first.
 */
export function replaceHtbClass(
  socket: NetlinkSocket,
  place: HtbClassPlace,
  settings: HtbClassSettings,
): ChangeOutcome {
  const body = Buffer.concat([header(place), encodeHtbClass(settings)]);
  const what = `setting class ${formatTcHandle(place.classId)}`;
  return outcome(place, () =>
    socket.request(what, RTM_NEWTCLASS, NLM_F_CREATE | NLM_F_REPLACE, body, `device ${place.ifindex}`),
  );
}

/** Takes away a class without children, with its leaf. */
export function deleteHtbClass(socket: NetlinkSocket, place: HtbClassPlace): ChangeOutcome {
  const what = `deleting class ${formatTcHandle(place.classId)}`;
  return outcome(place, () => socket.request(what, RTM_DELTCLASS, 0, header(place), `device ${place.ifindex}`));
}

export function encodeHtbClass(settings: HtbClassSettings): Buffer {
  const { rateBytesPerSecond: rate, ceilBytesPerSecond: ceil } = settings;
  const parms = Buffer.alloc(PARMS_SIZE);
  writeRate(parms, 0, rate);
  writeRate(parms, 12, ceil);
  parms.writeUInt32LE(ticksOf(settings.burstBytes, rate), 24);
  parms.writeUInt32LE(ticksOf(settings.ceilBurstBytes, ceil), 28);
  parms.writeUInt32LE(settings.quantumBytes, 32);
  parms.writeUInt32LE(settings.priority, 40);
  return Buffer.concat([
    stringAttribute(TCA_KIND, 'htb'),
    nestedAttribute(
      TCA_OPTIONS,
      ...(fitsRate32(rate) ? [] : [u64Attribute(TCA_HTB_RATE64, rate)]),
      ...(fitsRate32(ceil) ? [] : [u64Attribute(TCA_HTB_CEIL64, ceil)]),
      attribute(TCA_HTB_PARMS, parms),
    ),
  ]);
}

/** RTM_NEWTCLASS of an HTB; undefined: another message or kind. Pure. @throws NetloomError NETLINK_MALFORMED */
export function parseHtbClass(message: Message): HtbClass | undefined {
  if (message.type !== RTM_NEWTCLASS) return undefined;
  const { ifindex, handle, parent, attributes: bytes } = readTcHeader(message, 'a class');
  const attributes = new Attributes(bytes);
  const options = attributes.nested(TCA_OPTIONS);
  const parms = options.bytes(TCA_HTB_PARMS);
  if (attributes.string(TCA_KIND) !== 'htb' || parms === undefined || parms.length < PARMS_SIZE) return undefined;
  const rate = readRate(parms, 0, options.u64(TCA_HTB_RATE64));
  const ceil = readRate(parms, 12, options.u64(TCA_HTB_CEIL64));
  return {
    ifindex,
    classId: handle,
    parent,
    settings: {
      rateBytesPerSecond: rate.bytesPerSecond,
      ceilBytesPerSecond: ceil.bytesPerSecond,
      burstBytes: rate.bytesInTicks(parms.readUInt32LE(24)),
      ceilBurstBytes: ceil.bytesInTicks(parms.readUInt32LE(28)),
      quantumBytes: parms.readUInt32LE(32),
      priority: parms.readUInt32LE(40),
    },
    stats: readTcStats(attributes),
  };
}

function header({ ifindex, parent, classId }: HtbClassPlace): Buffer {
  return encodeTcHeader({ ifindex, parent, handle: classId });
}

function outcome({ ifindex, parent, classId }: HtbClassPlace, request: () => unknown): ChangeOutcome {
  return outcomeOf('htb', { ifindex, parent, handle: classId }, request);
}
