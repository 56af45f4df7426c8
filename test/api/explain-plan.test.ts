import { describe, expect, test } from 'vitest';
import { Decisions } from '../../scheduler/api/decisions.ts';
import { Explainer } from '../../scheduler/api/explain.ts';
import { AddressBook } from '../../scheduler/cluster/address-book.ts';
import type { ClusterRecord } from '../../scheduler/cluster/model.ts';
import { plainController, plainPod } from '../../scheduler/cluster/plain-records.ts';
import { ClusterState } from '../../scheduler/cluster/state.ts';
import { askedNodes } from '../../scheduler/extender/decision.ts';
import { ClusterResolver } from '../../scheduler/graph/cluster-resolver.ts';
import type { NamedTarget } from '../../scheduler/graph/named-target.ts';
import { PlacementViewBuilder } from '../../scheduler/graph/placement-view-builder.ts';
import { TrafficGraph } from '../../scheduler/graph/traffic-graph.ts';
import { placementSettings, type PlanUse } from '../../scheduler/placement/index.ts';

const NODES = ['n1', 'n2', 'n3'];
const CART = 'shop/Deployment/cart';
const requests = { milliCpu: 1000, memoryBytes: 2 ** 20, pods: 1 };

/** cart (four wanted, one on n1) talks to db on n1; n2 has no room left. */
function cluster(): ClusterState {
  const node = (name: string): ClusterRecord => ({
    type: 'node',
    name,
    uid: name,
    addresses: [],
    podCidrs: [],
    zone: name,
    region: undefined,
    allocatable: { milliCpu: 3000, memoryBytes: 2 ** 30, pods: 110 },
  });
  const of = (name: string) => ({ kind: 'Deployment', name, uid: '' });
  const records = [
    ...NODES.map(node),
    ...['cart', 'db', 'bulk'].map((name) => plainController('Deployment', 'shop', name, 4)),
    plainPod('shop', 'cart-1', 'n1', of('cart'), requests),
    plainPod('shop', 'db-1', 'n1', of('db'), { ...requests, milliCpu: 10 }),
    plainPod('shop', 'bulk-1', 'n2', of('bulk'), { ...requests, milliCpu: 2500 }),
  ];
  const state = new ClusterState();
  state.apply(records.map((record) => ({ op: 'upsert' as const, record })));
  return state;
}

/** @param wanted node -> replicas of cart */
function target(wanted: Readonly<Record<string, number>>): NamedTarget {
  const nodes = Object.keys(wanted);
  return {
    version: 4,
    workloads: [CART],
    nodes,
    workload: new Int32Array(nodes.length),
    node: Int32Array.from(nodes, (_, n) => n),
    count: Int32Array.from(Object.values(wanted)),
  };
}

function explainer(plan: NamedTarget, decisions = new Decisions(() => undefined)): Explainer {
  const state = cluster();
  const graph = new TrafficGraph(new ClusterResolver(state, new AddressBook()));
  const ref = (name: string) => ({ namespace: 'shop', kind: 'Deployment', name });
  graph.setFileTraffic([{ client: ref('cart'), server: ref('db'), bytesPerSecondOut: 1e6, bytesPerSecondIn: 1e6 }]);
  const builder = (): PlacementViewBuilder => {
    const made = new PlacementViewBuilder(graph, state);
    made.target = plan;
    return made;
  };
  const explains = new Explainer(graph, state, placementSettings(), decisions, builder);
  explains.plan = () => plan;
  return explains;
}

describe('an explanation of a planned workload', () => {
  const planOf = (wanted: Readonly<Record<string, number>>) =>
    explainer(target(wanted)).explain({ workload: CART }, 1_000).explanation;

  test('names the node that the plan leads to', () => {
    const { plan, nodes } = planOf({ n1: 2 });
    expect(plan).toEqual({
      version: 4,
      state: 'open',
      targets: [{ node: 'n1', wanted: 2, placed: 1, state: 'open' }],
      more: 0,
    });
    expect(nodes.find(({ node }) => node === 'n1')!.score).toBeGreaterThan(0);
  });

  test('says that a target has no room, and does not score it', () => {
    const { plan, nodes } = planOf({ n2: 1 });
    expect(plan).toMatchObject({ state: 'full', targets: [{ node: 'n2', state: 'full' }] });
    expect(nodes.find(({ node }) => node === 'n2')).toMatchObject({ ruledOut: 'no-room', score: 0 });
  });

  test('says that a target is gone, of which a view knows nothing', () => {
    expect(planOf({ n9: 2 }).plan).toEqual({
      version: 4,
      state: 'absent',
      targets: [{ node: 'n9', wanted: 2, placed: 0, state: 'gone' }],
      more: 0,
    });
    expect(planOf({ n1: 2, n9: 1 }).plan!.targets.map(({ node, state }) => [node, state])).toEqual([
      ['n1', 'open'],
      ['n9', 'gone'],
    ]);
  });
});

test('an answer that is kept tells what the plan wanted then, and of nodes that are gone since', () => {
  const decisions = new Decisions(() => undefined);
  const plan: PlanUse = {
    version: 4,
    state: 'full',
    targets: [{ node: 'n2', wanted: 1, placed: 0, state: 'no-candidate' }],
    more: 0,
  };
  const decision = {
    atMs: 1,
    podUid: 'uid',
    namespace: 'shop',
    name: 'cart-2',
    workload: CART,
    candidates: 1,
    silence: undefined,
    top: [{ Host: 'n1', Score: 40 }],
    named: 1,
    viewVersion: 1,
    planVersion: 4,
    plan,
    durationMicros: 10,
  };
  decisions.add({ decision, asked: askedNodes(Int32Array.of(0), { names: { nodes: NODES }, builtAtMs: 1 }) });
  const { lastDecision } = explainer(target({ n2: 1, n9: 1 }), decisions).explain({ pod: 'shop/cart-2' }, 1_000);
  expect(lastDecision!.plan!.targets).toEqual([...plan.targets, { node: 'n9', wanted: 1, placed: 0, state: 'gone' }]);
  // Of a later plan nothing is said: it was not the one that was followed.
  const later = explainer({ ...target({ n9: 1 }), version: 5 }, decisions).explain({ pod: 'shop/cart-2' }, 1_000);
  expect(later.lastDecision!.plan).toEqual(plan);
});
