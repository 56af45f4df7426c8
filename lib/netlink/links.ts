import { Attributes, defined, s32Attribute, stringAttribute } from './attributes.ts';
import { fixedPart, type Message } from './message.ts';
import { macText } from './neighbours.ts';
import type { NetlinkSocket } from './socket.ts';
import type { Link, LinkStats } from './types.ts';

const RTM_NEWLINK = 16;
const RTM_GETLINK = 18;
const IFINFOMSG_SIZE = 16;

/** linux/if_link.h. */
const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_LINK = 5;
const IFLA_QDISC = 6;
const IFLA_MASTER = 10;
const IFLA_TXQLEN = 13;
const IFLA_OPERSTATE = 16;
const IFLA_LINKINFO = 18;
const IFLA_STATS64 = 23;
const IFLA_NUM_TX_QUEUES = 31;
const IFLA_LINK_NETNSID = 37;
const IFLA_GSO_MAX_SIZE = 41;
const IFLA_TARGET_NETNSID = 46;
const IFLA_GRO_MAX_SIZE = 58;
const IFLA_GSO_IPV4_MAX_SIZE = 63;

const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
/** Primary is the side that the kernel made first: on the host, for pods. */
const IFLA_NETKIT_PRIMARY = 2;

const IFF_UP = 0x1;
const IFF_LOOPBACK = 0x8;
const IFF_LOWER_UP = 0x10000;

/**
 * Every device of the socket's namespace, or of another one. As a side effect the kernel gives an id to each namespace
 * in which a peer lies and which had none, as `ip link` does; the ids go with those namespaces, and there is none
 * that we would have to give back.
 * @param netnsid id of another namespace, as `Link.linkNetnsid` names it; needs CAP_NET_ADMIN over it
 * @throws as NetlinkSocket.dump
 */
export function dumpLinks(socket: NetlinkSocket, netnsid?: number): Link[] {
  const target = netnsid === undefined ? [] : [s32Attribute(IFLA_TARGET_NETNSID, netnsid)];
  const body = Buffer.concat([Buffer.alloc(IFINFOMSG_SIZE), ...target]);
  const what = netnsid === undefined ? 'listing devices' : `listing devices of namespace ${netnsid}`;
  return socket.dump(what, RTM_GETLINK, body, parseLink);
}

/**
 * One device by index or name.
 * @throws NetlinkError NETLINK_REFUSED with errno ENODEV if there is none
 */
export function getLink(socket: NetlinkSocket, device: number | string): Link | undefined {
  const header = Buffer.alloc(IFINFOMSG_SIZE);
  if (typeof device === 'number') header.writeInt32LE(device, 4);
  const body = typeof device === 'number' ? header : Buffer.concat([header, stringAttribute(IFLA_IFNAME, device)]);
  const replies = socket.request(`asking for device ${device}`, RTM_GETLINK, 0, body);
  return replies.map(parseLink).find((link) => link !== undefined);
}

/**
 * RTM_NEWLINK of linux/rtnetlink.h; undefined: another message. Pure.
 * @throws NetloomError NETLINK_MALFORMED
 */
export function parseLink(message: Message): Link | undefined {
  if (message.type !== RTM_NEWLINK) return undefined;
  const body = fixedPart(message, IFINFOMSG_SIZE, 'a device');
  // Family-specific messages (AF_BRIDGE, AF_INET6) tell of the same device with other attributes.
  if (body.readUInt8(0) !== 0) return undefined;
  const flags = body.readUInt32LE(8);
  const attributes = new Attributes(body.subarray(IFINFOMSG_SIZE));
  const info = attributes.nested(IFLA_LINKINFO);
  const kind = info.string(IFLA_INFO_KIND);
  return {
    ifindex: body.readInt32LE(4),
    name: attributes.string(IFLA_IFNAME) ?? '',
    up: (flags & IFF_UP) !== 0,
    lowerUp: (flags & IFF_LOWER_UP) !== 0,
    loopback: (flags & IFF_LOOPBACK) !== 0,
    mtu: attributes.u32(IFLA_MTU) ?? 0,
    txQueues: attributes.u32(IFLA_NUM_TX_QUEUES) ?? 1,
    txQueueLength: attributes.u32(IFLA_TXQLEN) ?? 0,
    qdisc: attributes.string(IFLA_QDISC) ?? '',
    gsoMaxBytes: Math.max(attributes.u32(IFLA_GSO_MAX_SIZE) ?? 65536, attributes.u32(IFLA_GSO_IPV4_MAX_SIZE) ?? 0),
    groMaxBytes: attributes.u32(IFLA_GRO_MAX_SIZE) ?? 65536,
    operstate: attributes.u8(IFLA_OPERSTATE) ?? 0,
    ...defined({
      kind,
      mac: macText(attributes.bytes(IFLA_ADDRESS)),
      master: attributes.u32(IFLA_MASTER),
      link: attributes.u32(IFLA_LINK),
      linkNetnsid: attributes.s32(IFLA_LINK_NETNSID),
      netkitPrimary: kind === 'netkit' ? info.nested(IFLA_INFO_DATA).u8(IFLA_NETKIT_PRIMARY) === 1 : undefined,
    }),
    stats: statsOf(attributes),
  };
}

/** struct rtnl_link_stats64. */
function statsOf(attributes: Attributes): LinkStats {
  const bytes = attributes.bytes(IFLA_STATS64);
  const at = (index: number): bigint =>
    bytes !== undefined && bytes.length >= 64 ? bytes.readBigUInt64LE(8 * index) : 0n;
  return {
    rxPackets: at(0),
    txPackets: at(1),
    rxBytes: at(2),
    txBytes: at(3),
    rxDropped: at(6),
    txDropped: at(7),
  };
}
