import { execFileSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { inNetns } from '../../../lib/bpf/index.ts';
import { uniqueName } from '../../support/bpf.ts';

export interface Pod {
  readonly netns: string;
  readonly address: string;
  readonly address6: string;
  /** Of the interface on the host's side. */
  readonly hostInterface: string;
  readonly ifindex: number;
  run(command: string): string;
}

/** What is on the other side of a node's uplink. */
export interface Outside {
  readonly netns: string;
  readonly address: string;
  /** Device of the node, and its index there. */
  readonly uplink: string;
  readonly ifindex: number;
  run(command: string): string;
}

/** A namespace that plays the node, with pods on veth pairs; all below one name, gone with `remove`. */
export class Node {
  readonly name = uniqueName();
  readonly #namespaces: string[] = [];
  readonly #fd: number;

  constructor() {
    this.#add(this.name);
    this.run(`
      sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.all.rp_filter=0
      ip link set lo up`);
    this.#fd = openSync(`/run/netns/${this.name}`, 'r');
  }

  run(command: string): string {
    return sh(this.name, command);
  }

  /**
   * Joined by routes, as ptp and Calico do it; or by a bridge of the node (10.66.0.6/29, so pods 1 to 5).
   * @param quiet the pod sends nothing of its own accord: it has no IPv6, so no MLD, and knows its gateway, so no ARP
   */
  addPod(number: number, { bridge, quiet = false }: { bridge?: string; quiet?: boolean } = {}): Pod {
    const netns = `${this.name}p${number}`;
    const hostInterface = `pod${number}`;
    const [address, address6] = [`10.66.0.${number}`, `fd66::${number}`];
    this.#add(netns);
    sh(netns, `sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0; ip link set lo up`);
    if (quiet) sh(netns, 'sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1');
    this.run(`ip link add ${hostInterface} type veth peer name eth0 netns ${netns}
      ip link set ${hostInterface} up`);
    if (bridge === undefined) {
      this.run(`ip addr add 169.254.1.1/32 dev ${hostInterface}; ip -6 addr add fe80::1/64 dev ${hostInterface} nodad
        ip route add ${address}/32 dev ${hostInterface}; ip -6 route add ${address6}/128 dev ${hostInterface}`);
      sh(
        netns,
        `ip link set eth0 up; ip addr add ${address}/32 dev eth0
        ip route add 169.254.1.1 dev eth0; ip route add default via 169.254.1.1 dev eth0`,
      );
      if (!quiet) {
        sh(netns, `ip -6 addr add ${address6}/128 dev eth0 nodad; ip -6 route add default via fe80::1 dev eth0`);
      }
    } else {
      this.run(`ip link set ${hostInterface} master ${bridge}`);
      sh(netns, `ip link set eth0 up; ip addr add ${address}/29 dev eth0; ip route add default via 10.66.0.6`);
    }
    if (quiet) {
      const mac = this.run(`cat /sys/class/net/${bridge ?? hostInterface}/address`).trim();
      const gateway = bridge === undefined ? '169.254.1.1' : '10.66.0.6';
      sh(netns, `ip neigh replace ${gateway} lladdr ${mac} dev eth0 nud permanent`);
    }
    const ifindex = this.ifindex(hostInterface);
    return { netns, address, address6, hostInterface, ifindex, run: (command) => sh(netns, command) };
  }

  /** A default route over a device of its own. */
  addUplink(name = 'eth0'): Outside {
    const outside = this.#joinOutside(name, 'o', 'node0', '192.0.2');
    this.run(`ip route add default via ${outside.address} dev ${name}`);
    return outside;
  }

  /** Another one, with a network of its own and a route by a gateway, but no default route. */
  addSecondUplink(name = 'eth1'): Outside {
    const outside = this.#joinOutside(name, 'b', 'node1', '198.51.100');
    this.run(`ip route add 203.0.113.0/24 via ${outside.address} dev ${name}`);
    return outside;
  }

  /** Another device, with a connected route only. */
  addNic(name: string): Outside {
    return this.#joinOutside(name, 'n', 'node1', '198.51.100');
  }

  /** @param net first three bytes: .1 is outside, .2 the node */
  #joinOutside(uplink: string, suffix: string, peer: string, net: string): Outside {
    const netns = `${this.name}${suffix}`;
    this.#add(netns);
    const address = `${net}.1`;
    const run = (command: string): string => sh(netns, command);
    this.run(`ip link add ${uplink} type veth peer name ${peer} netns ${netns}
      ip addr add ${net}.2/24 dev ${uplink}; ip link set ${uplink} up`);
    run(`ip link set lo up; ip addr add ${address}/24 dev ${peer}; ip link set ${peer} up`);
    run(`ip route add 10.66.0.0/24 via ${net}.2`);
    return { netns, address, uplink, ifindex: this.ifindex(uplink), run };
  }

  removePod({ netns, hostInterface }: Pod): void {
    // The namespace goes later, in the background.
    this.run(`ip link del ${hostInterface} 2>/dev/null || true`);
    execFileSync('ip', ['netns', 'del', netns]);
    this.#namespaces.splice(this.#namespaces.indexOf(netns), 1);
  }

  ifindex(device: string): number {
    return Number(this.run(`cat /sys/class/net/${device}/ifindex`));
  }

  /** Runs `work` with this thread in the node's namespace. */
  inside<T>(work: () => T): T {
    return inNetns(this.#fd, work);
  }

  remove(): void {
    closeSync(this.#fd);
    for (const name of this.#namespaces.reverse()) execFileSync('ip', ['netns', 'del', name]);
  }

  #add(name: string): void {
    execFileSync('ip', ['netns', 'add', name]);
    this.#namespaces.push(name);
  }
}

function sh(netns: string, command: string): string {
  return execFileSync('ip', ['netns', 'exec', netns, 'sh', '-ec', command], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}
