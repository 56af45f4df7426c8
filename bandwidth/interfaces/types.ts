import type { ForwardingEntry, InterfaceAddress, Link, Neighbour, Route } from '../../lib/netlink/types.ts';

/** A pod of this node, as far as its place in the network goes. */
export interface NodePod {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  /** status.podIPs, also such as are no addresses; those of secondary networks (Multus) are not among them. Empty: not started yet. */
  readonly ips: readonly string[];
  readonly hostNetwork: boolean;
  /** Phase Succeeded or Failed: it keeps its addresses in its status while others use them. */
  readonly finished: boolean;
  /** metadata.creationTimestamp. */
  readonly createdMs: number;
}

/** The network of this node at one moment, as `readNodeNetwork` finds it. */
export interface NodeNetwork {
  /** Devices of the node's own namespace. */
  readonly links: readonly Link[];
  /** By the id that `Link.linkNetnsid` names. Namespaces that went meanwhile are not in it. */
  readonly namespaces: ReadonlyMap<number, NamespaceAddresses>;
  /** Unicast routes of all tables but `local`. */
  readonly routes: readonly Route[];
  readonly neighbours: readonly Neighbour[];
  readonly forwarding: readonly ForwardingEntry[];
}

export type NamespaceAddresses =
  | { readonly addresses: readonly InterfaceAddress[] }
  /** Why it could not be looked into. */
  | { readonly unreadable: string };

/**
 * How it is known that a device is a pod's, strongest first:
 * route: the node's host route to an address of the pod leads there (ptp, Calico, AWS, GKE; Kata and gVisor too);
 * address: the device at its other end has an address of the pod (bridge, Cilium, OVS);
 * neighbour: the node's neighbour and bridge tables say so (bridge with a sandbox that hides its addresses);
 * namespace: it leads into a namespace of which another device is known (Multus);
 * kept: it was known before, and nothing says otherwise.
 */
export type Sign = 'route' | 'address' | 'neighbour' | 'namespace' | 'kept';

export interface PodInterface {
  readonly ifindex: number;
  readonly name: string;
  readonly kind: 'veth' | 'netkit';
  /** Of netkit: whether the node's side is the primary one, which decides the attach type. */
  readonly netkitPrimary?: boolean;
  readonly netnsid: number;
  readonly sign: Sign;
}

/** Why no interface of a pod can be named. */
export type NoInterface =
  | 'host-network'
  | 'finished'
  /** It has no address yet. */
  | 'no-address'
  /** What it has for addresses are none, as only a file can say. */
  | 'bad-address'
  /** Nothing on the node leads to its addresses: not there yet, or macvlan, ipvlan, SR-IOV. */
  | 'not-found'
  /** Its addresses lead to a device that is no pod's: tap, macvlan, uplink, ... */
  | 'foreign-device'
  /** Several namespaces have its addresses and none is the better. */
  | 'ambiguous'
  /** Its addresses are another pod's by now. */
  | 'taken'
  /** It was looked for long enough. */
  | 'not-coming';

export type PodPlace =
  | { readonly found: true; readonly interfaces: readonly PodInterface[] }
  /** `detail` is a phrase for people: which device, which pod, which namespaces. */
  | { readonly found: false; readonly reason: NoInterface; readonly detail: string };

/** A device through which traffic leaves the node. */
export interface Uplink {
  readonly ifindex: number;
  readonly name: string;
  /** Has a default route of any table. */
  readonly isDefault: boolean;
  /**
   * Where its packets queue: itself, or what it stands on (ports of a bond, the device below a VLAN). A pacing qdisc
   * belongs on each of these; a shaping one, which must see all of the traffic in one place, on the uplink itself.
   */
  readonly queueing: readonly Link[];
}
