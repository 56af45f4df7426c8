import { addressKey, parseAddress, type AddressKey } from '../../lib/ip.ts';
import type { Link, Route } from '../../lib/netlink/types.ts';
import type { NodeNetwork } from './types.ts';
import { mainDefaultDevices } from './uplinks.ts';

/** Every network namespace has its loopback at this index (net/core/dev.c). */
const LOOPBACK_IFINDEX = 1;
const HOST_PREFIX = { 4: 32, 6: 128 } as const;
const TABLE_LOCAL = 255;

/** The node's side of a pair whose other end lies in another namespace. */
export interface PodDevice {
  readonly ifindex: number;
  readonly name: string;
  readonly kind: 'veth' | 'netkit';
  readonly netkitPrimary?: boolean;
  /** The namespace of the other end, and its index there. */
  readonly netnsid: number;
  readonly peerIfindex: number;
  readonly lowerUp: boolean;
}

/** What of the node's network speaks for a namespace being that of an address. */
export interface Signs {
  /** Devices that could be pods', by namespace. */
  readonly devices: ReadonlyMap<number, readonly PodDevice[]>;
  readonly byRoute: SignMap;
  readonly byAddress: SignMap;
  readonly byNeighbour: SignMap;
  /** Address -> device that is no pod's, to which the node's host route for it leads. */
  readonly foreign: ReadonlyMap<AddressKey, Link>;
  /** Why namespaces could not be looked into. */
  readonly unreadable: readonly string[];
}

/**
 * Address -> namespace -> indexes of the devices through which it is there; none: it is in the namespace, but not at the
 * other end of a device of the node.
 */
export type SignMap = ReadonlyMap<AddressKey, ReadonlyMap<number, ReadonlySet<number>>>;
type GrowingSignMap = Map<AddressKey, Map<number, Set<number>>>;

/** The key of an address in text form; undefined: it is none. */
export function keyOf(address: string): AddressKey | undefined {
  const bytes = parseAddress(address);
  return bytes === undefined ? undefined : addressKey(bytes);
}

/** Pure. */
export function readSigns(network: NodeNetwork): Signs {
  const devices = podDevices(network);
  const byIndex = new Map([...devices.values()].flat().map((device) => [device.ifindex, device]));
  const byAddress: GrowingSignMap = new Map();
  const unreadable: string[] = [];
  for (const [netnsid, ofNetns] of devices) {
    const namespace = network.namespaces.get(netnsid);
    if (namespace === undefined) continue;
    if ('unreadable' in namespace) {
      unreadable.push(namespace.unreadable);
      continue;
    }
    for (const { ifindex, address } of namespace.addresses) {
      // What a pod has on its loopback is a service it answers for, not where it lives.
      const key = ifindex === LOOPBACK_IFINDEX ? undefined : keyOf(address);
      if (key === undefined) continue;
      const device = ofNetns.find((candidate) => candidate.peerIfindex === ifindex);
      add(byAddress, key, netnsid, device);
    }
  }
  const { byRoute, foreign } = routeSigns(network, byIndex);
  return { devices, byRoute, byAddress, byNeighbour: neighbourSigns(network, byIndex), foreign, unreadable };
}

function podDevices({ links, routes }: NodeNetwork): Map<number, PodDevice[]> {
  const uplinks = mainDefaultDevices(routes);
  const found = new Map<number, PodDevice[]>();
  for (const { ifindex, name, kind, link, linkNetnsid, netkitPrimary, lowerUp } of links) {
    if (kind !== 'veth' && kind !== 'netkit') continue;
    // Both ends here, or an end in a namespace that is going (-1).
    if (linkNetnsid === undefined || linkNetnsid < 0 || link === undefined || uplinks.has(ifindex)) continue;
    const device: PodDevice = { ifindex, name, kind, netnsid: linkNetnsid, peerIfindex: link, lowerUp };
    const list = found.get(linkNetnsid) ?? [];
    list.push(netkitPrimary === undefined ? device : { ...device, netkitPrimary });
    found.set(linkNetnsid, list);
  }
  for (const list of found.values()) list.sort((a, b) => a.ifindex - b.ifindex);
  return found;
}

/** Of several routes to an address in one table those with the least metric count; each table has a say. */
function routeSigns(
  { links, routes }: NodeNetwork,
  byIndex: ReadonlyMap<number, PodDevice>,
): Pick<Signs, 'byRoute' | 'foreign'> {
  const best = new Map<string, { key: AddressKey; routes: Route[] }>();
  for (const route of routes) {
    if (route.prefixLength !== HOST_PREFIX[route.family] || route.table === TABLE_LOCAL) continue;
    // A gateway is never the pod itself: those routes lead to pods of other nodes.
    if (route.viaGateway || route.ifindexes.length !== 1) continue;
    const key = keyOf(route.destination);
    if (key === undefined) continue;
    const place = `${route.table} ${route.family} ${route.destination}`;
    const least = best.get(place)?.routes[0]?.priority ?? Infinity;
    if (route.priority < least) best.set(place, { key, routes: [route] });
    else if (route.priority === least) best.get(place)!.routes.push(route);
  }
  const byRoute: GrowingSignMap = new Map();
  const foreign = new Map<AddressKey, Link>();
  const linkOf = new Map(links.map((link) => [link.ifindex, link]));
  for (const { key, routes: equals } of best.values()) {
    for (const [ifindex] of equals.map((route) => route.ifindexes)) {
      const device = byIndex.get(ifindex!);
      const link = linkOf.get(ifindex!);
      if (device !== undefined) add(byRoute, key, device.netnsid, device);
      else if (link !== undefined && link.ifindex > (foreign.get(key)?.ifindex ?? -1)) foreign.set(key, link);
    }
  }
  return { byRoute, foreign };
}

/** IP -> MAC at a bridge, MAC -> port of that bridge; or IP -> MAC at the pod's device itself. */
function neighbourSigns({ neighbours, forwarding }: NodeNetwork, byIndex: ReadonlyMap<number, PodDevice>): SignMap {
  const ports = new Map<string, Set<number>>();
  for (const { mac, master, ifindex } of forwarding) {
    const place = `${master} ${mac}`;
    ports.set(place, (ports.get(place) ?? new Set()).add(ifindex));
  }
  const found: GrowingSignMap = new Map();
  for (const { ifindex, address, mac } of neighbours) {
    const key = keyOf(address);
    if (key === undefined) continue;
    for (const port of [ifindex, ...(ports.get(`${ifindex} ${mac}`) ?? [])]) {
      const device = byIndex.get(port);
      if (device !== undefined) add(found, key, device.netnsid, device);
    }
  }
  return found;
}

function add(map: GrowingSignMap, key: AddressKey, netnsid: number, device: PodDevice | undefined): void {
  const namespaces = map.get(key) ?? new Map<number, Set<number>>();
  const devices = namespaces.get(netnsid) ?? new Set();
  if (device !== undefined) devices.add(device.ifindex);
  map.set(key, namespaces.set(netnsid, devices));
}
