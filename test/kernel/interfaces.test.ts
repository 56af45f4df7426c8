import { closeSync, openSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findPodInterfaces } from '../../bandwidth/interfaces/find.ts';
import { readNodeNetwork } from '../../bandwidth/interfaces/read.ts';
import type { NodePod, PodPlace } from '../../bandwidth/interfaces/types.ts';
import { findUplinks } from '../../bandwidth/interfaces/uplinks.ts';
import { NetlinkSocket } from '../../lib/netlink/index.ts';
import { makeNetns } from '../support/bpf.ts';
import { pod } from '../interfaces/fixture.ts';

type Netns = ReturnType<typeof makeNetns>;

/** A node in a namespace of its own, with pods that are plugged in as CNI plugins do it. */
class Node {
  readonly netns = makeNetns();
  readonly outside = makeNetns();
  readonly fd = openSync(this.netns.path, 'r');
  readonly socket = new NetlinkSocket({ netnsFd: this.fd });
  readonly pods = new Map<string, Netns>();
  readonly #ports = new Map<string, string>();

  constructor() {
    // Its uplink is a veth too, as that of a node in a container.
    this.run(`
      ip link add eth0 type veth peer name node0 netns ${this.outside.name}
      ip addr add 192.0.2.2/24 dev eth0; ip link set eth0 up
      ip -6 addr add fd92::2/64 dev eth0 nodad
      ip route add default via 192.0.2.1 dev eth0
      ip link add cni0 type bridge; ip addr add 10.1.0.1/24 dev cni0; ip -6 addr add fd10:1::1/64 dev cni0 nodad
      ip link set cni0 up; ip link add vxlan7 type vxlan id 7 dev eth0 dstport 4789; ip link set vxlan7 up
      ip route add 10.2.0.0/24 dev vxlan7
    `);
    this.outside.run('ip', 'addr', 'add', '192.0.2.1/24', 'dev', 'node0');
    this.outside.run('ip', 'link', 'set', 'node0', 'up');
  }

  run(script: string): void {
    this.netns.run('sh', '-ec', script);
  }

  /** @param ips without prefix length */
  plug(name: string, cni: 'ptp' | 'bridge' | 'calico', ips: readonly string[]): NodePod {
    const ns = makeNetns();
    this.pods.set(name, ns);
    const port = `${cni === 'calico' ? 'cali' : 'veth'}${name}`.slice(0, 15);
    this.#ports.set(name, port);
    this.run(`ip link add ${port} type veth peer name eth0 netns ${ns.name}`);
    ns.run('ip', 'link', 'set', 'eth0', 'up');
    for (const ip of ips) {
      const v6 = ip.includes(':');
      const length = cni === 'bridge' ? (v6 ? 64 : 24) : v6 ? 128 : 32;
      ns.run('ip', 'addr', 'add', `${ip}/${length}`, 'dev', 'eth0', ...(v6 ? ['nodad'] : []));
    }
    this.run(cni === 'bridge' ? `ip link set ${port} master cni0 up` : `ip link set ${port} up`);
    if (cni !== 'bridge') {
      for (const ip of ips) this.run(`ip route add ${ip} dev ${port}${ip.includes(':') ? '' : ' scope link'}`);
      ns.run('ip', 'route', 'add', '169.254.1.1', 'dev', 'eth0');
    }
    return pod({ uid: name, name, ips, createdMs: this.pods.size });
  }

  /** As a CNI's DEL: the namespace goes a moment after the device. */
  unplug(name: string): void {
    this.run(`ip link del ${this.#ports.get(name)!} 2>/dev/null || true`);
    this.pods.get(name)!.remove();
    this.pods.delete(name);
  }

  find(pods: readonly NodePod[], known?: Parameters<typeof findPodInterfaces>[2]): Record<string, string> {
    const places = findPodInterfaces(readNodeNetwork(this.socket), pods, known);
    return Object.fromEntries([...places].map(([uid, place]) => [uid, show(place)]));
  }

  remove(): void {
    this.socket.close();
    closeSync(this.fd);
    for (const ns of [...this.pods.values(), this.outside, this.netns]) ns.remove();
  }
}

function show(place: PodPlace): string {
  return place.found ? place.interfaces.map((i) => `${i.name}:${i.sign}`).join(' ') : place.reason;
}

let node: Node;
beforeEach(() => {
  node = new Node();
});
afterEach(() => node.remove());

describe('interfaces of pods', () => {
  it('are found whatever the CNI: ptp, bridge, Calico, one family or both', () => {
    const pods = [
      node.plug('a', 'ptp', ['10.0.0.2']),
      node.plug('b', 'bridge', ['10.1.0.2', 'fd10:1::2']),
      node.plug('c', 'calico', ['10.3.0.2', 'fd10:3::2']),
      node.plug('d', 'bridge', ['fd10:1::7']),
      node.plug('e', 'ptp', ['fd10:4::7']),
      pod({ uid: 'h', ips: ['192.0.2.2'], hostNetwork: true }),
      pod({ uid: 'n', ips: ['10.9.9.9'] }),
    ];
    expect(node.find(pods)).toEqual({
      a: 'vetha:route',
      b: 'vethb:address',
      c: 'calic:route',
      d: 'vethd:address',
      e: 'vethe:route',
      h: 'host-network',
      n: 'not-found',
    });
  });

  it('are all found where a pod has several, and its second network has addresses that no status names', () => {
    const pods = [node.plug('a', 'bridge', ['10.1.0.2']), node.plug('b', 'bridge', ['10.1.0.3'])];
    const ns = node.pods.get('a')!;
    node.run(`ip link add netx type veth peer name net1 netns ${ns.name}; ip link set netx up`);
    ns.run('ip', 'addr', 'add', '172.20.0.2/24', 'dev', 'net1');
    expect(node.find(pods)).toEqual({ a: 'vetha:address netx:namespace', b: 'vethb:address' });
  });

  it('are the right ones after an address was given to another pod while the old namespace is still there', () => {
    const old = node.plug('old', 'calico', ['10.3.0.2']);
    expect(node.find([old])).toEqual({ old: 'caliold:route' });
    // The host side of the old pod is deleted with its route; its namespace lives on for a while.
    node.run('ip link del caliold');
    const young = node.plug('young', 'calico', ['10.3.0.2']);
    expect(node.find([{ ...old, finished: true }, young])).toEqual({ old: 'finished', young: 'caliyoung:route' });
    expect(node.find([old, young])).toEqual({ old: 'taken', young: 'caliyoung:route' });
  });

  it('are the right ones though another namespace took the address on', () => {
    const [a, b] = [node.plug('a', 'calico', ['10.3.0.2']), node.plug('b', 'calico', ['10.3.0.3'])];
    node.pods.get('b')!.run('ip', 'addr', 'add', '10.3.0.2/32', 'dev', 'eth0');
    expect(node.find([a, b])).toEqual({ a: 'calia:route', b: 'calib:route' });
  });

  it('are found by the bridge where the sandbox has taken the address away', () => {
    const a = node.plug('a', 'bridge', ['10.1.0.2']);
    const ns = node.pods.get('a')!;
    const mac = JSON.parse(ns.run('ip', '-j', 'link', 'show', 'eth0')) as [{ address: string }];
    ns.run('ip', 'addr', 'flush', 'dev', 'eth0');
    expect(node.find([a])).toEqual({ a: 'not-found' });
    node.run(`
      ip neigh replace 10.1.0.2 lladdr ${mac[0].address} dev cni0
      bridge fdb replace ${mac[0].address} dev vetha master dynamic
    `);
    expect(node.find([a])).toEqual({ a: 'vetha:neighbour' });
  });

  it('stay with a pod that gives its address away to another one', () => {
    const [a, b] = [node.plug('a', 'bridge', ['10.1.0.2']), node.plug('b', 'bridge', ['10.1.0.3'])];
    const places = findPodInterfaces(readNodeNetwork(node.socket), [a, b]);
    const known = new Map([...places].map(([uid, p]) => [uid, p.found ? p.interfaces : []]));
    node.pods.get('a')!.run('ip', 'addr', 'flush', 'dev', 'eth0');
    node.pods.get('b')!.run('ip', 'addr', 'add', '10.1.0.2/24', 'dev', 'eth0');
    expect(node.find([a, b], known)).toEqual({ a: 'vetha:kept', b: 'vethb:address' });
  });

  it('are each found while pods come and go', () => {
    const cnis = ['ptp', 'bridge', 'calico'] as const;
    const alive = new Map<string, NodePod>();
    const names = (): Record<string, string> =>
      Object.fromEntries(
        [...alive.keys()].map((name) => {
          const cni = cnis[Number(name.slice(1)) % 3]!;
          return [name, cni === 'bridge' ? `veth${name}:address` : `${cni === 'ptp' ? 'veth' : 'cali'}${name}:route`];
        }),
      );
    for (let step = 0; step < 15; step++) {
      const cni = cnis[step % 3]!;
      // Addresses are used again as soon as their pod is gone.
      const free = Array.from({ length: 9 }, (_, i) => `10.${cni === 'bridge' ? 1 : 5}.0.${10 + i}`);
      const ip = free.find((candidate) => ![...alive.values()].some((p) => p.ips.includes(candidate)))!;
      alive.set(`p${step}`, node.plug(`p${step}`, cni, [ip]));
      if (alive.size > 4) {
        const [first] = alive.keys();
        node.unplug(first!);
        alive.delete(first!);
      }
      expect(node.find([...alive.values()])).toEqual(names());
    }
  });

  it('are found as far as they are there when namespaces go during the reading', () => {
    const pods = [node.plug('a', 'bridge', ['10.1.0.2']), node.plug('b', 'bridge', ['10.1.0.3'])];
    // Between the first list of devices and the addresses.
    const dump = node.socket.dump.bind(node.socket);
    let removed = false;
    node.socket.dump = (what, ...rest) => {
      if (what.startsWith('listing addresses of namespace') && !removed) {
        removed = true;
        node.run('ip link del vetha');
        node.unplug('a');
        node.plug('c', 'bridge', ['10.1.0.2']);
      }
      return dump(what, ...rest);
    };
    const found = node.find(pods);
    expect(removed).toBe(true);
    // Never the device of the new pod with the signs of the old one.
    expect(found['a']).toBe('not-found');
    expect(found['b']).toBe('vethb:address');
    expect(node.find([pod({ uid: 'c', ips: ['10.1.0.2'] })])).toEqual({ c: 'vethc:address' });
  });
});

describe('the uplink of the node', () => {
  it('is found, and neither a bridge of pods, a tunnel, nor a device of a pod', () => {
    const pods = [node.plug('a', 'ptp', ['10.0.0.2']), node.plug('b', 'bridge', ['10.1.0.2'])];
    const network = readNodeNetwork(node.socket);
    const ofPods = [...findPodInterfaces(network, pods).values()].flatMap((p) => (p.found ? p.interfaces : []));
    const uplinks = findUplinks(network.links, network.routes, new Set(ofPods.map((i) => i.ifindex)));
    expect(uplinks.map((u) => [u.name, u.isDefault, u.queueing.map((l) => l.name)])).toEqual([
      ['eth0', true, ['eth0']],
    ]);
  });
});
