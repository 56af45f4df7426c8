/** What rtnetlink tells, as plain data. Addresses are in the text form of lib/ip.ts. */

export interface Link {
  readonly ifindex: number;
  readonly name: string;
  /** IFLA_INFO_KIND: veth, netkit, bridge, vlan, bond, vxlan, ...; absent: hardware, virtio, loopback. */
  readonly kind?: string;
  /** Switched on by somebody. */
  readonly up: boolean;
  /** Has a carrier: of a veth, the other end is up. */
  readonly lowerUp: boolean;
  readonly loopback: boolean;
  /** IF_OPER_* of RFC 2863: 6 is up, 0 unknown. */
  readonly operstate: number;
  /** "02:00:00:00:00:01". */
  readonly mac?: string;
  /** ifindex of the bridge, bond, ... that it is a port of. */
  readonly master?: number;
  /** ifindex of what it stands on (VLAN, macvlan) or of its peer (veth, netkit), in the namespace `linkNetnsid`. */
  readonly link?: number;
  /** Id of the namespace of `link`, if it is another one than that of the socket; -1: one that has no id here. */
  readonly linkNetnsid?: number;
  /** Of netkit: whether it is the side that the kernel treats as the host's. */
  readonly netkitPrimary?: boolean;
  readonly mtu: number;
  readonly txQueues: number;
  /** Packets. */
  readonly txQueueLength: number;
  /** Kind of the root qdisc; noop: the device was never up. */
  readonly qdisc: string;
  /** Largest super-packet, the larger of IPv4's and IPv6's. */
  readonly gsoMaxBytes: number;
  readonly groMaxBytes: number;
  readonly stats: LinkStats;
}

/** Since the device was made. */
export interface LinkStats {
  readonly rxPackets: bigint;
  readonly txPackets: bigint;
  readonly rxBytes: bigint;
  readonly txBytes: bigint;
  readonly rxDropped: bigint;
  readonly txDropped: bigint;
}

export type Family = 4 | 6;

export interface InterfaceAddress {
  readonly ifindex: number;
  readonly family: Family;
  readonly address: string;
  readonly prefixLength: number;
  /** RT_SCOPE_*: 0 global, 253 link, 254 host. */
  readonly scope: number;
}

export interface Route {
  readonly family: Family;
  /** "0.0.0.0" or "::" of a default route. */
  readonly destination: string;
  readonly prefixLength: number;
  /** RT_TABLE_*: 254 main, 255 local. */
  readonly table: number;
  /** RTN_*: 1 unicast, 2 local, 6 blackhole, 7 unreachable, 8 prohibit, ... */
  readonly type: number;
  /** Metric; the least wins. */
  readonly priority: number;
  /** Its packets go to a gateway, not to the neighbours themselves. */
  readonly viaGateway: boolean;
  /** Devices that it leads to: several of a multipath route, none of a blackhole. */
  readonly ifindexes: readonly number[];
}

export interface Neighbour {
  readonly ifindex: number;
  readonly family: Family;
  readonly address: string;
  readonly mac: string;
}

/** Behind which port of a bridge a MAC address was seen. */
export interface ForwardingEntry {
  /** ifindex of the port. */
  readonly ifindex: number;
  readonly master: number;
  readonly mac: string;
}
