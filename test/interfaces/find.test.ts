import { describe, expect, it } from 'vitest';
import { findPodInterfaces } from '../../bandwidth/interfaces/find.ts';
import type { NodeNetwork, NodePod, PodPlace } from '../../bandwidth/interfaces/types.ts';
import type { Link, Route } from '../../lib/netlink/types.ts';
import { findUplinks, namedUplinks } from '../../bandwidth/interfaces/uplinks.ts';
import { host, link, network, pod, route, veth, type Parts } from './fixture.ts';

const find = (parts: Parts, pods: readonly NodePod[], known?: Parameters<typeof findPodInterfaces>[2]) =>
  findPodInterfaces(network(parts), pods, known);

/** "lxc1:address veth2:namespace", or the reason. */
function show(place: PodPlace | undefined): string {
  if (place === undefined) return 'not asked';
  if (!place.found) return place.reason;
  return place.interfaces.map((i) => `${i.name}:${i.sign}`).join(' ');
}
const one = (parts: Parts, ask = pod()) => show(find(parts, [ask]).get(ask.uid));

describe('a pod is found', () => {
  const at = { ifindex: 2, address: '10.0.0.2' };

  it('behind a ptp veth, by the host route and the address', () => {
    expect(one({ links: [veth(10, 1)], netns: { 1: [at] }, routes: [host('10.0.0.2', 10)] })).toBe('veth10:route');
  });

  it('behind a port of a bridge, by the address at the other end', () => {
    const parts = {
      links: [link(5, 'cni0', 'bridge'), veth(10, 1, { master: 5 }), veth(11, 2, { master: 5 })],
      netns: { 1: [at], 2: [{ ifindex: 2, address: '10.0.0.3' }] },
      routes: [route('10.0.0.0', 24, 5)],
    };
    expect(one(parts)).toBe('veth10:address');
  });

  it('behind names as Calico and Cilium give them: names say nothing', () => {
    const cali = { ...veth(10, 1), name: 'cali0123456789a' };
    expect(one({ links: [cali], netns: { 1: [at] }, routes: [host('10.0.0.2', 10)] })).toBe('cali0123456789a:route');
    const lxc = { ...veth(10, 1), name: 'lxcabcdef' };
    expect(one({ links: [lxc], netns: { 1: [at] }, routes: [route('10.0.0.0', 24, 4)] })).toBe('lxcabcdef:address');
  });

  it('behind netkit, with the side that the node has', () => {
    const netkit: Link = { ...veth(10, 1), kind: 'netkit', netkitPrimary: true };
    const place = find({ links: [netkit], netns: { 1: [at] } }, [pod()]).get('uid')!;
    expect(place).toMatchObject({ found: true, interfaces: [{ kind: 'netkit', netkitPrimary: true }] });
  });

  it('with IPv6 only, however its address is written', () => {
    const parts = { links: [veth(10, 1)], netns: { 1: [{ ifindex: 2, address: 'fd00::2' }] } };
    expect(one(parts, pod({ ips: ['fd00:0:0:0:0:0:0:2'] }))).toBe('veth10:address');
    expect(one({ links: [veth(10, 1)], routes: [host('fd00::2', 10)] }, pod({ ips: ['fd00::2'] }))).toBe(
      'veth10:route',
    );
  });

  it('with all its interfaces, also those whose addresses no status names', () => {
    const parts = {
      links: [veth(10, 1), veth(12, 1, { link: 3 }), veth(11, 2)],
      netns: { 1: [at, { ifindex: 3, address: '192.168.7.7' }], 2: [{ ifindex: 2, address: '10.0.0.3' }] },
    };
    expect(one(parts)).toBe('veth10:address veth12:namespace');
  });

  it('by the route alone where the sandbox takes the address out of the namespace (gVisor)', () => {
    expect(one({ links: [veth(10, 1)], netns: { 1: [] }, routes: [host('10.0.0.2', 10)] })).toBe('veth10:route');
  });

  it('by neighbour and forwarding table where there is no other sign', () => {
    const parts = {
      links: [link(5, 'cni0', 'bridge'), veth(10, 1, { master: 5 }), veth(11, 2, { master: 5 })],
      netns: { 1: [], 2: [] },
      neighbours: [{ ifindex: 5, family: 4 as const, address: '10.0.0.2', mac: '02:00:00:00:00:02' }],
      forwarding: [
        { ifindex: 11, master: 5, mac: '02:00:00:00:00:02' },
        { ifindex: 10, master: 6, mac: '02:00:00:00:00:02' },
      ],
    };
    expect(one(parts)).toBe('veth11:neighbour');
  });

  it('though its address lies on a device inside that no device of the node leads to', () => {
    // A bond in the pod over two pairs.
    const parts = {
      links: [veth(10, 1, { link: 2 }), veth(12, 1, { link: 3 })],
      netns: { 1: [{ ifindex: 9, address: '10.0.0.2' }] },
    };
    expect(one(parts)).toBe('veth10:namespace veth12:namespace');
  });
});

describe('a pod is not found, and it is said why', () => {
  const at = { ifindex: 2, address: '10.0.0.2' };
  const there = { links: [veth(10, 1)], netns: { 1: [at] }, routes: [host('10.0.0.2', 10)] };

  it('when it uses the network of the node, has ended, or has no address yet', () => {
    expect(one(there, pod({ hostNetwork: true }))).toBe('host-network');
    expect(one(there, pod({ finished: true }))).toBe('finished');
    expect(one(there, pod({ ips: [] }))).toBe('no-address');
  });

  it('when nothing leads there yet', () => {
    const place = find({ links: [veth(10, 1)], netns: { 1: [] } }, [pod()]).get('uid')!;
    expect(place).toMatchObject({ found: false, reason: 'not-found' });
    expect(place.found ? '' : place.detail).toBe('no veth or netkit of the node leads to 10.0.0.2');
  });

  it('when namespaces could not be looked into', () => {
    const parts = network({ links: [veth(10, 1)] });
    const unreadable: NodeNetwork = { ...parts, namespaces: new Map([[1, { unreadable: 'no right' }]]) };
    const place = findPodInterfaces(unreadable, [pod()]).get('uid')!;
    expect(place.found ? '' : place.detail).toContain('1 namespaces could not be looked into: no right');
  });

  it('when the node reaches it through a device that is no pod’s', () => {
    const parts = { links: [link(7, 'tap7', 'tun')], routes: [host('10.0.0.2', 7)] };
    const place = find(parts, [pod()]).get('uid')!;
    expect(place).toMatchObject({ reason: 'foreign-device', detail: 'the node reaches it through tap7 (tun)' });
  });

  it('when its address is only on loopback of a namespace', () => {
    expect(one({ links: [veth(10, 1)], netns: { 1: [{ ifindex: 1, address: '10.0.0.2' }] } })).toBe('not-found');
  });

  it('when two namespaces have the address and nothing tells them apart', () => {
    expect(one({ links: [veth(10, 1), veth(11, 2)], netns: { 1: [at], 2: [at] } })).toBe('ambiguous');
  });
});

describe('devices of the node', () => {
  it.each<[string, Link]>([
    ['an uplink, even a veth (a node in a container)', veth(10, 1)],
    ['a veth with both ends on the node', { ...veth(10, 1), linkNetnsid: undefined as never }],
    ['a veth whose other end is going', veth(10, -1)],
    ['a bridge', link(10, 'br0', 'bridge')],
    ['a tunnel', link(10, 'vxlan0', 'vxlan')],
    ['hardware', link(10, 'eth0')],
    ['loopback', { ...link(10, 'lo'), loopback: true }],
    ['a VLAN into another namespace', { ...veth(10, 1), kind: 'vlan' }],
  ])('are never a pod’s: %s', (_, device) => {
    const routes = [route('0.0.0.0', 0, 10, { viaGateway: true }), host('10.0.0.2', 10)];
    const parts = { links: [device], netns: { 1: [{ ifindex: 2, address: '10.0.0.2' }] }, routes };
    const neighbours = [{ ifindex: 10, family: 4 as const, address: '10.0.0.2', mac: '02:00:00:00:00:02' }];
    // Without the default route too, but for the first: there it is what makes it an uplink.
    expect(one({ ...parts, neighbours })).toMatch(/foreign-device/);
    if (device.kind !== 'veth' || device.linkNetnsid !== 1) {
      expect(one({ ...parts, neighbours, routes: [host('10.0.0.2', 10)] })).toBe('foreign-device');
    }
  });

  it('are a pod’s in spite of a default route of another table: a gateway pod', () => {
    const parts = {
      links: [veth(10, 1)],
      netns: { 1: [{ ifindex: 2, address: '10.0.0.2' }] },
      routes: [route('0.0.0.0', 0, 10, { table: 100, viaGateway: true })],
    };
    expect(one(parts)).toBe('veth10:address');
  });

  it('that lead to pods of other nodes by a gateway are no sign', () => {
    const parts = { links: [veth(10, 1)], routes: [{ ...host('10.0.0.2', 10), viaGateway: true }] };
    expect(one(parts)).toBe('not-found');
  });
});

describe('an address that was given to another pod', () => {
  const at = { ifindex: 2, address: '10.0.0.2' };
  const old = pod({ uid: 'old', name: 'old', createdMs: 1 });
  const young = pod({ uid: 'young', name: 'young', createdMs: 2 });

  it('is the one’s to whom the host route leads, though the old namespace still has it', () => {
    const parts = { links: [veth(10, 1), veth(11, 2)], netns: { 1: [at], 2: [at] }, routes: [host('10.0.0.2', 11)] };
    const places = find(parts, [young]);
    expect(show(places.get('young'))).toBe('veth11:route');
  });

  it('that is another one, but behind the same interface, is told so', () => {
    const other = pod({ uid: 'other', name: 'other', ips: ['10.0.0.3'] });
    const beside = { ifindex: 2, address: '10.0.0.3' };
    const places = find({ links: [veth(11, 2)], netns: { 2: [at, beside] } }, [young, other]);
    expect(places.get('other')).toEqual({
      found: false,
      reason: 'taken',
      detail: 'its address is behind the interface of shop/young: one network namespace, or one veth, for both',
    });
  });

  it('that cannot be read is told as it is', () => {
    const places = find({ links: [veth(11, 2)], netns: { 2: [at] } }, [pod({ uid: 'x', ips: ['"10.55.0.999"'] })]);
    expect(places.get('x')).toMatchObject({
      reason: 'bad-address',
      detail: 'its address cannot be read: "10.55.0.999"',
    });
  });

  it('is the younger pod’s when there is one namespace', () => {
    const places = find({ links: [veth(11, 2)], netns: { 2: [at] } }, [old, young]);
    expect([show(places.get('old')), show(places.get('young'))]).toEqual(['taken', 'veth11:address']);
    const detail = places.get('old')!;
    expect(detail.found ? '' : detail.detail).toBe('its address is that of shop/young by now');
  });

  it('leaves the old pod where it was known to be', () => {
    const parts = { links: [veth(10, 1), veth(11, 2)], netns: { 1: [at], 2: [at] } };
    const places = find(parts, [young, old], new Map([['old', [{ ifindex: 10, netnsid: 1 }]]]));
    expect([show(places.get('old')), show(places.get('young'))]).toEqual(['veth10:address', 'veth11:address']);
  });

  it('of a pod that has ended is nobody’s but the running one’s', () => {
    const places = find({ links: [veth(11, 2)], netns: { 2: [at] } }, [{ ...young, finished: true }, old]);
    expect([show(places.get('old')), show(places.get('young'))]).toEqual(['veth11:address', 'finished']);
  });

  it('is decided by the carrier where signs are equal', () => {
    const parts = { links: [veth(10, 1, { lowerUp: false }), veth(11, 2)], netns: { 1: [at], 2: [at] } };
    expect(one(parts)).toBe('veth11:address');
  });

  it('that only one family reused is decided by the other', () => {
    const both = pod({ ips: ['10.0.0.2', 'fd00::2'] });
    const six = { ifindex: 2, address: 'fd00::2' };
    expect(one({ links: [veth(10, 1), veth(11, 2)], netns: { 1: [at], 2: [at, six] } }, both)).toBe('veth11:address');
  });
});

describe('a pod that was known', () => {
  const at = { ifindex: 2, address: '10.0.0.2' };
  const known = new Map([['uid', [{ ifindex: 10, netnsid: 1 }]]]);
  const other = pod({ uid: 'other', name: 'other', ips: ['10.0.0.3'] });
  const otherAt = { ifindex: 2, address: '10.0.0.3' };

  it('keeps its device when it removes its address', () => {
    const places = find({ links: [veth(10, 1)], netns: { 1: [] } }, [pod()], known);
    expect(show(places.get('uid'))).toBe('veth10:kept');
  });

  it('keeps its device when a second pod takes its address on, too', () => {
    const parts = { links: [veth(10, 1), veth(11, 2)], netns: { 1: [], 2: [at, otherAt] } };
    const both = new Map([...known, ['other', [{ ifindex: 11, netnsid: 2 }]]]);
    const places = find(parts, [pod({ createdMs: 9 }), other], both);
    expect([show(places.get('uid')), show(places.get('other'))]).toEqual(['veth10:kept', 'veth11:address']);
  });

  it('moves with a new sandbox, and keeps the old one while that is there', () => {
    const parts = { links: [veth(10, 1), veth(11, 2)], netns: { 1: [], 2: [at] } };
    expect(show(find(parts, [pod()], known).get('uid'))).toBe('veth11:address veth10:kept');
    const later = { links: [veth(11, 2)], netns: { 2: [at] } };
    expect(show(find(later, [pod()], known).get('uid'))).toBe('veth11:address');
  });

  it('is lost when its device goes, even if another device has its number in another namespace', () => {
    expect(show(find({ links: [veth(10, 2)], netns: { 2: [] } }, [pod()], known).get('uid'))).toBe('not-found');
  });
});

describe('uplinks', () => {
  const names = (links: Link[], routes: Route[], ofPods: number[] = []) =>
    findUplinks(links, routes, new Set(ofPods)).map(
      (u) => `${u.name}${u.isDefault ? '*' : ''}: ${u.queueing.map((l) => l.name).join()}`,
    );
  const eth0 = link(2, 'eth0');
  const eth1 = link(3, 'eth1');
  const defaultBy = (ifindex: number, table = 254) => route('0.0.0.0', 0, ifindex, { table, viaGateway: true });

  it('are the devices of default routes of both families and of all tables', () => {
    expect(names([eth0, eth1], [defaultBy(2), route('::', 0, 3)])).toEqual(['eth0*: eth0', 'eth1*: eth1']);
    expect(names([eth0, eth1], [defaultBy(2), defaultBy(3, 2)])).toEqual(['eth0*: eth0', 'eth1*: eth1']);
  });

  it('are also devices of a network without default route, if it ends at hardware or a gateway', () => {
    expect(names([eth0, eth1], [defaultBy(2), route('10.0.0.0', 16, 3)])).toEqual(['eth0*: eth0', 'eth1: eth1']);
    const inContainer = veth(9, 1);
    expect(names([inContainer], [route('10.0.0.0', 16, 9)])).toEqual([]);
    expect(names([inContainer], [route('10.1.0.0', 16, 9, { viaGateway: true })])).toEqual(['veth9: veth9']);
  });

  it('are also a bond without default route, and a VLAN on what leads off the node', () => {
    const links = [veth(2, 1), link(3, 'bond1', 'bond'), link(4, 'veth2.7', 'vlan', { link: 2 })];
    const vlanOfPods = [link(5, 'cni0', 'bridge'), link(6, 'cni0.7', 'vlan', { link: 5 })];
    const routes = [defaultBy(2), ...[3, 4, 6].map((ifindex) => route(`10.${ifindex}.0.0`, 16, ifindex))];
    expect(names([...links, ...vlanOfPods], routes)).toEqual(['veth2*: veth2', 'bond1: bond1', 'veth2.7: veth2']);
  });

  it('that are named are of any kind, and no others are; what cannot be one is told', () => {
    const links = [
      eth0,
      { ...link(1, 'lo'), loopback: true },
      link(5, 'br0', 'bridge'),
      link(6, 'eth6', undefined, { master: 5 }),
      veth(10, 1),
      veth(11, 2),
      link(7, 'wg0', 'wireguard'),
    ];
    const { uplinks, warnings } = namedUplinks(
      ['wg0', 'veth10', 'br0', 'br0', 'eth9', 'lo', 'veth11'],
      links,
      [defaultBy(2), defaultBy(10)],
      new Set([11]),
    );
    expect(uplinks.map(({ name, isDefault, queueing }) => [name, isDefault, queueing.map((at) => at.name)])).toEqual([
      ['br0', false, ['br0', 'eth6']],
      ['wg0', false, ['wg0']],
      ['veth10', true, ['veth10']],
    ]);
    expect(warnings).toEqual([
      '--uplink eth9: there is no such device',
      '--uplink lo: nothing leaves the node through loopback',
      "--uplink veth11: it is a pod's",
    ]);
  });

  it('are not loopback, bridges of pods, tunnels, or devices of pods', () => {
    const links = [
      eth0,
      { ...link(1, 'lo'), loopback: true },
      link(5, 'cni0', 'bridge'),
      link(6, 'docker0', 'bridge'),
      veth(10, 1, { master: 5 }),
      link(7, 'flannel.1', 'vxlan'),
      veth(11, 2),
    ];
    const routes = [
      defaultBy(2),
      route('127.0.0.0', 8, 1),
      route('10.0.0.0', 24, 5),
      route('172.17.0.0', 16, 6),
      route('10.0.1.0', 24, 7, { viaGateway: true }),
      host('10.0.0.2', 11),
      defaultBy(11, 100),
    ];
    expect(names(links, routes, [10, 11])).toEqual(['eth0*: eth0']);
  });

  it('queue where the packets really wait', () => {
    const bond = link(20, 'bond0', 'bond');
    const vlan = link(21, 'bond0.7', 'vlan', { link: 20 });
    const bridge = link(22, 'br0', 'bridge');
    const ports = [
      { ...eth0, master: 20 },
      { ...eth1, master: 20 },
    ];
    expect(names([bond, vlan, ...ports], [defaultBy(21)])).toEqual(['bond0.7*: eth0,eth1']);
    const bridged = [
      bridge,
      { ...eth0, master: 22 },
      veth(10, 1, { master: 22 }),
      link(11, 'tap0', 'tun', { master: 22 }),
    ];
    expect(names(bridged, [defaultBy(22)])).toEqual(['br0*: eth0']);
    expect(names([bond], [defaultBy(20)])).toEqual(['bond0*: bond0']);
    const macvlan = link(23, 'mac0', 'macvlan', { link: 2 });
    expect(names([eth0, macvlan], [defaultBy(23)])).toEqual(['mac0*: eth0']);
  });

  it('that stand on each other in a ring queue themselves', () => {
    const a = link(30, 'a', 'vlan', { link: 31 });
    const b = link(31, 'b', 'vlan', { link: 30 });
    expect(names([a, b], [defaultBy(30)])).toEqual(['a*: a']);
  });

  it('of several next hops are all of them', () => {
    const multipath = { ...defaultBy(2), ifindexes: [2, 3] };
    expect(names([eth0, eth1], [multipath])).toEqual(['eth0*: eth0', 'eth1*: eth1']);
  });
});
