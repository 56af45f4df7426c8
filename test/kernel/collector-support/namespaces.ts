import { execFileSync } from 'node:child_process';
import { statSync } from 'node:fs';

export function sh(command: string): string {
  return execFileSync('sh', ['-ec', command], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

let made = 0;

export interface Pair {
  readonly a: string;
  readonly b: string;
  readonly addressA: string;
  readonly addressB: string;
  remove(): void;
}

export function netnsPath(name: string): string {
  return `/run/netns/${name}`;
}

export function netnsInode(name: string): number {
  return statSync(netnsPath(name)).ino;
}

/** Two namespaces joined by a veth pair: 10.77.0.1 and 10.77.0.2, fd77::1 and fd77::2. */
export function makePair(): Pair {
  const prefix = `nlt${process.pid}c${made++}`;
  const [a, b] = [`${prefix}a`, `${prefix}b`];
  const remove = (): void => {
    for (const name of [a, b]) sh(`ip netns del ${name} 2>/dev/null || true`);
  };
  remove();
  try {
    sh(`
      ip netns add ${a}; ip netns add ${b}
      for n in ${a} ${b}; do
        ip netns exec $n sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv4.ip_local_port_range="10000 64999" net.ipv4.tcp_tw_reuse=1
        ip -n $n link set lo up
      done
      ip -n ${a} link add eth0 type veth peer name eth0 netns ${b}
      ip -n ${a} addr add 10.77.0.1/24 dev eth0; ip -n ${b} addr add 10.77.0.2/24 dev eth0
      ip -n ${a} link set eth0 up; ip -n ${b} link set eth0 up
      ip -n ${a} -6 addr add fd77::1/64 dev eth0 nodad; ip -n ${b} -6 addr add fd77::2/64 dev eth0 nodad
    `);
  } catch (error) {
    remove();
    throw error;
  }
  return { a, b, addressA: '10.77.0.1', addressB: '10.77.0.2', remove };
}
