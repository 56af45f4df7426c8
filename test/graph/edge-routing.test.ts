import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { declaredRouting, minorOf } from '../../scheduler/cluster/service-routing.ts';
import { commonRouting } from '../../scheduler/graph/common-routing.ts';
import { bytesByNode, classifyRouting, type Replica, type ReplicaMatrix } from '../../scheduler/graph/edge-routing.ts';

/** A small generator of its own, so that runs repeat. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

const onNodes = (...nodes: number[]): Replica[] => nodes.map((n) => ({ node: `n${n}`, zone: `z${n % 2}` }));

/** Each client opens so many connections, to a server that `choose` finds for it. */
function measured(
  clients: readonly Replica[],
  servers: readonly Replica[],
  perClient: number,
  choose: (client: number, random: () => number) => number,
  seed = 1,
) {
  const random = randomOf(seed);
  const connections = new Float64Array(clients.length * servers.length);
  for (let i = 0; i < clients.length; i++) {
    for (let k = 0; k < perClient; k++) connections[i * servers.length + choose(i, random)]!++;
  }
  const matrix: ReplicaMatrix = { clients, servers, connections, bytes: connections.map((count) => count * 1000) };
  const count = (of: (replica: Replica) => boolean): number => servers.filter(of).length;
  return {
    matrix,
    found: classifyRouting(matrix, {
      total: servers.length,
      onNode: (node) => count((server) => server.node === node),
      inZone: (zone) => count((server) => server.zone === zone),
    }),
  };
}

const CLIENTS = onNodes(0, 1, 2, 3, 4);
const SERVERS = onNodes(0, 1, 2, 3);
const any = (_: number, random: () => number): number => Math.floor(random() * SERVERS.length);
const sameNode = (i: number, random: () => number): number => (i < 4 ? i : any(i, random));
const sameZone = (i: number, random: () => number): number => (i % 2) + 2 * Math.floor(random() * 2);

describe('how connections find their servers', () => {
  test('random choice, whatever the seed, is never taken for anything else', () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 1, max: 200 }), (seed, perClient) => {
        const { found } = measured(CLIENTS, SERVERS, perClient, any, seed);
        expect(found === undefined || found.routing === 'random').toBe(true);
      }),
    );
    expect(measured(CLIENTS, SERVERS, 100, any).found).toMatchObject({ routing: 'random', connections: 400 });
  });

  test('the same node first, though a client has none, and a few connections are older', () => {
    expect(measured(CLIENTS, SERVERS, 50, sameNode).found).toMatchObject({
      routing: 'same-node',
      share: 1,
      chance: 0.25,
    });
    const mostly = (i: number, random: () => number): number =>
      random() < 0.05 ? any(i, random) : sameNode(i, random);
    expect(measured(CLIENTS, SERVERS, 100, mostly).found?.routing).toBe('same-node');
    const half = (i: number, random: () => number): number => (random() < 0.5 ? any(i, random) : sameNode(i, random));
    expect(measured(CLIENTS, SERVERS, 100, half).found).toBeUndefined();
  });

  test('the same zone first', () => {
    expect(measured(CLIENTS, SERVERS, 50, sameZone).found).toMatchObject({ routing: 'same-zone', chance: 0.5 });
    // Nobody shares a node with a server: zones tell alone.
    expect(measured(onNodes(8, 9), SERVERS, 50, sameZone).found?.routing).toBe('same-zone');
  });

  test('pinned: to one leader, or each client to the server that it was given', () => {
    const leader = measured(CLIENTS, SERVERS, 20, () => 3);
    expect(leader.found).toMatchObject({ routing: 'pinned', share: 1, connections: 100 });
    expect([...bytesByNode(leader.matrix)]).toEqual([['n3', 1]]);
    const affinity = measured(CLIENTS, SERVERS, 20, (i) => (i + 1) % 4);
    expect(affinity.found?.routing).toBe('pinned');
    expect(bytesByNode(affinity.matrix).get('n1')).toBeCloseTo(0.4, 9);
  });

  test('nothing is said of few connections, of one server, or of servers all on one node', () => {
    expect(measured(CLIENTS, SERVERS, 5, sameNode).found).toBeUndefined();
    expect(measured(CLIENTS, onNodes(0), 500, () => 0).found).toBeUndefined();
    const together = measured(onNodes(0), onNodes(0, 0), 500, (_, random) => Math.floor(random() * 2));
    expect(together.found).toBeUndefined();
  });
});

describe('what a Service declares', () => {
  const service = (more: object) => ({
    type: 'service' as const,
    namespace: 'shop',
    name: 'cart',
    uid: 'u',
    addresses: ['10.96.0.1'],
    selector: {},
    ...more,
  });

  test.each([
    [{}, undefined, 'random'],
    [{ trafficDistribution: 'PreferClose' }, undefined, 'same-zone'],
    [{ trafficDistribution: 'PreferClose' }, 30, 'random'],
    [{ trafficDistribution: 'PreferClose' }, 31, 'same-zone'],
    [{ trafficDistribution: 'PreferSameZone' }, 33, 'random'],
    [{ trafficDistribution: 'PreferSameZone' }, 34, 'same-zone'],
    [{ trafficDistribution: 'PreferSameNode' }, 34, 'same-node'],
    [{ trafficDistribution: 'PreferSameNode' }, 33, 'random'],
    [{ trafficDistribution: 'PreferSomethingNew' }, 40, 'random'],
    [{ internalLocal: true as const }, 25, 'same-node'],
  ])('%j in 1.%s: %s', (of, minor, routing) => {
    expect(declaredRouting(of, minor)).toBe(routing);
    expect(commonRouting([service(of)], minor)).toBe(routing);
  });

  test('counts where all Services before a workload say the same, but headless ones', () => {
    const near = service({ trafficDistribution: 'PreferSameNode' });
    const headless = service({ addresses: [] });
    expect(commonRouting([near, headless, near], 35)).toBe('same-node');
    expect(commonRouting([near, service({})], 35)).toBe('random');
    expect(commonRouting([headless], 35)).toBe('random');
    expect(commonRouting([], 35)).toBe('random');
  });

  test('versions are read from what kubelets say', () => {
    expect(['v1.34.1', 'v1.35.0-beta.0', '1.31', 'v1.34+', 'v1.33.2-gke.100'].map(minorOf)).toEqual([
      34, 35, 31, 34, 33,
    ]);
    expect(['', 'v2.1.0', 'main'].map(minorOf)).toEqual([undefined, undefined, undefined]);
  });
});
