import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';

/**
 * The network of a guest: its own namespace is the node, `pod1` to `pod4` are pods as ptp and Calico join them, `world`
 * is what lies behind the uplink.
 *
 *     pod1 eth0 ── pod1 ┐
 *     ...               ├ node ── uplink ── eth0 world
 *     pod4 eth0 ── pod4 ┘
 */
export type Place = 'world' | 'far' | `pod${number}`;

export const PODS = [1, 2, 3, 4];
export const UPLINK = 'uplink';
/** A second uplink, to `far`, behind a router that sends at a rate; made by `buildSlowLink`. */
export const SLOW_UPLINK = 'uplink2';

export function addressOf(place: Place, family: 4 | 6): string {
  if (place === 'world') return family === 4 ? '10.99.0.2' : 'fd99::2';
  if (place === 'far') return family === 4 ? '10.98.0.2' : 'fd98::2';
  const number = place.slice('pod'.length);
  return family === 4 ? `10.66.0.${number}` : `fd66::${number}`;
}

export function buildNetwork(): void {
  for (const name of ['net/ipv4/ip_forward', 'net/ipv6/conf/all/forwarding']) sysctl(name, '1');
  // Solicitations for 1 s would be the first thing in every pod.
  sysctl('net/ipv6/conf/default/accept_dad', '0');
  ip('', 'netns add world', `link add ${UPLINK} type veth peer name eth0 netns world`, ...PODS.flatMap(podLinks));
  join(UPLINK, 'world', 99);
  ip('', 'route add default via 10.99.0.2', 'route add default via fd99::2');
  ip('world', 'route add 10.66.0.0/24 via 10.99.0.1', 'route add fd66::/64 via fd99::1');
  for (const pod of PODS) {
    ip(
      `pod${pod}`,
      'link set lo up',
      'link set eth0 up',
      `addr add 10.66.0.${pod}/32 dev eth0`,
      `addr add fd66::${pod}/128 dev eth0 nodad`,
      'route add 169.254.1.1 dev eth0',
      'route add default via 169.254.1.1 dev eth0',
      'route add default via fe80::1 dev eth0',
    );
  }
}

function podLinks(pod: number): string[] {
  const name = `pod${pod}`;
  return [
    `netns add ${name}`,
    `link add ${name} type veth peer name eth0 netns ${name}`,
    `link set ${name} up`,
    `addr add 169.254.1.1/32 dev ${name}`,
    `addr add fe80::1/64 dev ${name} nodad`,
    `route add 10.66.0.${pod}/32 dev ${name}`,
    `route add fd66::${pod}/128 dev ${name}`,
  ];
}

/** Addresses of a link between the node (.1) and a namespace (.2). */
function join(device: string, netns: string, net: number): void {
  ip(
    '',
    `link set ${device} up`,
    `addr add 10.${net}.0.1/24 dev ${device}`,
    `addr add fd${net}::1/64 dev ${device} nodad`,
  );
  ip(
    netns,
    'link set lo up',
    'link set eth0 up',
    `addr add 10.${net}.0.2/24 dev eth0`,
    `addr add fd${net}::2/64 dev eth0 nodad`,
  );
}

/** Mbit/s of the link to `far`. */
export const SLOW_LINK_MBIT = 200;

let hasSlowLink = false;

/** `far`: node ── uplink2 ── router ──(tbf)── far. @returns false: it was there */
export function buildSlowLink(): boolean {
  if (hasSlowLink) return false;
  hasSlowLink = true;
  ip(
    '',
    'netns add router',
    'netns add far',
    `link add ${SLOW_UPLINK} type veth peer name eth0 netns router`,
    `link set ${SLOW_UPLINK} up`,
  );
  join(SLOW_UPLINK, 'router', 97);
  ip(
    'router',
    'link add slow type veth peer name eth0 netns far',
    'link set slow up',
    'addr add 10.98.0.1/24 dev slow',
  );
  ip('router', 'route add 10.66.0.0/24 via 10.97.0.1');
  ip('far', 'link set lo up', 'link set eth0 up', 'addr add 10.98.0.2/24 dev eth0', 'route add default via 10.98.0.1');
  run('ip', ['netns', 'exec', 'router', 'sh', '-c', 'echo 1 >/proc/sys/net/ipv4/ip_forward']);
  run('tc', [
    '-n',
    'router',
    ...`qdisc add dev slow root tbf rate ${SLOW_LINK_MBIT}mbit burst 32k latency 20ms`.split(' '),
  ]);
  ip('', 'route add 10.98.0.0/24 via 10.97.0.2');
  return true;
}

/** A pod on netkit in its default mode (L3: no addresses of the link layer, no ARP), as Cilium joins it. */
export const NETKIT_POD: Place = 'pod5';

let hasNetkitPod = false;

/** @returns false: it was there */
export function buildNetkitPod(): boolean {
  if (hasNetkitPod) return false;
  hasNetkitPod = true;
  const [v4, v6] = [addressOf(NETKIT_POD, 4), addressOf(NETKIT_POD, 6)];
  // iproute2 of Debian 12 does not know netkit: the kernel names the peer.
  ip(
    '',
    `netns add ${NETKIT_POD}`,
    `link add ${NETKIT_POD} type netkit`,
    `link set nk0 netns ${NETKIT_POD} name eth0`,
    `link set ${NETKIT_POD} up`,
    `route add ${v4}/32 dev ${NETKIT_POD}`,
    `route add ${v6}/128 dev ${NETKIT_POD}`,
  );
  ip(
    NETKIT_POD,
    'link set lo up',
    'link set eth0 up',
    `addr add ${v4}/32 dev eth0`,
    `addr add ${v6}/128 dev eth0 nodad`,
    'route add default dev eth0',
    'route add ::/0 dev eth0',
  );
  return true;
}

/** iproute2's commands, one after another; `netns` empty: the node. */
export function ip(netns: string, ...commands: string[]): void {
  run('ip', [...(netns === '' ? [] : ['-n', netns]), '-batch', '-'], `${commands.join('\n')}\n`);
}

export function run(program: string, args: readonly string[], input = ''): string {
  return execFileSync(program, [...args], { encoding: 'utf8', input, stdio: ['pipe', 'pipe', 'inherit'] });
}

/** Of the node. */
export function sysctl(name: string, value: string): void {
  writeFileSync(`/proc/sys/${name}`, value);
}

export function ifindexOf(device: string): number {
  return Number(readFileSync(`/sys/class/net/${device}/ifindex`, 'utf8'));
}
