import { describe, expect, test } from 'vitest';
import { ignoredText } from '../../scheduler/graph/ignored-distribution.ts';
import { PlacementViewBuilder } from '../../scheduler/graph/placement-view-builder.ts';
import { RoutingSurvey } from '../../scheduler/graph/routing-survey.ts';
import { StructureIndex, type StructureWorkload } from '../../scheduler/graph/structure-index.ts';
import { TrafficGraph } from '../../scheduler/graph/traffic-graph.ts';
import { ROUTINGS } from '../../scheduler/placement/routing.ts';
import { PlacementViewReceiver } from '../../scheduler/placement/view-receiver.ts';
import type { ServiceRecord } from '../../scheduler/cluster/model.ts';
import { agent, FakeCluster, report } from './fixture.ts';

const T = 1_700_000_000_000;
const CART = 'shop/Deployment/cart';
const WEB = 'shop/Deployment/web';

/** web-i and cart-i on node ni, four of each. */
const NODES = [0, 1, 2, 3];
const resolver = new FakeCluster();
for (const i of NODES) {
  resolver.pod(`10.1.0.${i}`, `n${i}`, `web-${i}`, 'web').pod(`10.2.0.${i}`, `n${i}`, `cart-${i}`, 'cart');
}

/** @param connections from web-i to cart-j, as cart-j's node reports them */
function graphOf(connections: (i: number, j: number) => number): TrafficGraph {
  const graph = new TrafficGraph(resolver);
  for (const j of NODES) {
    graph.agentConnected(agent(`n${j}`), T);
    const rows = NODES.filter((i) => connections(i, j) > 0).map((i) => ({
      local: `10.2.0.${j}`,
      remote: `10.1.0.${i}`,
      role: 'server' as const,
      received: 1000 * connections(i, j),
      connections: connections(i, j),
    }));
    graph.record(`n${j}`, report({ seq: 1 }, rows), T + 10_000);
  }
  return graph;
}

const placedByNode = new Map(NODES.map((i) => [`n${i}`, 1]));
const cluster = {
  podNamed: (_: string, name: string) => ({ node: `n${name.split('-')[1]}` }),
  node: () => ({ zone: undefined }),
  workload: () => ({ placed: 4, placedByNode }),
};

function survey(graph: TrafficGraph): RoutingSurvey {
  const made = new RoutingSurvey(graph, cluster);
  made.step(0);
  return made;
}

const cart = (trafficDistribution?: string): ServiceRecord => ({
  type: 'service',
  namespace: 'shop',
  name: 'cart',
  uid: 'u',
  addresses: ['10.96.0.1'],
  selector: { app: 'cart' },
  ...(trafficDistribution === undefined ? {} : { trafficDistribution }),
});

function structure(...services: ServiceRecord[]) {
  const workload = (name: string): StructureWorkload => ({
    key: `shop/Deployment/${name}`,
    template: undefined,
    labels: { app: name },
  });
  return {
    structure: 1,
    structures: () => [['shop', 1]] as const,
    workloadsIn: () => [workload('cart'), workload('web')],
    servicesIn: () => services,
  };
}

describe('a survey of the measured pod edges', () => {
  test('tells what each edge does, once a minute', () => {
    const near = survey(graphOf((i, j) => (i === j ? 40 : 0)));
    expect(near.edges).toEqual([
      { client: WEB, server: CART, routing: 'same-node', connections: 160, share: 1, chance: 0.25, pins: new Map() },
    ]);
    const spread = survey(graphOf(() => 10));
    expect(spread.edges).toMatchObject([{ routing: 'random', connections: 160, share: 0.25 }]);
    expect(spread.version).toBe(1);
    spread.step(59_999);
    expect(spread.version).toBe(1);
    spread.step(60_000);
    expect(spread.version).toBe(2);
    const leader = survey(graphOf((_, j) => (j === 2 ? 20 : 0)));
    expect(leader.edges).toMatchObject([{ routing: 'pinned', pins: new Map([['n2', 1]]) }]);
    expect(survey(graphOf((i, j) => (i === j ? 2 : 0))).edges).toEqual([]);
  });

  test('flags a Service whose trafficDistribution is not heeded', () => {
    const { edges } = survey(graphOf(() => 10));
    const ignored = (minor: number | undefined, ...services: ServiceRecord[]): string[] => {
      const graph = new TrafficGraph(resolver);
      const nodes = minor === undefined ? [] : [{ name: 'n0', zone: undefined, region: undefined, minor }];
      const builder = new PlacementViewBuilder(graph, {
        ...emptyCluster,
        ...structure(...services),
        nodes: () => nodes,
      });
      builder.survey = { version: 1, edges };
      builder.build(T);
      return builder.ignoredDistributions().map(ignoredText);
    };
    expect(ignored(35, cart('PreferSameNode'))).toEqual([
      'shop/cart (PreferSameNode): of 160 connections of shop/Deployment/web 25 % stayed near, 25 % by chance',
    ]);
    // Too old to know it, not asked to, and of two it is not known which.
    expect(ignored(33, cart('PreferSameNode'))).toEqual([]);
    expect(ignored(35, cart())).toEqual([]);
    expect(ignored(35, cart('PreferSameNode'), { ...cart(), name: 'other' })).toEqual([]);
    expect(new StructureIndex(structure(cart())).refresh()).toBe(true);
  });

  test('overrules what Services declare, in views', () => {
    const routingOf = (graph: TrafficGraph, surveyed: RoutingSurvey | undefined, service: ServiceRecord) => {
      const workloads = [WEB, CART].map((key) => ({
        key,
        ref: { namespace: 'shop' },
        desired: 4,
        placed: 4,
        placedByNode,
      }));
      const nodes = NODES.map((i) => ({ name: `n${i}`, zone: undefined, region: undefined, minor: 35 }));
      const of = { ...emptyCluster, ...structure(service), nodes: () => nodes, workloads: () => workloads };
      const builder = new PlacementViewBuilder(graph, of);
      builder.survey = surveyed;
      const receiver = new PlacementViewReceiver(undefined, (turn) => turn());
      receiver.receive(builder.build(T + 20_000));
      const view = receiver.current!;
      return {
        routings: [...view.peerRouting].map((code) => ROUTINGS[code]),
        pins: [...view.pinNode].map((n, p) => `${view.names.nodes[n]} ${view.pinShare[p]}`),
      };
    };
    const spread = graphOf(() => 10);
    expect(routingOf(spread, undefined, cart('PreferSameNode')).routings).toEqual(['same-node', 'same-node']);
    expect(routingOf(spread, survey(spread), cart('PreferSameNode')).routings).toEqual(['random', 'random']);
    const leader = graphOf((_, j) => (j === 2 ? 20 : 0));
    expect(routingOf(leader, survey(leader), cart())).toEqual({ routings: ['pinned', 'random'], pins: ['n2 1'] });
  });
});

const emptyCluster = {
  version: 1,
  nodes: () => [],
  workloads: () => [],
  placementOff: () => false,
  ownerLinks: () => [],
  service: () => undefined,
  selectedBy: () => [],
};
