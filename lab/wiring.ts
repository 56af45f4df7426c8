import { SERVICE_RANGE } from './layout.ts';
import { ownershipMark } from './names.ts';
import type { LabNode, LabPod, LabState } from './state.ts';

/**
 * Lines for `ip -batch`, to be run inside one network namespace each. Pure.
 *
 * A pod has a /32 address and reaches everything through its gateway on the node's bridge: so all its traffic is
 * routed by the node, where Services are translated, without needing br_netfilter.
 */

/** Names a device; at most 15 characters, and each is alone in its namespace. */
const podPort = (pod: LabPod): string => `veth-${pod.address!.split('.')[3]!}`;

export function fabricLines(state: LabState): string[] {
  const lines = [...common(state), 'link add br0 type bridge mcast_snooping 0', 'link set br0 up'];
  state.nodes.forEach((node, i) => {
    lines.push(
      `link add port${i} type veth peer name ${node.uplink} netns ${node.namespace}`,
      `link set port${i} master br0`,
      `link set port${i} up`,
    );
  });
  return lines;
}

/** After fabricLines, which make its uplink. */
export function nodeLines(state: LabState, node: LabNode): string[] {
  const host = node.address.split('.')[3]!;
  return [
    ...common(state),
    `addr add ${node.address}/16 dev ${node.uplink}`,
    `link set ${node.uplink} up`,
    // A fixed address: a bridge would take over the least one of its ports, and neighbours would look in vain.
    `link add cni0 address 02:00:0a:f4:${hex(Number(node.podCidr.split('.')[2]))}:${hex(Number(host))} type bridge mcast_snooping 0`,
    `addr add ${node.gateway}/24 dev cni0`,
    'link set cni0 up',
    // For processes of the node itself: without a route nothing comes as far as the translation.
    `route add ${SERVICE_RANGE} dev ${node.uplink}`,
    ...state.nodes.filter((n) => n !== node).map((n) => `route add ${n.podCidr} via ${n.address}`),
  ];
}

/** In the node's namespace: plugs a pod in. */
export function plugLines(pod: LabPod): string[] {
  const port = podPort(pod);
  return [
    `link add ${port} type veth peer name eth0 netns ${pod.namespace!}`,
    `link set ${port} master cni0`,
    `link set ${port} up`,
  ];
}

/** In the pod's namespace, after plugLines. */
export function podLines(state: LabState, pod: LabPod, node: LabNode): string[] {
  return [
    ...common(state),
    `addr add ${pod.address!}/32 dev eth0`,
    'link set eth0 up',
    `route add ${node.gateway} dev eth0 scope link`,
    `route add default via ${node.gateway} dev eth0`,
  ];
}

function common(state: LabState): string[] {
  return ['link set lo up', `link set lo alias ${ownershipMark(state.name)}`];
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, '0');
}

/** A sysctl that the machine may lack (no br_netfilter, no IPv6) is optional. */
export interface Sysctl {
  readonly path: string;
  readonly value: string;
  readonly optional?: true;
}

/** To be set before devices are made: the lab is IPv4, and IPv6 chatter would show in its counters. */
const NO_IPV6: readonly Sysctl[] = [
  { path: 'net/ipv6/conf/all/disable_ipv6', value: '1', optional: true },
  { path: 'net/ipv6/conf/default/disable_ipv6', value: '1', optional: true },
];

export const FABRIC_SYSCTLS: readonly Sysctl[] = [
  ...NO_IPV6,
  { path: 'net/bridge/bridge-nf-call-iptables', value: '0', optional: true },
];

export const NODE_SYSCTLS: readonly Sysctl[] = [
  ...FABRIC_SYSCTLS,
  { path: 'net/ipv4/ip_forward', value: '1' },
  { path: 'net/ipv4/conf/all/rp_filter', value: '0' },
  { path: 'net/ipv4/conf/default/rp_filter', value: '0' },
  // Pods of one node reach each other through it; it must not tell them of a shorter way that they do not have.
  { path: 'net/ipv4/conf/all/send_redirects', value: '0' },
  { path: 'net/ipv4/conf/default/send_redirects', value: '0' },
  // 120 s by default: 2,000 short connections a second would fill the table of 262,144.
  { path: 'net/netfilter/nf_conntrack_tcp_timeout_time_wait', value: '5', optional: true },
  { path: 'net/netfilter/nf_conntrack_tcp_timeout_close', value: '2', optional: true },
];

export const POD_SYSCTLS: readonly Sysctl[] = [
  ...NO_IPV6,
  // A port in TIME_WAIT may serve again after a second: 28,000 ports would last 14 s at 2,000 connections a second.
  { path: 'net/ipv4/tcp_tw_reuse', value: '1', optional: true },
];

/** A script for sh, to be run inside the namespace. */
export function sysctlScript(sysctls: readonly Sysctl[]): string {
  return sysctls
    .map(({ path, value, optional }) => {
      const file = `/proc/sys/${path}`;
      return optional ? `[ ! -w ${file} ] || echo ${value} >${file} || :` : `echo ${value} >${file} || exit 1`;
    })
    .join('\n');
}
