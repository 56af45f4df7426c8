import { addressText, afOf, familyOf } from './addresses.ts';
import { Attributes } from './attributes.ts';
import { fixedPart, type Message } from './message.ts';
import type { NetlinkSocket } from './socket.ts';
import type { Family, Route } from './types.ts';

const RTM_NEWROUTE = 24;
const RTM_GETROUTE = 26;
const RTMSG_SIZE = 12;
const RTNEXTHOP_SIZE = 8;

/** linux/rtnetlink.h. */
const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PRIORITY = 6;
const RTA_MULTIPATH = 9;
const RTA_TABLE = 15;
/** A gateway of the other family (IPv4 by IPv6). */
const RTA_VIA = 18;

/** A copy that IPv6 made for one destination (path MTU, redirect), not a route that somebody set. */
const RTM_F_CLONED = 0x200;

export const TABLE_LOCAL = 255;
export const ROUTE_UNICAST = 1;

/**
 * Routes of all tables of the socket's namespace.
 * @param beginKeeping gives the function that is asked for each route whether it is kept, so that a full Internet table
 *   is not held in memory; called again where the list has to be begun anew
 * @throws as NetlinkSocket.dump
 */
export function dumpRoutes(
  socket: NetlinkSocket,
  family: Family,
  beginKeeping: () => (route: Route) => boolean = () => () => true,
): Route[] {
  const header = Buffer.alloc(RTMSG_SIZE);
  header.writeUInt8(afOf(family), 0);
  let keep = beginKeeping();
  let reading = 0;
  return socket.dump(`listing IPv${family} routes`, RTM_GETROUTE, header, (message, attempt) => {
    if (attempt !== reading) {
      reading = attempt;
      keep = beginKeeping();
    }
    const route = parseRoute(message);
    return route !== undefined && keep(route) ? route : undefined;
  });
}

/**
 * RTM_NEWROUTE; undefined: another message or family. Nexthop objects come resolved, unless the sysctl
 * net.ipv4.nexthop_compat_mode is 0: then the route has no devices. Pure.
 * @throws NetloomError NETLINK_MALFORMED
 */
export function parseRoute(message: Message): Route | undefined {
  if (message.type !== RTM_NEWROUTE) return undefined;
  const body = fixedPart(message, RTMSG_SIZE, 'a route');
  const family = familyOf(body.readUInt8(0));
  if (family === undefined || (body.readUInt32LE(8) & RTM_F_CLONED) !== 0) return undefined;
  const attributes = new Attributes(body.subarray(RTMSG_SIZE));
  const oif = attributes.u32(RTA_OIF);
  const hops = nextHops(attributes.bytes(RTA_MULTIPATH));
  return {
    family,
    destination: addressText(family, attributes.bytes(RTA_DST)) ?? (family === 4 ? '0.0.0.0' : '::'),
    prefixLength: body.readUInt8(1),
    // The header's field has one byte; larger numbers stand in the attribute only.
    table: attributes.u32(RTA_TABLE) ?? body.readUInt8(4),
    type: body.readUInt8(7),
    priority: attributes.u32(RTA_PRIORITY) ?? 0,
    viaGateway: hasGateway(attributes) || hops.some((hop) => hop.viaGateway),
    ifindexes: [...new Set([...(oif === undefined ? [] : [oif]), ...hops.map((hop) => hop.ifindex)])],
  };
}

function hasGateway(attributes: Attributes): boolean {
  return attributes.has(RTA_GATEWAY) || attributes.has(RTA_VIA);
}

/** An array of struct rtnexthop, each with attributes of its own. */
function nextHops(bytes: Buffer | undefined): { ifindex: number; viaGateway: boolean }[] {
  const found: { ifindex: number; viaGateway: boolean }[] = [];
  for (let at = 0; bytes !== undefined && at + RTNEXTHOP_SIZE <= bytes.length;) {
    const length = bytes.readUInt16LE(at);
    if (length < RTNEXTHOP_SIZE) break;
    const attributes = new Attributes(bytes.subarray(at + RTNEXTHOP_SIZE, at + length));
    found.push({ ifindex: bytes.readInt32LE(at + 4), viaGateway: hasGateway(attributes) });
    at += (length + 3) & ~3;
  }
  return found;
}
