import { EINVAL, EPERM } from '../../lib/bpf/errno.ts';
import {
  NetlinkError,
  ROUTE_UNICAST,
  TABLE_LOCAL,
  dumpAddresses,
  dumpForwarding,
  dumpLinks,
  dumpNeighbours,
  dumpRoutes,
  type Link,
  type NetlinkSocket,
  type Route,
} from '../../lib/netlink/index.ts';
import type { NamespaceAddresses, NodeNetwork } from './types.ts';

/**
 * The node's network as `findPodInterfaces` wants it. Namespaces of pods are reached through the ids of the peers of
 * the node's own devices, so neither /proc nor the PID namespace of the node is needed, nor CAP_SYS_ADMIN to enter
 * them: CAP_NET_ADMIN in the node's network namespace is enough, also for pods with user namespaces of their own.
 *
 * Ids may be given anew as soon as a namespace is gone. Devices are therefore read before and after: one that is there
 * both times with the same peer kept its namespace, and with it the id, for all the time between. Others are left out;
 * the next reading has them.
 * @throws NetlinkError NETLINK_REFUSED, NETLINK_NOT_PERMITTED;
 *   NetloomError NETLINK_INCONSISTENT, NETLINK_FAILED, NETLINK_MALFORMED
 */
export function readNodeNetwork(socket: NetlinkSocket): NodeNetwork {
  const before = dumpLinks(socket);
  const namespaces = new Map<number, NamespaceAddresses>();
  for (const { kind, linkNetnsid } of before) {
    if ((kind !== 'veth' && kind !== 'netkit') || linkNetnsid === undefined || linkNetnsid < 0) continue;
    if (namespaces.has(linkNetnsid)) continue;
    const found = lookInto(socket, linkNetnsid);
    if (found !== undefined) namespaces.set(linkNetnsid, found);
  }
  const routes = ([4, 6] as const).flatMap((family) => dumpRoutes(socket, family, beginKeepingRoutes));
  const neighbours = ([4, 6] as const).flatMap((family) => dumpNeighbours(socket, family));
  const forwarding = dumpForwarding(socket);
  const links = unchanged(before, dumpLinks(socket));
  return { links, namespaces, routes, neighbours, forwarding };
}

function lookInto(socket: NetlinkSocket, netnsid: number): NamespaceAddresses | undefined {
  try {
    return { addresses: dumpAddresses(socket, netnsid) };
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error;
    // Gone since the devices were listed.
    if (error.refusal.errno === EINVAL) return undefined;
    if (error.refusal.errno === EPERM) return { unreadable: 'CAP_NET_ADMIN over them is missing' };
    throw error;
  }
}

/**
 * Routes to single pods, default routes, and of the others one for each device: it shows that something lies behind it.
 * An Internet table of a million prefixes is not kept.
 */
function beginKeepingRoutes(): (route: Route) => boolean {
  const seen = new Set<string>();
  return ({ type, table, family, prefixLength, viaGateway, ifindexes }) => {
    if (type !== ROUTE_UNICAST || table === TABLE_LOCAL) return false;
    const direct = !viaGateway && prefixLength === (family === 4 ? 32 : 128);
    if (direct || prefixLength === 0) return true;
    const devices = `${viaGateway} ${ifindexes.join()}`;
    if (seen.has(devices)) return false;
    seen.add(devices);
    return true;
  };
}

/** Devices that are in both lists with the same peer and master. */
function unchanged(before: readonly Link[], after: readonly Link[]): Link[] {
  const earlier = new Map(before.map((link) => [link.ifindex, link]));
  return after.filter(({ ifindex, name, kind, link, linkNetnsid }) => {
    const known = earlier.get(ifindex);
    return (
      known !== undefined &&
      known.name === name &&
      known.kind === kind &&
      known.link === link &&
      known.linkNetnsid === linkNetnsid
    );
  });
}
