import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findPodInterfaces, type KnownPlaces } from '../../bandwidth/interfaces/find.ts';
import type { NodeNetwork, NodePod, PodPlace } from '../../bandwidth/interfaces/types.ts';
import { host, link, network, pod, route, veth, type Parts } from './fixture.ts';

const CNIS = ['ptp', 'bridge', 'cilium', 'gvisor-ptp', 'gvisor-bridge', 'macvlan'] as const;

interface ModelPod {
  readonly cni: (typeof CNIS)[number];
  readonly families: 'v4' | 'v6' | 'both';
  readonly secondaries: number;
  readonly netkit: boolean;
  readonly hostNetwork: boolean;
  /** A namespace that had the address before, with its device, and a pod that ended with it. */
  readonly stale: boolean;
}

const modelPod: fc.Arbitrary<ModelPod> = fc.record({
  cni: fc.constantFrom(...CNIS),
  families: fc.constantFrom('v4', 'v6', 'both'),
  secondaries: fc.nat(2),
  netkit: fc.boolean(),
  hostNetwork: fc.boolean(),
  stale: fc.boolean(),
});

/** A node as its CNI would set it up, and the devices (by index) that each pod has. */
function build(models: readonly ModelPod[]): {
  network: NodeNetwork;
  pods: NodePod[];
  expected: Map<string, readonly number[] | string>;
} {
  const links = [link(2, 'eth0'), link(5, 'cni0', 'bridge'), link(6, 'docker0', 'bridge')];
  const netns: Record<number, { ifindex: number; address: string }[]> = {
    900: [{ ifindex: 2, address: '172.17.0.2' }],
  };
  const routes = [route('0.0.0.0', 0, 2, { viaGateway: true }), route('10.0.0.0', 16, 5)];
  const neighbours: NodeNetwork['neighbours'][number][] = [];
  const forwarding: NodeNetwork['forwarding'][number][] = [];
  links.push(veth(900, 900, { master: 6 }));
  const pods: NodePod[] = [];
  const expected = new Map<string, readonly number[] | string>();
  for (const [i, model] of models.entries()) {
    const netnsid = i + 1;
    const uid = `pod${i}`;
    const all = { v4: [`10.0.0.${i + 2}`], v6: [`fd00::${i + 2}`], both: [`10.0.0.${i + 2}`, `fd00::${i + 2}`] };
    const ips = all[model.families];
    pods.push(pod({ uid, name: uid, ips, hostNetwork: model.hostNetwork, createdMs: 1000 + i }));
    const first = 100 + 10 * i;
    const kind = model.netkit ? { kind: 'netkit', netkitPrimary: true } : {};
    const devices = Array.from({ length: model.cni === 'macvlan' ? 0 : 1 + model.secondaries }, (_, k) =>
      veth(first + k, netnsid, { link: 2 + k, ...kind, ...(model.cni.endsWith('bridge') ? { master: 5 } : {}) }),
    );
    if (model.hostNetwork) {
      expected.set(uid, 'host-network');
      continue;
    }
    links.push(...devices);
    netns[netnsid] = devices.slice(1).map((d) => ({ ifindex: d.link!, address: `192.168.${i}.${d.link}` }));
    netns[netnsid].push({ ifindex: 1, address: '127.0.0.1' });
    for (const address of ips) {
      if (!model.cni.startsWith('gvisor')) netns[netnsid].push({ ifindex: 2, address });
      if (model.cni.endsWith('ptp')) routes.push(host(address, first));
      if (model.cni === 'gvisor-bridge') {
        const mac = `02:00:00:00:00:${(i + 2).toString(16).padStart(2, '0')}`;
        neighbours.push({ ifindex: 5, family: address.includes(':') ? 6 : 4, address, mac });
        forwarding.push({ ifindex: first, master: 5, mac });
      }
    }
    expected.set(uid, model.cni === 'macvlan' ? 'not-found' : devices.map((d) => d.ifindex));
    // Only where the host route tells the two apart.
    if (model.stale && model.cni === 'ptp') {
      links.push(veth(first + 9, 500 + i));
      netns[500 + i] = ips.map((address) => ({ ifindex: 2, address }));
      pods.push(pod({ uid: `old${i}`, name: `old${i}`, ips, finished: true, createdMs: i }));
      expected.set(`old${i}`, 'finished');
    }
  }
  return { network: network({ links, netns, routes, neighbours, forwarding }), pods, expected };
}

const devicesOf = (place: PodPlace | undefined): readonly number[] =>
  place?.found ? place.interfaces.map((i) => i.ifindex) : [];
const outcome = (place: PodPlace): readonly number[] | string => (place.found ? devicesOf(place) : place.reason);
const knownOf = (places: ReadonlyMap<string, PodPlace>): KnownPlaces =>
  new Map([...places].flatMap(([uid, place]) => (place.found ? [[uid, place.interfaces] as const] : [])));

/** Every list in another order. */
function shuffled(net: NodeNetwork, seed: number): NodeNetwork {
  const mix = <T>(list: readonly T[]): T[] =>
    list
      .map((item, i) => [((i + 1) * 7919 * (seed + 1)) % 104_729, item] as const)
      .sort(([a], [b]) => a - b)
      .map(([, item]) => item);
  return {
    links: mix(net.links),
    routes: mix(net.routes),
    neighbours: mix(net.neighbours),
    forwarding: mix(net.forwarding),
    namespaces: new Map(
      mix([...net.namespaces]).map(([id, ns]) => [id, 'addresses' in ns ? { addresses: mix(ns.addresses) } : ns]),
    ),
  };
}

describe('on a node as CNIs set it up', () => {
  it('every pod is found with exactly its devices, in whatever order things are listed', () => {
    fc.assert(
      fc.property(fc.array(modelPod, { maxLength: 12 }), fc.nat(1000), (models, seed) => {
        const { network: net, pods, expected } = build(models);
        const places = findPodInterfaces(shuffled(net, seed), [...pods].reverse());
        expect(Object.fromEntries([...places].map(([uid, place]) => [uid, outcome(place)]))).toEqual(
          Object.fromEntries(expected),
        );
      }),
    );
  });

  it('what is known does not change what is found, and pods that go leave the others alone', () => {
    fc.assert(
      fc.property(fc.array(modelPod, { maxLength: 12 }), fc.func(fc.boolean()), (models, stays) => {
        const { network: net, pods } = build(models);
        const places = findPodInterfaces(net, pods);
        expect(findPodInterfaces(net, pods, knownOf(places))).toEqual(places);
        const left = pods.filter((p) => stays(p.uid));
        const gone = new Set(pods.filter((p) => !left.includes(p)).flatMap((p) => devicesOf(places.get(p.uid))));
        const smaller = { ...net, links: net.links.filter((l) => !gone.has(l.ifindex)) };
        const later = findPodInterfaces(smaller, left, knownOf(places));
        for (const p of left) expect(later.get(p.uid)).toEqual(places.get(p.uid));
      }),
    );
  });
});

describe('whatever the kernel and the API server say', () => {
  const address = fc.constantFrom('10.0.0.2', '10.0.0.3', 'fd00::2', 'not an address');
  const ifindex = fc.integer({ min: 1, max: 8 });
  const device = fc.record({
    ifindex,
    kind: fc.constantFrom('veth', 'netkit', 'bridge', 'vxlan', undefined),
    netnsid: fc.constantFrom(-1, 1, 2, 3, undefined),
    peer: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined }),
    lowerUp: fc.boolean(),
  });
  const world: fc.Arbitrary<Parts> = fc.record({
    links: fc.uniqueArray(device, { selector: (d) => d.ifindex, maxLength: 8 }).map((list) =>
      list.map((d) =>
        link(d.ifindex, `d${d.ifindex}`, d.kind, {
          lowerUp: d.lowerUp,
          ...(d.netnsid === undefined ? {} : { linkNetnsid: d.netnsid }),
          ...(d.peer === undefined ? {} : { link: d.peer }),
        }),
      ),
    ),
    netns: fc
      .array(fc.tuple(fc.constantFrom(1, 2, 3, 4), fc.record({ ifindex, address })), { maxLength: 8 })
      .map((list) => Object.fromEntries([1, 2, 3].map((id) => [id, list.filter(([n]) => n === id).map(([, a]) => a)]))),
    routes: fc.array(
      fc
        .tuple(address, ifindex, fc.nat(2), fc.boolean(), fc.constantFrom(254, 100, 255), fc.boolean())
        .map(([a, i, priority, viaGateway, table, isDefault]) =>
          isDefault ? route('0.0.0.0', 0, i, { table }) : { ...host(a, i), priority, viaGateway, table },
        ),
      { maxLength: 8 },
    ),
  });
  const anyPods = fc.uniqueArray(
    fc
      .record({
        uid: fc.constantFrom('a', 'b', 'c', 'd'),
        ips: fc.array(address, { maxLength: 3 }),
        hostNetwork: fc.boolean(),
        finished: fc.boolean(),
        createdMs: fc.nat(3),
      })
      .map(pod),
    { selector: (p) => p.uid },
  );
  const anyKnown: fc.Arbitrary<KnownPlaces> = fc
    .array(fc.tuple(fc.constantFrom('a', 'b', 'c', 'x'), ifindex, fc.integer({ min: 1, max: 3 })), { maxLength: 4 })
    .map((list) => new Map(list.map(([uid, i, netnsid]) => [uid, [{ ifindex: i, netnsid }]])));

  it('no device is two pods’, none is taken that leads nowhere else, and the order of lists is nothing', () => {
    fc.assert(
      fc.property(world, anyPods, anyKnown, fc.nat(1000), (parts, pods, known, seed) => {
        const net = network(parts);
        const places = findPodInterfaces(net, pods, known);
        expect([...places.keys()].sort()).toEqual(pods.map((p) => p.uid).sort());
        const used = [...places.values()].flatMap(devicesOf);
        expect(new Set(used).size).toBe(used.length);
        const defaults = net.routes.filter((r) => r.prefixLength === 0 && r.table === 254).flatMap((r) => r.ifindexes);
        for (const index of used) {
          const found = net.links.find((l) => l.ifindex === index)!;
          expect(['veth', 'netkit']).toContain(found.kind);
          expect(found.linkNetnsid).toBeGreaterThanOrEqual(0);
          expect(defaults).not.toContain(index);
        }
        for (const p of pods) {
          const place = places.get(p.uid)!;
          if (p.hostNetwork || p.finished || p.ips.every((ip) => ip === 'not an address')) {
            expect(place.found).toBe(false);
          }
          if (place.found) expect(place.interfaces.length).toBeGreaterThan(0);
          else expect(place.detail).not.toBe('');
        }
        expect(findPodInterfaces(shuffled(net, seed), [...pods].reverse(), known)).toEqual(places);
      }),
      { numRuns: 500 },
    );
  });

  it('what was found stays found while nothing changes', () => {
    fc.assert(
      fc.property(world, anyPods, (parts, pods) => {
        const net = network(parts);
        const first = findPodInterfaces(net, pods);
        const second = findPodInterfaces(net, pods, knownOf(first));
        for (const [uid, place] of first) {
          if (place.found) expect(new Set(devicesOf(second.get(uid)))).toEqual(new Set(devicesOf(place)));
        }
        expect(findPodInterfaces(net, pods, knownOf(second))).toEqual(second);
      }),
      { numRuns: 500 },
    );
  });
});
