import { addressText, afOf, familyOf } from './addresses.ts';
import { Attributes } from './attributes.ts';
import { fixedPart, type Message } from './message.ts';
import type { NetlinkSocket } from './socket.ts';
import type { Family, ForwardingEntry, Neighbour } from './types.ts';

const RTM_NEWNEIGH = 28;
const RTM_GETNEIGH = 30;
const NDMSG_SIZE = 12;
const AF_BRIDGE = 7;

/** linux/neighbour.h. */
const NDA_DST = 1;
const NDA_LLADDR = 2;
const NDA_MASTER = 9;

const NUD_INCOMPLETE = 0x01;
const NUD_FAILED = 0x20;
/** Of a bridge: the port's own address. */
const NUD_PERMANENT = 0x80;

/** IP -> MAC, as the kernel resolved it, without entries that failed. @throws as NetlinkSocket.dump */
export function dumpNeighbours(socket: NetlinkSocket, family: Family): Neighbour[] {
  const header = Buffer.alloc(NDMSG_SIZE);
  header.writeUInt8(afOf(family), 0);
  return socket.dump(`listing IPv${family} neighbours`, RTM_GETNEIGH, header, parseNeighbour);
}

/** MAC -> port of every bridge, as learnt; without the ports' own addresses. @throws as NetlinkSocket.dump */
export function dumpForwarding(socket: NetlinkSocket): ForwardingEntry[] {
  const header = Buffer.alloc(NDMSG_SIZE);
  header.writeUInt8(AF_BRIDGE, 0);
  return socket.dump('listing forwarding tables of bridges', RTM_GETNEIGH, header, parseForwarding);
}

/** Pure. @throws NetloomError NETLINK_MALFORMED */
export function parseNeighbour(message: Message): Neighbour | undefined {
  if (message.type !== RTM_NEWNEIGH) return undefined;
  const body = fixedPart(message, NDMSG_SIZE, 'a neighbour');
  const family = familyOf(body.readUInt8(0));
  if (family === undefined || (body.readUInt16LE(8) & (NUD_INCOMPLETE | NUD_FAILED)) !== 0) return undefined;
  const attributes = new Attributes(body.subarray(NDMSG_SIZE));
  const address = addressText(family, attributes.bytes(NDA_DST));
  const mac = macText(attributes.bytes(NDA_LLADDR));
  if (address === undefined || mac === undefined) return undefined;
  return { ifindex: body.readInt32LE(4), family, address, mac };
}

/** Pure. @throws NetloomError NETLINK_MALFORMED */
export function parseForwarding(message: Message): ForwardingEntry | undefined {
  if (message.type !== RTM_NEWNEIGH) return undefined;
  const body = fixedPart(message, NDMSG_SIZE, 'a forwarding entry');
  if (body.readUInt8(0) !== AF_BRIDGE || (body.readUInt16LE(8) & NUD_PERMANENT) !== 0) return undefined;
  const attributes = new Attributes(body.subarray(NDMSG_SIZE));
  const master = attributes.u32(NDA_MASTER);
  const mac = macText(attributes.bytes(NDA_LLADDR));
  if (master === undefined || mac === undefined) return undefined;
  return { ifindex: body.readInt32LE(4), master, mac };
}

/** "02:00:00:00:00:01"; undefined: there is none. */
export function macText(bytes: Buffer | undefined): string | undefined {
  return bytes === undefined || bytes.length === 0 ? undefined : bytes.toString('hex').replace(/..(?=.)/g, '$&:');
}
