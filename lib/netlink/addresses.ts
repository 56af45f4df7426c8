import { formatAddress } from '../ip.ts';
import { Attributes, s32Attribute } from './attributes.ts';
import { fixedPart, type Message } from './message.ts';
import type { NetlinkSocket } from './socket.ts';
import type { Family, InterfaceAddress } from './types.ts';

const RTM_NEWADDR = 20;
const RTM_GETADDR = 22;
const IFADDRMSG_SIZE = 8;

const AF_INET = 2;
const AF_INET6 = 10;

/** linux/if_addr.h. */
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_TARGET_NETNSID = 10;

/**
 * All IPv4 and IPv6 addresses of the socket's namespace, or of another one.
 * @param netnsid its id, as `Link.linkNetnsid` names it; needs CAP_NET_ADMIN over that namespace (pods with user
 *   namespaces of their own are included: theirs are children of the node's)
 * @throws as NetlinkSocket.dump; NETLINK_REFUSED with EINVAL if that namespace is gone
 */
export function dumpAddresses(socket: NetlinkSocket, netnsid?: number): InterfaceAddress[] {
  const what = netnsid === undefined ? 'listing addresses' : `listing addresses of namespace ${netnsid}`;
  const target = netnsid === undefined ? [] : [s32Attribute(IFA_TARGET_NETNSID, netnsid)];
  // Family by family: a dump of all families does not tell of a refusal by one of them.
  return [AF_INET, AF_INET6].flatMap((family) => {
    const header = Buffer.alloc(IFADDRMSG_SIZE);
    header.writeUInt8(family, 0);
    return socket.dump(what, RTM_GETADDR, Buffer.concat([header, ...target]), parseAddressMessage);
  });
}

/**
 * RTM_NEWADDR; undefined: another message or family. Pure.
 * @throws NetloomError NETLINK_MALFORMED
 */
export function parseAddressMessage(message: Message): InterfaceAddress | undefined {
  if (message.type !== RTM_NEWADDR) return undefined;
  const body = fixedPart(message, IFADDRMSG_SIZE, 'an address');
  const family = familyOf(body.readUInt8(0));
  if (family === undefined) return undefined;
  const attributes = new Attributes(body.subarray(IFADDRMSG_SIZE));
  // Of a point-to-point device IFA_ADDRESS is the other end.
  const address = addressText(family, attributes.bytes(IFA_LOCAL) ?? attributes.bytes(IFA_ADDRESS));
  if (address === undefined) return undefined;
  return {
    ifindex: body.readUInt32LE(4),
    family,
    address,
    prefixLength: body.readUInt8(1),
    scope: body.readUInt8(3),
  };
}

/** AF_* -> 4, 6; undefined: neither. */
export function familyOf(af: number): Family | undefined {
  return af === AF_INET ? 4 : af === AF_INET6 ? 6 : undefined;
}

export function afOf(family: Family): number {
  return family === 4 ? AF_INET : AF_INET6;
}

/** Undefined where the bytes are not of the family's length. */
export function addressText(family: Family, bytes: Uint8Array | undefined): string | undefined {
  if (bytes?.length !== (family === 4 ? 4 : 16)) return undefined;
  if (family === 6) return formatAddress(bytes);
  return bytes.join('.');
}
