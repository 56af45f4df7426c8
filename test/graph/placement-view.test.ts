import fc from 'fast-check';
import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads';
import { describe, expect, test } from 'vitest';
import { PairList, buildPeerMatrix } from '../../scheduler/graph/peer-matrix.ts';
import {
  type PlacementCluster,
  PlacementViewBuilder,
  transferOf,
  type ViewMessage,
} from '../../scheduler/graph/placement-view-builder.ts';
import { TrafficGraph } from '../../scheduler/graph/traffic-graph.ts';
import { PlacementViewReceiver } from '../../scheduler/placement/view-receiver.ts';
import type { PlacementView } from '../../scheduler/placement/view.ts';
import { agent, FakeCluster, report } from './fixture.ts';

const T = 1_700_000_000_000;

interface W {
  readonly desired?: number;
  readonly placed: Record<string, number>;
}

/** Workloads are Deployments of namespace shop. */
function cluster(
  nodes: string[],
  workloads: Record<string, W>,
  services: Record<string, string[]> = {},
): PlacementCluster {
  return {
    version: Object.keys(workloads).length,
    nodes: () => nodes.map((name, i) => ({ name, zone: i % 2 === 0 ? 'z-a' : undefined, region: 'r' })),
    workloads: () =>
      Object.entries(workloads).map(([name, w]) => ({
        key: `shop/Deployment/${name}`,
        ref: { namespace: 'shop' },
        desired: w.desired,
        placed: Object.values(w.placed).reduce((a, b) => a + b, 0),
        placedByNode: new Map(Object.entries(w.placed)),
      })),
    placementOff: () => false,
    ownerLinks: () =>
      Object.keys(workloads).map((name) => ({
        ownerKey: `shop/ReplicaSet/${name}-1`,
        workloadKey: `shop/Deployment/${name}`,
      })),
    service: (namespace, name) =>
      services[name] === undefined
        ? undefined
        : { type: 'service', namespace, name, uid: name, addresses: [], selector: {} },
    selectedBy: ({ name }) => services[name]!.map((w) => ({ key: `shop/Deployment/${w}` })),
  };
}

/** Sends a message between real ports, as between threads. */
function cross(message: ViewMessage): ViewMessage {
  const { port1, port2 } = new MessageChannel();
  port1.postMessage(message, transferOf(message));
  const received = (receiveMessageOnPort(port2) as { message: ViewMessage }).message;
  port1.close();
  return received;
}

/** A receiver whose turns run at once. */
function receiver(): PlacementViewReceiver {
  return new PlacementViewReceiver(undefined, (turn) => turn());
}

function shown(message: ViewMessage): PlacementView {
  const side = receiver();
  side.receive(message);
  return side.current!;
}

const REQUESTS = { milliCpu: 100, memoryBytes: 0, pods: 1 };

/** "web>cart 30 0.77" for every entry of every workload. */
function peersOf(view: PlacementView): string[] {
  const name = (w: number): string => view.names.workloads[w]!.split('/')[2]!;
  const out: string[] = [];
  for (let w = 0; w < view.workloadCount; w++) {
    for (let i = view.peerStart[w]!; i < view.peerStart[w + 1]!; i++) {
      const arrow = view.peerClient[i] === 1 ? '>' : '<';
      out.push(`${name(w)}${arrow}${name(view.peer[i]!)} ${view.peerBytesPerSecond[i]!.toFixed(1)}`);
    }
  }
  return out.sort();
}

const pods = (): FakeCluster =>
  new FakeCluster()
    .pod('10.1.0.5', 'n1', 'web-1', 'web')
    .pod('10.1.0.6', 'n1', 'cart-1', 'cart')
    .pod('10.1.0.7', 'n1', 'db-1', 'db')
    .service('10.96.0.1', 'db', ['n9'])
    .node('10.0.0.9', 'n9');

describe('placement view', () => {
  test('has nodes, replicas, placements and both ends of every edge, and crosses threads', () => {
    const graph = new TrafficGraph(pods());
    graph.agentConnected(agent('n1'), T);
    const rows = [
      { local: '10.1.0.6', remote: '10.1.0.5', role: 'server', sent: 100, received: 200 },
      { local: '10.1.0.6', remote: '10.1.0.5', role: 'server', sent: 100, received: 0, protocol: 17 },
      { local: '10.1.0.7', remote: '10.1.0.6', role: 'server', sent: 50, received: 50 },
      { local: '10.1.0.5', remote: '203.0.113.9', role: 'client', sent: 70, received: 0 },
      { local: '10.1.0.7', remote: '10.0.0.9', role: 'server', sent: 10, received: 20 },
    ] as const;
    graph.record('n1', report({ seq: 1 }, rows), T + 10_000);
    const builder = new PlacementViewBuilder(
      graph,
      cluster(['n1', 'n2', 'n3'], {
        web: { desired: 3, placed: { n2: 1, n1: 1 } },
        cart: { placed: { n3: 2, gone: 1 } },
        db: { desired: 0, placed: {} },
      }),
    );
    const side = receiver();
    side.receive(cross(builder.build(T)));
    const view = side.current!;
    expect(view).toMatchObject({ version: 1, builtAtMs: T, nodeCount: 3, workloadCount: 3, hasUnits: true });
    expect([...view.names.nodes]).toEqual(['n1', 'n2', 'n3']);
    expect(view.names.nodeIndex.get('n2')).toBe(1);
    expect([...view.nodeZone]).toEqual([0, -1, 0]);
    expect(view.names.zones).toEqual(['z-a']);
    expect([...view.nodeRegion]).toEqual([0, 0, 0]);
    expect([...view.nodeLive]).toEqual([1, 1, 1]);
    expect(view.names.workloads).toEqual(['shop/Deployment/web', 'shop/Deployment/cart', 'shop/Deployment/db']);
    expect(view.names.ownerIndex.get('shop/ReplicaSet/cart-1')).toBe(1);
    expect([...view.replicas]).toEqual([3, 3, 1]);
    expect([...view.placedStart]).toEqual([0, 2, 3]);
    expect([...view.placedEnd]).toEqual([2, 3, 3]);
    expect([...view.placedNode]).toEqual([0, 1, 2]);
    expect([...view.placedCount]).toEqual([1, 1, 2]);
    expect(peersOf(view)).toEqual(['cart<web 40.0', 'cart>db 10.0', 'db<cart 10.0', 'web>cart 40.0']);
    expect([...view.otherBytesPerSecond].map((rate) => rate.toFixed(1))).toEqual(['7.0', '0.0', '3.0']);
    expect(view.peerConfidence[0]).toBeGreaterThan(0.2);
    expect(view.peerConfidence[0]).toBeLessThanOrEqual(1);
  });

  test('goes on from the one before: only new names cross, indices stay, what is gone is dead', () => {
    const graph = new TrafficGraph(pods());
    const before = { web: { placed: { n1: 1 } }, cart: { placed: { n2: 1 } } };
    const parts = { cluster: cluster(['n1', 'n2'], before) };
    const builder = new PlacementViewBuilder(
      graph,
      new Proxy(parts.cluster, { get: (_, key) => Reflect.get(parts.cluster, key) as unknown }),
    );
    const side = receiver();
    side.receive(builder.build(T));
    parts.cluster = cluster(['n2', 'n4'], { cart: { placed: { n4: 1 } }, db: { placed: {} }, pay: { placed: {} } });
    const second = builder.build(T + 1);
    expect(second.names.workloads.ends).toHaveLength(2);
    side.receive(second);
    const view = side.current!;
    expect(view.names.nodes).toEqual(['n1', 'n2', 'n4']);
    expect([...view.nodeLive]).toEqual([0, 1, 1]);
    expect(view.names.workloads.map((key) => key.split('/')[2])).toEqual(['web', 'cart', 'db', 'pay']);
    expect([...view.replicas]).toEqual([0, 1, 1, 1]);
    expect([...view.placedNode]).toEqual([2]);
  });

  test('starts the names anew when those that are gone outnumber the others', () => {
    const graph = new TrafficGraph(pods());
    const parts = { cluster: cluster(['n1'], {}) };
    const live = new Proxy(parts.cluster, { get: (_, key) => Reflect.get(parts.cluster, key) as unknown });
    const builder = new PlacementViewBuilder(graph, live, { maxGoneNames: 10 });
    const side = receiver();
    let resets = 0;
    for (let i = 0; i < 100; i++) {
      parts.cluster = cluster(['n1', `x${i}`], { [`job-${i}`]: { placed: { n1: 1 } } });
      const message = builder.build(T + i);
      if (message.reset) resets++;
      side.receive(message);
      const view = side.current!;
      const w = view.names.workloadIndex.get(`shop/Deployment/job-${i}`)!;
      expect(view.replicas[w]).toBe(1);
      expect(view.names.nodes[view.placedNode[view.placedStart[w]!]!]).toBe('n1');
      expect(view.names.ownerIndex.get(`shop/ReplicaSet/job-${i}-1`)).toBe(w);
      expect(view.names.workloads.length).toBeLessThan(30);
    }
    expect(resets).toBeGreaterThan(5);
  });

  test('has the free room of nodes, what a replica asks for, and the replicas to come', () => {
    const asks = (milliCpu: number) => ({ milliCpu, memoryBytes: 10, pods: 1 });
    const base = cluster(['n1', 'n2'], {
      web: { desired: 3, placed: { n1: 1 } },
      job: { placed: { n2: 1 } },
      scaled: { desired: 0, placed: {} },
    });
    const room: PlacementCluster = {
      ...base,
      nodes: () => [
        { name: 'n1', zone: undefined, region: undefined, allocatable: { milliCpu: 4000, memoryBytes: 0, pods: 10 } },
        { name: 'n2', zone: undefined, region: undefined, allocatable: { milliCpu: 500, memoryBytes: 100, pods: 10 } },
      ],
      usedOn: (node) => ({ milliCpu: node === 'n1' ? 1500 : 600, memoryBytes: 40, pods: 4 }),
      workloads: () =>
        [...base.workloads()].map((workload) => ({ ...workload, pending: 2, requests: asks(workload.placed * 100) })),
    };
    const view = shown(new PlacementViewBuilder(new TrafficGraph(pods()), room).build(T));
    expect([...view.nodeMilliCpu]).toEqual([4000, 500]);
    expect([...view.freeMilliCpu]).toEqual([2500, 0]);
    expect([...view.nodeMemoryBytes]).toEqual([Infinity, 100]);
    expect([...view.freeMemoryBytes]).toEqual([Infinity, 60]);
    expect([...view.freePods]).toEqual([6, 6]);
    // Nobody says how many replicas the job wants: those that stand, and those that wait. Nor of what is scaled up from none.
    expect([...view.replicas]).toEqual([3, 3, 2]);
    expect([...view.toCome]).toEqual([2, 2, 2]);
    expect([...view.milliCpu]).toEqual([100, 100, 0]);
  });

  test('has the links of nodes: said, measured or assumed, and what goes over them', () => {
    const graph = new TrafficGraph(pods());
    graph.agentConnected(agent('n1'), T);
    const uplink = { speedSource: 'device', txBytes: 9_000, rxBytes: 100 } as const;
    const uplinks = [
      { ...uplink, name: 'eth0', speedBps: 8e6 },
      { ...uplink, name: 'wlan0', speedBps: 1e6 },
    ];
    graph.record('n1', { ...report({ seq: 1 }, []), uplinks }, T + 10_000);
    const deployment = (name: string) => ({ kind: 'Deployment', namespace: 'shop', name });
    graph.setFileTraffic([
      { client: deployment('web'), server: deployment('cart'), bytesPerSecondOut: 1000, bytesPerSecondIn: 400 },
      {
        client: deployment('cart'),
        server: { kind: 'External', namespace: '', name: '203.0.113.0/24' },
        bytesPerSecondOut: 50_000,
        bytesPerSecondIn: 0,
      },
    ]);
    const base = cluster(['n1', 'n2', 'n3'], { web: { placed: { n1: 1, n2: 1 } }, cart: { placed: { n2: 1 } } });
    const linked: PlacementCluster = {
      ...base,
      nodes: () => [...base.nodes()].map((node) => (node.name === 'n2' ? { ...node, linkMbps: 0.4 } : node)),
      workloads: () =>
        [...base.workloads()].map((w) =>
          w.key.endsWith('cart') ? { ...w, egress: { limitBytesPerSecond: 40_000 } } : w,
        ),
    };
    const view = shown(new PlacementViewBuilder(graph, linked, { linkBytesPerSecond: 7e7 }).build(T + 10_000));
    expect(view.hasLinks).toBe(true);
    expect([...view.nodeLink]).toEqual([1e6, 5e4, 7e7]);
    expect([...view.txBytesPerSecond]).toEqual([500, 40_000]);
    expect([...view.rxBytesPerSecond]).toEqual([200, 1000]);
    // n1's agent measured 900 and 10 a second; on n2, half of web's traffic with cart stays.
    expect([...view.nodeTx].map(Math.round)).toEqual([900, 40_500 - 700, 0]);
    expect([...view.nodeRx].map(Math.round)).toEqual([200, 1200 - 700, 0]);
    const without = shown(new PlacementViewBuilder(new TrafficGraph(pods()), base).build(T));
    expect(without.hasLinks).toBe(false);
    expect([...without.nodeLink]).toEqual([Infinity, Infinity, Infinity]);
  });

  test('has the target of a plan, whose names may come later, and the room that it still needs', () => {
    const parts = { cluster: cluster(['n1', 'n2'], { web: { desired: 3, placed: { n1: 1 } } }) };
    const live = new Proxy(parts.cluster, { get: (_, key) => Reflect.get(parts.cluster, key) as unknown });
    const builder = new PlacementViewBuilder(new TrafficGraph(pods()), live);
    const side = receiver();
    const show = (at: number): PlacementView => {
      side.receive(cross(builder.build(at)));
      return side.current!;
    };
    expect(show(T).target).toBeUndefined();
    builder.target = {
      version: 5,
      workloads: ['shop/Deployment/cart', 'shop/Deployment/web'],
      nodes: ['n2', 'n1', 'n3'],
      workload: Int32Array.of(0, 1, 1, 1),
      node: Int32Array.of(0, 0, 1, 2),
      count: Int32Array.of(1, 1, 2, 1),
    };
    const target = (view: PlacementView): string[] =>
      [...view.target!.node].map((n, i) => `${view.names.nodes[n]} ${view.target!.count[i]}`);
    expect(target(show(T + 1))).toEqual(['n1 2', 'n2 1']);
    const withRequests = (name: string, desired: number, placed: Record<string, number>) => ({
      ...[...cluster([], { [name]: { desired, placed } }).workloads()][0]!,
      requests: REQUESTS,
    });
    const last = cluster(['n1', 'n2', 'n3'], {});
    parts.cluster = {
      ...last,
      version: 9,
      workloads: () => [withRequests('web', 4, { n1: 1 }), withRequests('cart', 1, {})],
    };
    const view = show(T + 2);
    expect(target(view)).toEqual(['n1 2', 'n2 1', 'n3 1', 'n2 1']);
    expect([...view.target!.start]).toEqual([0, 3, 4]);
    expect([...view.target!.reservedMilliCpu]).toEqual([100, 200, 100]);
    expect(view.target!.version).toBe(5);
  });

  test('a receiver that outlives its builder takes the names of the next one', () => {
    const graph = new TrafficGraph(pods());
    const side = receiver();
    side.receive(new PlacementViewBuilder(graph, cluster(['n1', 'n2'], { cart: { placed: { n2: 1 } } })).build(T));
    side.receive(new PlacementViewBuilder(graph, cluster(['n2'], { cart: { placed: { n2: 1 } } })).build(T + 1));
    const { names, nodeCount, placedNode } = side.current!;
    expect(names.nodes).toEqual(['n2']);
    expect(names.nodeIndex.get('n2')).toBe(placedNode[0]);
    expect(nodeCount).toBe(1);
  });

  test('tells a node by its index only for views whose names still hold', () => {
    const parts = { cluster: cluster(['n1', 'n2'], {}) };
    const live = new Proxy(parts.cluster, { get: (_, key) => Reflect.get(parts.cluster, key) as unknown });
    const builder = new PlacementViewBuilder(new TrafficGraph(pods()), live, { maxGoneNames: 0 });
    builder.build(T);
    expect(builder.nodeIndexOf('n2', T)).toBe(1);
    expect(builder.nodeIndexOf('elsewhere', T)).toBeUndefined();
    expect(builder.nodeIndexOf('n2', T - 1)).toBeUndefined();
    for (let i = 0; i < 4; i++) {
      parts.cluster = cluster([`x${i}`, 'n2'], {});
      builder.build(T + 1 + i);
    }
    expect(builder.nodeIndexOf('n2', T)).toBeUndefined();
    expect(builder.nodeIndexOf('n2', T + 4)).toBeDefined();
  });

  test('edges of a traffic file go before measured ones, Services stand for their workloads', () => {
    const graph = new TrafficGraph(pods());
    graph.record(
      'n1',
      report({ seq: 1 }, [{ local: '10.1.0.6', remote: '10.1.0.5', role: 'server', received: 100 }]),
      T,
    );
    const d = (name: string): { kind: string; namespace: string; name: string } => ({
      kind: 'Deployment',
      namespace: 'shop',
      name,
    });
    graph.setFileTraffic([
      { client: d('web'), server: d('cart'), bytesPerSecondOut: 5, bytesPerSecondIn: 6 },
      {
        client: d('cart'),
        server: { kind: 'Service', namespace: 'shop', name: 'db' },
        bytesPerSecondOut: 8,
        bytesPerSecondIn: 0,
      },
      {
        client: d('cart'),
        server: { kind: 'External', namespace: '', name: '203.0.113.0/24' },
        bytesPerSecondOut: 3,
        bytesPerSecondIn: 0,
      },
      { client: d('nobody'), server: d('cart'), bytesPerSecondOut: 3, bytesPerSecondIn: 0 },
    ]);
    const workloads = { web: { placed: {} }, cart: { placed: {} }, db: { placed: {} }, db2: { placed: {} } };
    const builder = new PlacementViewBuilder(graph, cluster(['n1'], workloads, { db: ['db', 'db2'] }));
    const side = receiver();
    side.receive(builder.build(T));
    expect(peersOf(side.current!)).toEqual([
      'cart<web 11.0',
      'cart>db 4.0',
      'cart>db2 4.0',
      'db2<cart 4.0',
      'db<cart 4.0',
      'web>cart 11.0',
    ]);
    expect(side.current!.otherBytesPerSecond[1]).toBe(3);
    expect([...side.current!.peerConfidence].every((c) => c === 1)).toBe(true);
    expect(builder.stats.fileEdgesUnknown).toBe(1);
    graph.setFileTraffic([]);
    side.receive(builder.build(T));
    expect(peersOf(side.current!)).toEqual(['cart<web 10.0', 'web>cart 10.0']);
  });

  test('a workload that is gone still has its living peers, for its next pod may come before the next view', () => {
    const graph = new TrafficGraph(pods());
    graph.record(
      'n1',
      report({ seq: 1 }, [{ local: '10.1.0.6', remote: '10.1.0.5', role: 'server', received: 100 }]),
      T,
    );
    const workloads: Record<string, W> = { web: { placed: {} }, cart: { placed: {} } };
    const builder = new PlacementViewBuilder(graph, cluster(['n1'], workloads));
    const side = receiver();
    side.receive(builder.build(T));
    expect(peersOf(side.current!)).toEqual(['cart<web 10.0', 'web>cart 10.0']);
    delete workloads['web'];
    side.receive(builder.build(T));
    expect(peersOf(side.current!)).toEqual(['web>cart 10.0']);
    delete workloads['cart'];
    side.receive(builder.build(T));
    expect(peersOf(side.current!)).toEqual([]);
    expect(builder.stats.edgesGone).toBe(1);
  });

  test('a view is shown only when its names are in, a thousand a turn; answers go on meanwhile', () => {
    const turns: (() => void)[] = [];
    const seen: number[] = [];
    const side = new PlacementViewReceiver(
      (view) => seen.push(view.version),
      (turn) => turns.push(turn),
    );
    const graph = new TrafficGraph(pods());
    const many = Object.fromEntries(Array.from({ length: 3_000 }, (_, i) => [`w${i}`, { placed: {} }]));
    const builder = new PlacementViewBuilder(graph, cluster(['n1'], many));
    side.receive(builder.build(T));
    side.receive(builder.build(T));
    expect(side.current).toBeUndefined();
    let count = 0;
    while (turns.length > 0) {
      turns.shift()!();
      count++;
    }
    expect(count).toBe(6);
    // The first is out of date by the time its names are in.
    expect(seen).toEqual([2]);
    expect(side.current!.names.workloads).toHaveLength(3_000);
  });

  test('the peer matrix equals a simple one for any edges', () => {
    const edge = fc.tuple(fc.nat(5), fc.nat(5), fc.integer({ min: 0, max: 9 }), fc.integer({ min: 0, max: 4 }));
    fc.assert(
      fc.property(
        fc.array(edge, { maxLength: 40 }),
        fc.integer({ min: 1, max: 12 }),
        fc.nat(6),
        (all, maxPeers, gone) => {
          const pairs = new PairList();
          for (const [c, s, rate, conf] of all) pairs.push(c, s, rate, conf / 4);
          const other = new Float64Array(6);
          const replicas = Int32Array.from({ length: 6 }, (_, w) => (w === gone ? 0 : 3));
          const m = buildPeerMatrix(pairs, replicas, maxPeers, other);
          for (let w = 0; w < 6; w++) {
            const twin: { peer: number; client: number; rate: number; weighted: number }[] = [];
            for (let p = 0; p < 6; p++) {
              if (p === gone) continue;
              for (const client of p === w ? [1] : [1, 0]) {
                const mine = all.filter(([c, s]) => (client === 1 ? c === w && s === p : s === w && c === p));
                const rate = mine.reduce((sum, e) => sum + e[2], 0);
                const weighted = mine.reduce((sum, e) => sum + (e[2] * e[3]) / 4, 0);
                if (rate > 0) twin.push({ peer: p, client, rate, weighted });
              }
            }
            const kept = new Set([...twin].sort((a, b) => b.rate - a.rate).slice(0, maxPeers));
            const left = twin.filter((e) => !kept.has(e)).reduce((sum, e) => sum + e.rate, 0);
            expect(other[w]).toBe(left);
            const expected = twin.filter((e) => kept.has(e));
            const range = [m.peerStart[w]!, m.peerStart[w + 1]!] as const;
            expect([...m.peer.subarray(...range)]).toEqual(expected.map((e) => e.peer));
            expect([...m.peerClient.subarray(...range)]).toEqual(expected.map((e) => e.client));
            expect([...m.peerBytesPerSecond.subarray(...range)]).toEqual(expected.map((e) => e.rate));
            for (const [i, e] of expected.entries())
              expect(m.peerConfidence[range[0] + i]).toBeCloseTo(e.weighted / e.rate, 5);
          }
        },
      ),
    );
  });
});
