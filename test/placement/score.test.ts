import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { explainScore, placementSettings, scoreNodes, type PlacementView } from '../../scheduler/placement/index.ts';
import { buildView, type ViewSpec } from '../support/view-fixture.ts';
import { arbitraryPlannedSpec, arbitrarySpec, roomy } from './arbitraries.ts';
import { naiveScores } from './naive-score.ts';

const SETTINGS = placementSettings();
const ALL_NAMED = placementSettings({ maxNamed: 1000 });
const RUNS = { numRuns: 3000 };
const A = 'shop/Deployment/w0';

const everyNode = (view: PlacementView) => Array.from({ length: view.nodeCount }, (_, n) => n);

function ask(spec: ViewSpec, workload = A, settings = SETTINGS, candidates?: readonly string[], podUid = 'uid-1') {
  const view = buildView(spec);
  const request = {
    workload: view.names.workloadIndex.get(workload),
    podUid,
    candidates: candidates?.map((name) => view.names.nodeIndex.get(name) ?? -1) ?? everyNode(view),
  };
  const scores = scoreNodes(view, request, settings);
  return { ...scores, byName: Object.fromEntries(scores.named.map((n) => [view.names.nodes[n.node]!, n.score])) };
}

/** Frontend and cart: all traffic of cart is with frontend, in one zone each. */
const SHOP: ViewSpec = {
  nodes: [
    { name: 'n1', zone: 'a', region: 'r' },
    { name: 'n2', zone: 'a', region: 'r' },
    { name: 'n3', zone: 'b', region: 'r' },
    { name: 'n4', zone: 'c', region: 's' },
  ],
  workloads: [
    { key: 'shop/Deployment/cart', replicas: 1 },
    { key: 'shop/Deployment/frontend', placed: { n1: 1 } },
    { key: 'shop/DaemonSet/agent', placed: { n1: 1, n2: 1 } },
  ],
  edges: [
    { client: 'shop/Deployment/frontend', server: 'shop/Deployment/cart', bytesPerSecond: 2e6 },
    { client: 'shop/DaemonSet/agent', server: 'shop/Deployment/frontend', bytesPerSecond: 5e6 },
  ],
};
const CART = 'shop/Deployment/cart';

describe('what a node is worth', () => {
  test('the peer node gets the whole range, its zone 0.3, its region 0.1, elsewhere is not named', () => {
    expect(ask(SHOP, CART).byName).toEqual({ n1: 80, n2: 24, n3: 8 });
  });

  test('the second pod of a Deployment of one replaces the first, and may stand where that stands', () => {
    const standing = (key: string): ViewSpec => ({
      ...SHOP,
      workloads: [{ key, placed: { n1: 1 } }, ...SHOP.workloads.slice(1)],
      edges: [{ client: 'shop/Deployment/frontend', server: key, bytesPerSecond: 2e6 }],
    });
    expect(ask(standing(CART), CART).byName).toEqual({ n1: 80, n2: 24, n3: 8 });
    // Others start no second pod before the first is gone.
    const job = 'shop/Job/cart';
    expect(ask(standing(job), job).byName['n1']).toBeUndefined();
  });

  test('a score range of 10 is the same answer in coarser steps', () => {
    expect(ask(SHOP, CART, placementSettings({ scoreRange: 10 })).byName).toEqual({ n1: 10, n2: 3, n3: 1 });
  });

  test('the least score among the candidates is subtracted from all', () => {
    expect(ask(SHOP, CART, SETTINGS, ['n1', 'n2', 'n3']).byName).toEqual({ n1: 72, n2: 16 });
    expect(ask(SHOP, CART, SETTINGS, ['n1', 'n2']).byName).toEqual({ n1: 56 });
    expect(ask(SHOP, CART, SETTINGS, ['n2'])).toMatchObject({ named: [], silence: 'no-difference' });
  });

  test('traffic that cannot be co-located dilutes the share', () => {
    const spec = {
      ...SHOP,
      workloads: SHOP.workloads.map((w) => (w.key === CART ? { ...w, otherBytesPerSecond: 6e6 } : w)),
    };
    expect(ask(spec, CART).byName).toEqual({ n1: 20, n2: 6, n3: 2 });
  });

  test('confidence scales an edge, not the traffic that it is compared with', () => {
    const spec = { ...SHOP, edges: [{ ...SHOP.edges[0]!, confidence: 0.5 }] };
    expect(ask(spec, CART).byName).toEqual({ n1: 40, n2: 12, n3: 4 });
  });

  test('below the floor of 200 kbit/s a replica the score shrinks with the traffic, and not where data has no unit', () => {
    const loud = { client: 'other/Deployment/a', server: 'other/Deployment/b', bytesPerSecond: 1e9 };
    const workloads = [...SHOP.workloads, ...[loud.client, loud.server].map((key) => ({ key, replicas: 1 }))];
    const withQuiet = (bytesPerSecond: number): ViewSpec => ({
      ...SHOP,
      workloads,
      edges: [{ ...SHOP.edges[0]!, bytesPerSecond }, loud],
    });
    const quiet = withQuiet(12_500);
    expect(ask(quiet, CART).byName).toEqual({ n1: 40, n2: 12, n3: 4 });
    expect(ask({ ...quiet, hasUnits: false }, CART).byName).toEqual({ n1: 80, n2: 24, n3: 8 });
    expect(ask(withQuiet(100), CART).named).toEqual([]);
  });

  test('in a cluster where all is quiet the floor is a tenth of the mean, and at least 2 kbit/s', () => {
    const all = (bytesPerSecond: number): ViewSpec => ({ ...SHOP, edges: [{ ...SHOP.edges[0]!, bytesPerSecond }] });
    expect(ask(all(12_500), CART).byName).toEqual({ n1: 80, n2: 24, n3: 8 });
    expect(ask(all(125), CART).byName).toEqual({ n1: 40, n2: 12, n3: 4 });
  });

  test('traffic both ways between two workloads adds up', () => {
    const back = { client: CART, server: 'shop/Deployment/frontend', bytesPerSecond: 1e6 };
    const spec = { ...SHOP, edges: [{ ...SHOP.edges[0]!, bytesPerSecond: 1e6 }, back] };
    expect(ask(spec, CART).byName).toEqual({ n1: 80, n2: 24, n3: 8 });
  });

  test('a node that holds half of the replicas gets nothing more for traffic, at least one replica is always allowed', () => {
    const cart = (placed: Record<string, number>, replicas: number): ViewSpec => ({
      ...SHOP,
      workloads: SHOP.workloads.map((w) => (w.key === CART ? { ...w, placed, replicas } : w)),
    });
    expect(ask(cart({ n1: 1 }, 4), CART).byName['n1']).toBeGreaterThan(0);
    expect(ask(cart({ n1: 2 }, 4), CART).byName['n1']).toBeUndefined();
    expect(ask(cart({ n1: 2 }, 3), CART).byName['n1']).toBeUndefined();
    expect(ask(cart({}, 1), CART).byName['n1']).toBe(80);
    expect(ask(cart({ n1: 1 }, 2), CART).byName['n1']).toBeUndefined();
  });

  test('replicas of a workload that talk with each other are not packed together', () => {
    const spec: ViewSpec = {
      ...SHOP,
      workloads: [{ key: A, replicas: 6, placed: { n1: 1 } }],
      edges: [{ client: A, server: A, bytesPerSecond: 1e8 }],
    };
    expect(ask(spec).named).toEqual([]);
  });

  test('without zones only nodes are told apart', () => {
    const spec = { ...SHOP, nodes: SHOP.nodes.map(({ name }) => ({ name })) };
    expect(ask(spec, CART).byName).toEqual({ n1: 80 });
  });
});

describe('peers to come', () => {
  /** A node for each, with so many cores free. */
  const empty = (cores: readonly number[]): ViewSpec['nodes'] =>
    cores.map((free, i) => ({ name: `n${i}`, milliCpu: [64_000, free * 1000] }));
  const app = (
    nodes: ViewSpec['nodes'],
    own: number,
    peers: number,
    placed: Record<string, number> = {},
  ): ViewSpec => ({
    nodes,
    workloads: [
      { key: 'shop/Deployment/web', replicas: own, milliCpu: 500, placed },
      { key: CART, replicas: peers, milliCpu: 1000 },
    ],
    edges: [{ client: 'shop/Deployment/web', server: CART, bytesPerSecond: 2e6 }],
  });
  const WEB = 'shop/Deployment/web';

  test('the first pod goes where there is room for those that follow', () => {
    // One cart needs one core: a quarter of the free room.
    const { byName } = ask(app(empty([1, 2, 4, 60]), 1, 1), WEB);
    expect(byName['n3']).toBeGreaterThan(byName['n2']!);
    expect(byName['n2']).toBeGreaterThan(byName['n1']!);
    expect(byName['n0']).toBeUndefined();
  });

  test('replicas that one peer can serve stand together, those that find a peer each do not', () => {
    const nodes = empty([60, 60, 60]);
    const together = ask(app(nodes, 4, 2, { n0: 1 }), WEB).byName;
    expect(Object.keys(together)).toEqual(['n0']);
    expect(ask(app(nodes, 4, 4, { n0: 1 }), WEB).byName['n0']).toBeUndefined();
  });

  test('who is drawn elsewhere is not waited for', () => {
    const spec: ViewSpec = {
      ...app(empty([60, 60]), 1, 1),
      workloads: [...app([], 1, 1).workloads, { key: 'shop/StatefulSet/db', placed: { n1: 1 } }],
      edges: [
        { client: WEB, server: CART, bytesPerSecond: 2e6 },
        { client: CART, server: 'shop/StatefulSet/db', bytesPerSecond: 9e6 },
      ],
    };
    expect(ask(spec, WEB).byName).toEqual({ n1: expect.any(Number) as number });
  });

  test('it can be switched off', () => {
    expect(ask(app(empty([2, 60]), 1, 1), WEB, placementSettings({ lookAhead: 0 })).named).toEqual([]);
  });
});

test('beside soft preferences of its owner a pod has an eighth of the range', () => {
  const view = buildView(SHOP);
  const request = {
    workload: view.names.workloadIndex.get(CART),
    podUid: 'u',
    candidates: everyNode(view),
    soft: true,
  };
  expect(scoreNodes(view, request, SETTINGS).named.map((n) => n.score)).toEqual([10, 3, 1]);
  expect(scoreNodes(view, request, placementSettings({ scoreRange: 10 })).named.map((n) => n.score)).toEqual([1]);
  expect(explainScore(view, request, SETTINGS)).toMatchObject({ scoreRange: 10, soft: true });
});

describe('while room is scarce', () => {
  const db = 'shop/StatefulSet/db';
  /** Two workloads whose peer stands on n0; each asks for a core a replica, and `toCome` of the busy one are to come. */
  const crowd = (toCome: number, free = 30_000): ViewSpec => ({
    nodes: [0, 1].map((i) => ({ name: `n${i}`, milliCpu: [64_000, free] })),
    workloads: [
      { key: 'shop/Deployment/busy', replicas: 20, toCome, milliCpu: 1_000 },
      { key: 'shop/Deployment/calm', replicas: 1, toCome: 0, milliCpu: 1_000 },
      { key: db, placed: { n0: 1 } },
    ],
    edges: [
      { client: 'shop/Deployment/busy', server: db, bytesPerSecond: 99e6 },
      { client: 'shop/Deployment/calm', server: db, bytesPerSecond: 1e6 },
    ],
  });
  const ofCalm = (spec: ViewSpec) => ask(spec, 'shop/Deployment/calm').byName['n0'];

  test('a pod with little traffic for its size counts for less, as far as others are to come', () => {
    expect(ofCalm(crowd(0))).toBe(80);
    // 200 MB/s (both ends) for 21 cores: of half of that, 4.76 a core, calm has 0.21. Half of what is free is as good as asked for.
    expect(ofCalm(crowd(20))).toBe(48);
    expect(ofCalm(crowd(20, 5_000))).toBe(17);
    expect(ofCalm(crowd(10, 1e9))).toBe(80);
  });

  test('one with its share of the traffic does not, nor one of which nobody knows what it asks for', () => {
    expect(ask(crowd(20, 5_000), 'shop/Deployment/busy').byName['n0']).toBe(80);
    const light = crowd(20, 5_000);
    const workloads = light.workloads.map((w) => (w.key.endsWith('calm') ? { ...w, milliCpu: 0 } : w));
    expect(ofCalm({ ...light, workloads })).toBe(80);
  });
});

describe('room that replicas to come have a claim to', () => {
  const WEB = 'shop/Deployment/web';
  const BATCH = 'shop/Deployment/batch';
  /** Cart, of two cores, is to come and has its peer on n0, where `free` is left; batch asks for as much. */
  const room = (free: number, more: Partial<ViewSpec> = {}): ViewSpec => ({
    nodes: [free, 20_000].map((milliCpu, i) => ({ name: `n${i}`, milliCpu: [64_000, milliCpu] })),
    workloads: [
      { key: WEB, placed: { n0: 1 } },
      { key: CART, milliCpu: 2_000 },
      { key: BATCH, milliCpu: 2_000 },
      { key: 'shop/StatefulSet/db', placed: { n0: 1 } },
    ],
    edges: [{ client: WEB, server: CART, bytesPerSecond: 2e6 }],
    ...more,
  });
  const withOwn = (bytesPerSecond: number): Partial<ViewSpec> => ({
    edges: [...room(0).edges, { client: BATCH, server: 'shop/StatefulSet/db', bytesPerSecond }],
  });

  test("who has no traffic leaves them the last of it, and what is more than that is anybody's", () => {
    expect(ask(room(3_000), BATCH).byName).toEqual({ n1: 80 });
    expect(ask(room(4_000), BATCH)).toMatchObject({ named: [], silence: 'no-traffic' });
    // Cart does not fit either.
    expect(ask(room(1_000), BATCH).named).toEqual([]);
  });

  test('who gains more there than they would lose goes there', () => {
    expect(ask(room(3_000, withOwn(8e6)), BATCH).byName).toEqual({ n0: 60 });
    expect(ask(room(3_000, withOwn(2.5e6)), BATCH).byName).toEqual({ n0: 16 });
    expect(ask(room(3_000, withOwn(1.8e6)), BATCH).byName['n0']).toBeUndefined();
  });

  test('where there are places enough none of them is missed', () => {
    const workloads = [{ key: WEB, placed: { n0: 1, n1: 1 } }, ...room(0).workloads.slice(1)];
    expect(ask(room(3_000, { workloads }), BATCH).named).toEqual([]);
  });

  test('their own is their own, and of a trickle nobody is kept away for', () => {
    expect(ask(room(3_000), CART).byName).toEqual({ n0: 80 });
    const edges = [{ ...room(0).edges[0]!, bytesPerSecond: 25 }];
    expect(ask(room(3_000, { edges }), BATCH).byName).toEqual({ n1: 8 });
  });

  test('nor for those whose placement is switched off', () => {
    const workloads = room(0).workloads.map((w) => (w.key === CART ? { ...w, placementOff: true } : w));
    expect(ask(room(3_000, { workloads }), BATCH).named).toEqual([]);
  });

  test('a plan says better who needs which room', () => {
    expect(ask({ ...room(3_000), planVersion: 1 }, BATCH).named).toEqual([]);
  });

  test('the explanation names it', () => {
    const view = buildView(room(3_000));
    const request = { workload: view.names.workloadIndex.get(BATCH), podUid: 'u', candidates: everyNode(view) };
    expect(explainScore(view, request, SETTINGS, [0]).nodes.map((n) => [n.node, n.keptForPeers, n.score])).toEqual([
      ['n1', 0, 80],
      ['n0', 1, 0],
    ]);
  });
});

describe('limits', () => {
  const inZones = (placed: Record<string, number>, nodes: readonly string[]) =>
    ask(
      {
        ...SHOP,
        nodes: [...SHOP.nodes, { name: 'n5', zone: 'a', region: 'r' }],
        workloads: [{ key: CART, placed, replicas: 8 }, ...SHOP.workloads.slice(1)],
      },
      CART,
      placementSettings({ maxZoneReplicaShare: 0.5 }),
      nodes,
    ).byName;

  test('a node that somebody tainted PreferNoSchedule draws nobody', () => {
    const nodes = SHOP.nodes.map((node) => ({ ...node, avoided: node.name === 'n1' }));
    expect(ask({ ...SHOP, nodes }, CART).byName).toEqual({ n2: 24, n3: 8 });
  });

  test('a zone that holds its share of the replicas gets nothing more, where there is another one', () => {
    expect(inZones({ n2: 3 }, ['n1', 'n3', 'n5'])).toHaveProperty('n1');
    expect(inZones({ n2: 2, n5: 2 }, ['n1', 'n3', 'n5'])).not.toHaveProperty('n1');
    expect(inZones({ n2: 2, n5: 2 }, ['n1', 'n5'])).toHaveProperty('n1');
  });

  test('a node where less than a twentieth of the traffic becomes local is not named for it', () => {
    const spec = (share: number): ViewSpec => ({
      ...SHOP,
      workloads: [{ key: CART, replicas: 1, otherBytesPerSecond: 2e6 / share - 2e6 }, ...SHOP.workloads.slice(1)],
    });
    expect(ask(spec(0.06), CART).byName['n1']).toBe(5);
    expect(ask(spec(0.04), CART).named).toEqual([]);
    expect(ask(spec(0.04), CART, placementSettings({ minGain: 0 })).byName['n1']).toBe(3);
  });
});

describe('how connections find their server', () => {
  const CLIENT = 'shop/Deployment/client';
  /** One of two servers stands on n1, the other on n3; two clients are to come. */
  const pair = (routing: 'random' | 'same-zone' | 'same-node', more: Partial<ViewSpec> = {}): ViewSpec => ({
    ...SHOP,
    workloads: [
      { key: CLIENT, replicas: 2 },
      { key: CART, replicas: 4, placed: { n1: 1, n3: 3 } },
    ],
    edges: [{ client: CLIENT, server: CART, bytesPerSecond: 2e6, routing }],
    ...more,
  });

  test('by chance a client finds what part of the servers is there', () => {
    // On n1 a quarter of them, half of what one client makes of the traffic; its zone has no more, the region all.
    expect(ask(pair('random'), CLIENT).byName).toEqual({ n3: 80, n1: 44, n2: 16 });
  });

  test('on its node first, one server is enough, though it gets more than its share', () => {
    // Twice its fair load: (2 - 1.5)/1.5 of a half less.
    expect(ask(pair('same-node'), CLIENT).byName).toEqual({ n3: 80, n1: 68, n2: 21 });
  });

  test('in its zone first, the zone counts so, nodes as by chance', () => {
    expect(ask(pair('same-zone'), CLIENT).byName).toEqual({ n3: 80, n1: 49, n2: 21 });
  });

  test('a server goes to a node that has clients and no server yet', () => {
    const spec: ViewSpec = {
      ...SHOP,
      workloads: [
        { key: CLIENT, replicas: 4, placed: { n1: 3, n3: 1 } },
        { key: CART, replicas: 4, placed: { n1: 1 } },
      ],
      edges: [{ client: CLIENT, server: CART, bytesPerSecond: 8e6, routing: 'same-node' }],
    };
    expect(Object.keys(ask(spec, CART).byName)[0]).toBe('n3');
    expect(ask(spec, CART).byName['n1']).toBeUndefined();
  });

  test('pinned, it counts where the traffic is, not where servers are', () => {
    const spec = pair('random');
    const edges = [{ ...spec.edges[0]!, routing: 'pinned' as const, pins: { n1: 1 } }];
    expect(ask({ ...spec, edges }, CLIENT).byName).toEqual({ n1: 80, n2: 24, n3: 8 });
  });
});

describe('a plan', () => {
  const planned = (target: Record<string, number>, placed: Record<string, number> = {}): ViewSpec => ({
    ...SHOP,
    planVersion: 12,
    workloads: [{ key: CART, replicas: 4, placed, target }, ...SHOP.workloads.slice(1)],
  });

  test('leads: where it wants a replica beats where the peer is', () => {
    const scores = ask(planned({ n3: 2, n4: 2 }), CART);
    expect(scores.byName).toEqual({ n3: 56, n4: 56, n1: 24 });
    expect(scores.planVersion).toBe(12);
  });

  test('a target that is full, and one that is gone, fall back to the score', () => {
    const without = (placed: Record<string, number>) => ask({ ...planned({}, placed) }, CART).byName;
    expect(ask(planned({ n3: 1 }, { n3: 1 }), CART).byName).toEqual(without({ n3: 1 }));
    expect(ask(planned({ n3: 2 }), CART, SETTINGS, ['n1', 'n2', 'n4']).byName).toEqual(
      ask({ ...planned({}), planVersion: undefined } as unknown as ViewSpec, CART, SETTINGS, ['n1', 'n2', 'n4']).byName,
    );
  });

  test('a workload without traffic follows it too', () => {
    const spec = { ...planned({ n3: 1 }), edges: [] };
    expect(ask(spec, CART).byName).toEqual({ n3: 80 });
  });

  test('keeps its room: pods that it does not place go elsewhere', () => {
    const spec: ViewSpec = {
      nodes: [
        { name: 'n1', milliCpu: [10_000, 3_000] },
        { name: 'n2', milliCpu: [10_000, 3_000] },
      ],
      workloads: [
        { key: CART, replicas: 2, milliCpu: 1_500, target: { n1: 2 } },
        { key: 'shop/Deployment/new', milliCpu: 1_000 },
      ],
      edges: [],
      planVersion: 1,
    };
    // n1 lacks 1,000 of what is promised, a tenth of the node.
    expect(ask(spec, 'shop/Deployment/new')).toMatchObject({ byName: { n2: 40 }, least: -0.5 });
  });
});

describe('no opinion', () => {
  const silence = (spec: ViewSpec, key: string) => {
    const { named, silence } = ask(spec, key);
    expect(named).toEqual([]);
    return silence;
  };
  test('an unknown workload', () => expect(silence(SHOP, 'shop/Deployment/new')).toBe('unknown-workload'));
  test('a DaemonSet', () => expect(silence(SHOP, 'shop/DaemonSet/agent')).toBe('one-per-node'));
  test('no traffic', () => expect(silence({ ...SHOP, edges: [] }, CART)).toBe('no-traffic'));
  test('a workload that the view does not cover yet', () => {
    const view = { ...buildView(SHOP), workloadCount: 1 };
    const scores = scoreNodes(view, { workload: 1, podUid: 'u', candidates: [0, 1] }, SETTINGS);
    expect(scores).toEqual({ named: [], silence: 'unknown-workload', least: 0 });
  });
  test('no candidates', () =>
    expect(ask(SHOP, CART, SETTINGS, [])).toMatchObject({ named: [], silence: 'no-difference' }));
  test('unknown and dead candidates count as 0', () => {
    expect(ask(SHOP, CART, SETTINGS, ['n1', 'elsewhere']).byName).toEqual({ n1: 80 });
    const dead = { ...SHOP, nodes: SHOP.nodes.map((n) => ({ ...n, live: n.name !== 'n1' })) };
    expect(ask(dead, CART, SETTINGS, ['n1', 'n2']).byName).toEqual({ n2: 24 });
  });
  test('figures that are no number count as none', () => {
    for (const bytesPerSecond of [NaN, -1, Infinity, 0]) {
      expect(ask({ ...SHOP, edges: [{ ...SHOP.edges[0]!, bytesPerSecond }] }, CART).named).toEqual([]);
    }
  });
});

describe('which nodes are named', () => {
  const wide = (zoneMates: number): ViewSpec => ({
    ...SHOP,
    nodes: [
      ...SHOP.nodes,
      ...Array.from({ length: zoneMates }, (_, i) => ({ name: `mate-${i}`, zone: 'a', region: 'r' })),
    ],
  });

  test('at most 32, the best first, however many share a zone', () => {
    const { named } = ask(wide(200), CART);
    expect(named).toHaveLength(32);
    expect(named[0]).toEqual({ node: 0, score: 80 });
    expect(new Set(named.slice(1).map((n) => n.score))).toEqual(new Set([24]));
  });

  test('different pods break ties differently, the same pod always the same, in whichever order the candidates come', () => {
    const spec = wide(200);
    const names = spec.nodes.map((n) => n.name);
    const first = ask(spec, CART, SETTINGS, names).byName;
    expect(Object.keys(ask(spec, CART, SETTINGS, [...names].reverse()).byName)).toEqual(Object.keys(first));
    expect(Object.keys(ask(spec, CART, SETTINGS, names, 'uid-2').byName)).not.toEqual(Object.keys(first));
    const hits = new Map<string, number>();
    for (let pod = 0; pod < 400; pod++) {
      for (const name of Object.keys(ask(spec, CART, SETTINGS, names, `uid-${pod}`).byName)) {
        hits.set(name, (hits.get(name) ?? 0) + 1);
      }
    }
    hits.delete('n1');
    expect(hits.size).toBe(201);
    // 31 of 201 places: 62 of 400 pods on the mean, standard deviation 7.2.
    expect(Math.min(...hits.values())).toBeGreaterThan(30);
    expect(Math.max(...hits.values())).toBeLessThan(95);
  });

  test('a limit above the sorting threshold gives the beginning of the same order', () => {
    const many = ask(wide(200), CART, placementSettings({ maxNamed: 150 })).named;
    expect(many).toHaveLength(150);
    expect(many.slice(0, 32)).toEqual(ask(wide(200), CART).named);
  });

  test('a candidate that is listed twice is named once', () => {
    expect(ask(SHOP, CART, SETTINGS, ['n1', 'n1', 'n4', 'n1']).named).toEqual([{ node: 0, score: 80 }]);
  });
});

describe('properties', () => {
  const asked = (specs: fc.Arbitrary<ViewSpec>) =>
    specs.chain((spec) =>
      fc.record({
        spec: fc.constant(spec),
        candidates: fc.subarray([...spec.nodes.map((n) => n.name), 'unknown-node'], { minLength: 1 }),
      }),
    );
  const withCandidates = asked(arbitrarySpec);

  test.each([
    ['without a plan', arbitrarySpec],
    ['with a plan', arbitraryPlannedSpec],
  ])('the answer equals the formula written out, %s', (_, specs) => {
    fc.assert(
      fc.property(asked(specs), ({ spec, candidates }) => {
        const naive = naiveScores(spec, A, candidates, ALL_NAMED);
        const positive = Object.fromEntries([...naive].filter(([, score]) => score > 0));
        expect(ask(spec, A, ALL_NAMED, candidates).byName).toEqual(positive);
      }),
      RUNS,
    );
  });

  test('nodes in another order get the same scores', () => {
    fc.assert(
      fc.property(arbitraryPlannedSpec, fc.nat(), (spec, turn) => {
        const by = turn % spec.nodes.length;
        const turned = { ...spec, nodes: [...spec.nodes.slice(by), ...spec.nodes.slice(0, by)].reverse() };
        expect(ask(turned, A, ALL_NAMED).byName).toEqual(ask(spec, A, ALL_NAMED).byName);
      }),
      RUNS,
    );
  });

  test('scores are whole numbers within 1..range, in falling order, the same at every call', () => {
    fc.assert(
      fc.property(withCandidates, fc.integer({ min: 1, max: 100 }), ({ spec, candidates }, scoreRange) => {
        const settings = placementSettings({ scoreRange });
        const { named } = ask(spec, A, settings, candidates);
        let before = scoreRange;
        for (const { score } of named) {
          expect(Number.isInteger(score) && score >= 1 && score <= before).toBe(true);
          before = score;
        }
        expect(ask(spec, A, settings, candidates).named).toEqual(named);
      }),
      RUNS,
    );
  });

  // Where room is scarce, a peer that has found its place leaves more of it to the others: then they too may gain.
  test('one more replica of a peer on a node never lowers that node', () => {
    fc.assert(
      fc.property(arbitrarySpec.map(roomy), fc.nat(), fc.nat(), (spec, pickWorkload, pickNode) => {
        const peers = spec.workloads.slice(1);
        const live = spec.nodes.filter((n) => n.live !== false);
        if (peers.length === 0 || live.length === 0) return;
        const peer = peers[pickWorkload % peers.length]!;
        const node = live[pickNode % live.length]!.name;
        // The replica that is added was wanted before: only where it stands is new.
        const wanted = (peer.replicas ?? 0) + 1;
        const at = (added: number): ViewSpec => ({
          ...spec,
          workloads: spec.workloads.map((w) =>
            w === peer
              ? { ...w, replicas: wanted, placed: { ...w.placed, [node]: (w.placed?.[node] ?? 0) + added } }
              : w,
          ),
        });
        const score = (added: number) => ask(at(added), A, ALL_NAMED).byName[node] ?? 0;
        expect(score(1)).toBeGreaterThanOrEqual(score(0));
      }),
      RUNS,
    );
  });

  test('nor does it fill the link of the node', () => {
    fc.assert(
      fc.property(arbitrarySpec, fc.nat(), fc.nat(), (full, pickWorkload, pickNode) => {
        const spec = { ...full, workloads: full.workloads.map((w) => ({ ...w, milliCpu: 0, memoryBytes: 0 })) };
        const peers = spec.workloads.slice(1);
        const live = spec.nodes.filter((n) => n.live !== false);
        if (peers.length === 0 || live.length === 0) return;
        const peer = peers[pickWorkload % peers.length]!;
        const node = live[pickNode % live.length]!.name;
        const wanted = (peer.replicas ?? 0) + 1;
        const explained = (added: number) => {
          const placed = { ...peer.placed, [node]: (peer.placed?.[node] ?? 0) + added };
          const workloads = spec.workloads.map((w) => (w === peer ? { ...w, replicas: wanted, placed } : w));
          const view = buildView({ ...spec, workloads });
          const request = { workload: view.names.workloadIndex.get(A), podUid: 'u', candidates: everyNode(view) };
          return explainScore(view, request, ALL_NAMED, everyNode(view)).nodes.find((n) => n.node === node);
        };
        const before = explained(0);
        const after = explained(1);
        if (before?.link === undefined || after?.link === undefined) return;
        expect(after.link.used).toBeLessThanOrEqual(before.link.used + 1e-12);
        expect(after.link.penalty).toBeLessThanOrEqual(before.link.penalty + 1e-12);
      }),
      RUNS,
    );
  });

  test('above the floor only proportions count', () => {
    fc.assert(
      fc.property(arbitrarySpec, fc.constantFrom(2, 3, 10, 1000), (spec, factor) => {
        const settings = placementSettings({ maxNamed: 1000, floorBytesPerSecond: 1e-6 });
        const scaled: ViewSpec = {
          ...spec,
          edges: spec.edges.map((e) => ({ ...e, bytesPerSecond: e.bytesPerSecond * factor })),
          nodes: spec.nodes.map(({ link, ...node }) =>
            link === undefined ? node : { ...node, link: [link[0] * factor, link[1] * factor, link[2] * factor] },
          ),
          workloads: spec.workloads.map((w) => ({
            ...w,
            otherBytesPerSecond: (w.otherBytesPerSecond ?? 0) * factor,
            tx: (w.tx ?? 0) * factor,
            rx: (w.rx ?? 0) * factor,
          })),
        };
        expect(ask(scaled, A, settings).byName).toEqual(ask(spec, A, settings).byName);
      }),
      RUNS,
    );
  });

  test('the explanation says what the answer says, and its terms add up', () => {
    fc.assert(
      fc.property(fc.oneof(arbitrarySpec, arbitraryPlannedSpec), (spec) => {
        const view = buildView(spec);
        const request = { workload: view.names.workloadIndex.get(A), podUid: 'u', candidates: everyNode(view) };
        const scores = scoreNodes(view, request, SETTINGS);
        const explained = explainScore(view, request, SETTINGS, everyNode(view));
        expect(explained.silence).toBe(scores.silence);
        expect(explained.nodes.filter((n) => n.named).map((n) => [view.names.nodeIndex.get(n.node), n.score])).toEqual(
          scores.named.map((n) => [n.node, n.score]),
        );
        for (const node of explained.nodes) {
          if (!node.named) expect(node.score).toBe(0);
          for (const level of ['node', 'zone', 'region'] as const) {
            const unknown = level !== 'node' && node[level] === undefined;
            const sum = node.terms.filter((t) => t.level === level).reduce((a, t) => a + t.gain, 0);
            if (!unknown) expect(node.gains[level]).toBeCloseTo(sum, 9);
          }
        }
      }),
      RUNS,
    );
  });
});

test('the explanation of a new cart pod names the figures', () => {
  const view = buildView(SHOP);
  const request = { workload: view.names.workloadIndex.get(CART), podUid: 'u', candidates: everyNode(view) };
  const explained = explainScore(view, request, SETTINGS, [3]);
  expect(explained).toMatchObject({
    workload: CART,
    silence: undefined,
    least: 0,
    basis: { replicas: 1, knownBytesPerSecond: 2e6, floorFactor: 1, replicaCap: 1, floorBytesPerSecond: 25_000 },
    peers: [
      { workload: 'shop/Deployment/frontend', role: 'server', bytesPerSecond: 2e6, shareOfTraffic: 1, confidence: 1 },
    ],
  });
  expect(explained.nodes.map((n) => [n.node, n.zone, n.score, n.named, n.capped])).toEqual([
    ['n1', 'a', 80, true, false],
    ['n2', 'a', 24, true, false],
    ['n3', 'b', 8, true, false],
    ['n4', 'c', 0, false, false],
  ]);
  expect(explained.nodes[1]!.terms).toEqual([
    { peer: 0, level: 'zone', placedOwn: 0, placedPeer: 1, gain: 1 },
    { peer: 0, level: 'region', placedOwn: 0, placedPeer: 1, gain: 1 },
  ]);
});

test.each([
  [{ scoreRange: 0 }, 'scoreRange'],
  [{ scoreRange: 7.5 }, 'scoreRange'],
  [{ maxReplicaShare: 0 }, 'maxReplicaShare'],
  [{ maxNamed: 0 }, 'maxNamed'],
  [{ maxZoneReplicaShare: 1.5 }, 'maxZoneReplicaShare'],
  [{ lookAhead: -1 }, 'lookAhead'],
  [{ minGain: NaN }, 'minGain'],
  [{ headroomPenalty: 2 }, 'headroomPenalty'],
  [{ softShare: 0 }, 'softShare'],
  [{ maxLinkUse: 0 }, 'maxLinkUse'],
  [{ floorBytesPerSecond: NaN }, 'floorBytesPerSecond'],
  [{ levelWeights: { node: 0.1, zone: 0.3, region: 0.1 } }, 'levelWeights'],
])('settings that cannot be used are refused by name: %j', (given, name) => {
  expect(() => placementSettings(given)).toThrowError(
    expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining(name) }),
  );
});
