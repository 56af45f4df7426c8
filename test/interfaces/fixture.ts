import type { NodeNetwork, NodePod } from '../../bandwidth/interfaces/types.ts';
import type { InterfaceAddress, Link, Route } from '../../lib/netlink/types.ts';

/** Small parts of which the tests build a node's network. */

const NO_STATS = { rxPackets: 0n, txPackets: 0n, rxBytes: 0n, txBytes: 0n, rxDropped: 0n, txDropped: 0n };

export function link(ifindex: number, name: string, kind?: string, more: Partial<Link> = {}): Link {
  return {
    ifindex,
    name,
    up: true,
    lowerUp: true,
    loopback: false,
    operstate: 6,
    mtu: 1500,
    txQueues: 1,
    txQueueLength: 1000,
    qdisc: 'noqueue',
    gsoMaxBytes: 65536,
    groMaxBytes: 65536,
    stats: NO_STATS,
    ...(kind === undefined ? {} : { kind }),
    ...more,
  };
}

/** The node's side of a pair whose other end is device 2 of namespace `netnsid`. */
export function veth(ifindex: number, netnsid: number, more: Partial<Link> = {}): Link {
  return link(ifindex, `veth${ifindex}`, 'veth', { link: 2, linkNetnsid: netnsid, ...more });
}

export function route(destination: string, prefixLength: number, ifindex: number, more: Partial<Route> = {}): Route {
  const family = destination.includes(':') ? 6 : 4;
  return {
    family,
    destination,
    prefixLength,
    table: 254,
    type: 1,
    priority: 0,
    viaGateway: false,
    ifindexes: [ifindex],
    ...more,
  };
}

/** A host route, as ptp and Calico set them. */
export function host(address: string, ifindex: number): Route {
  return route(address, address.includes(':') ? 128 : 32, ifindex);
}

export interface Parts extends Partial<Omit<NodeNetwork, 'namespaces'>> {
  /** Addresses by namespace. */
  readonly netns?: Readonly<Record<number, readonly { ifindex: number; address: string }[]>>;
}

export function network({ netns = {}, ...parts }: Parts): NodeNetwork {
  const namespaces = new Map(
    Object.entries(netns).map(([id, list]) => [Number(id), { addresses: list.map(interfaceAddress) }]),
  );
  return { links: [], routes: [], neighbours: [], forwarding: [], ...parts, namespaces };
}

function interfaceAddress({ ifindex, address }: { ifindex: number; address: string }): InterfaceAddress {
  const family = address.includes(':') ? 6 : 4;
  return { ifindex, family, address, prefixLength: family === 4 ? 24 : 64, scope: 0 };
}

export function pod(more: Partial<NodePod> = {}): NodePod {
  return {
    uid: 'uid',
    namespace: 'shop',
    name: 'cart',
    ips: ['10.0.0.2'],
    hostNetwork: false,
    finished: false,
    createdMs: 0,
    ...more,
  };
}
