import type { Link, Route } from '../../lib/netlink/types.ts';
import type { Uplink } from './types.ts';

/** Devices of these kinds wrap packets that then leave through another device. */
const TUNNELS = new Set([
  'vxlan',
  'geneve',
  'wireguard',
  'ipip',
  'ip6tnl',
  'sit',
  'gre',
  'gretap',
  'ip6gre',
  'ip6gretap',
  'erspan',
  'vti',
  'vti6',
  'xfrm',
  'tun',
  'amneziawg',
]);
const STANDS_ON_LINK = new Set(['vlan', 'macvlan', 'macvtap', 'ipvlan', 'ipvtap', 'macsec']);
const HAS_PORTS = new Set(['bond', 'team', 'bridge']);
/** Made of devices that lead off the node, whatever those are. */
const AGGREGATES = new Set(['bond', 'team']);
/** Ports of a bridge that lead to guests on this node, not off it. */
const GUESTS = new Set(['veth', 'netkit', 'tun', 'ifb', 'dummy']);

const MAIN_TABLE = 254;

/**
 * The devices through which traffic leaves the node: those of default routes (of any table: AWS and policy routing have
 * one for each network), those of routes by a gateway, and those of any other route that ends at hardware or virtio, a
 * bond, or a VLAN on one of all these (a second network for the cluster has no default route). Never loopback, a bridge of pods only, or a device of a pod; a tunnel
 * only if it has a default route, since its packets leave through another uplink.
 *
 * The collector names the devices of default routes of the main table only (collector/node/uplinks.ts): it measures
 * what leaves for the world, and counts nothing twice.
 *
 * Pure.
 * @param ofPods ifindexes of devices that are a pod's: a default route of a table of its own through a gateway pod does
 *   not make it an uplink
 */
export function findUplinks(links: readonly Link[], routes: readonly Route[], ofPods: ReadonlySet<number>): Uplink[] {
  const byIndex = new Map(links.map((link) => [link.ifindex, link]));
  const defaults = new Set<number>();
  const routed = new Set<number>();
  const gateways = new Set<number>();
  for (const route of routes) {
    for (const ifindex of route.ifindexes) {
      const isDefault = route.prefixLength === 0;
      if (isDefault && (route.table === MAIN_TABLE || !ofPods.has(ifindex))) defaults.add(ifindex);
      routed.add(ifindex);
      if (route.viaGateway) gateways.add(ifindex);
    }
  }
  const leadsOff = (device: Link): boolean =>
    isHardware(device) || AGGREGATES.has(device.kind ?? '') || defaults.has(device.ifindex);
  const uplinks: Uplink[] = [];
  for (const ifindex of [...routed].sort((a, b) => a - b)) {
    const link = byIndex.get(ifindex);
    if (link === undefined || link.loopback) continue;
    const isDefault = defaults.has(ifindex);
    if (!isDefault && (ofPods.has(ifindex) || isTunnel(link))) continue;
    const queueing = queueingDevices(link, links);
    const isOff = isDefault || gateways.has(ifindex) || AGGREGATES.has(link.kind ?? '') || queueing.some(leadsOff);
    if (isOff) uplinks.push({ ifindex, name: link.name, isDefault, queueing });
  }
  return uplinks;
}

/**
 * The devices that somebody names as uplinks, of whatever kind: it is he who knows that traffic leaves there. A bridge
 * also queues itself what is routed to it: its ports may lead anywhere.
 *
 * Pure.
 * @returns warnings: a sentence for each that cannot be one
 */
export function namedUplinks(
  names: readonly string[],
  links: readonly Link[],
  routes: readonly Route[],
  ofPods: ReadonlySet<number>,
): { readonly uplinks: readonly Uplink[]; readonly warnings: readonly string[] } {
  const defaults = new Set(routes.filter(({ prefixLength }) => prefixLength === 0).flatMap((route) => route.ifindexes));
  const uplinks: Uplink[] = [];
  const warnings: string[] = [];
  for (const name of new Set(names)) {
    const link = links.find((candidate) => candidate.name === name);
    if (link === undefined) {
      warnings.push(`--uplink ${name}: there is no such device`);
    } else if (link.loopback) {
      warnings.push(`--uplink ${name}: nothing leaves the node through loopback`);
    } else if (ofPods.has(link.ifindex)) {
      warnings.push(`--uplink ${name}: it is a pod's`);
    } else {
      const below = queueingDevices(link, links);
      const queueing = link.kind === 'bridge' && !below.includes(link) ? [link, ...below] : below;
      uplinks.push({ ifindex: link.ifindex, name, isDefault: defaults.has(link.ifindex), queueing });
    }
  }
  return { uplinks: uplinks.sort((a, b) => a.ifindex - b.ifindex), warnings };
}

/** Devices with a default route of the main table: never a pod's, even if they are a veth (a node in a container). */
export function mainDefaultDevices(routes: readonly Route[]): ReadonlySet<number> {
  const defaults = routes.filter((route) => route.prefixLength === 0 && route.table === MAIN_TABLE);
  return new Set(defaults.flatMap((route) => route.ifindexes));
}

/**
 * Where packets that are sent to a device wait: bonds, VLANs, bridges and macvlans pass them on at once (they have no
 * queue of their own by default), and a departure time stays on the packet. Pure.
 */
export function queueingDevices(link: Link, links: readonly Link[]): Link[] {
  const found = new Map<number, Link>();
  const seen = new Set<number>();
  const descend = (at: Link): void => {
    if (seen.has(at.ifindex)) return;
    seen.add(at.ifindex);
    const below = devicesBelow(at, links);
    if (below.length === 0) found.set(at.ifindex, at);
    else below.forEach(descend);
  };
  descend(link);
  // Devices that stand on each other in a ring, which no kernel makes: the packets wait somewhere.
  if (found.size === 0) return [link];
  return [...found.values()].sort((a, b) => a.ifindex - b.ifindex);
}

function devicesBelow(link: Link, links: readonly Link[]): Link[] {
  const { kind = '' } = link;
  if (STANDS_ON_LINK.has(kind) && link.linkNetnsid === undefined) {
    return links.filter((other) => other.ifindex === link.link);
  }
  if (!HAS_PORTS.has(kind)) return [];
  const ports = links.filter((other) => other.master === link.ifindex);
  return kind === 'bridge' ? ports.filter((port) => !GUESTS.has(port.kind ?? '') && !isTunnel(port)) : ports;
}

function isTunnel(link: Link): boolean {
  return TUNNELS.has(link.kind ?? '');
}

/** Physical and virtio devices have no kind. */
function isHardware(link: Link): boolean {
  return link.kind === undefined && !link.loopback;
}
