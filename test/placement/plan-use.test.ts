import { describe, expect, test } from 'vitest';
import {
  explainScore,
  likelyCandidates,
  placementSettings,
  scoreNodes,
  type PlanUse,
} from '../../scheduler/placement/index.ts';
import { buildView, type ViewSpec } from '../support/view-fixture.ts';

const CART = 'shop/Deployment/cart';
const SETTINGS = placementSettings();
const NODES = ['n1', 'n2', 'n3', 'n4'];

interface Asked {
  readonly target?: Readonly<Record<string, number>>;
  readonly placed?: Readonly<Record<string, number>>;
  readonly replicas?: number;
  readonly candidates?: readonly string[];
  readonly nodes?: Readonly<Record<string, Partial<ViewSpec['nodes'][number]>>>;
}

/** What an answer, and its explanation, say of the plan. */
function asked({ target, placed = {}, replicas = 4, candidates = NODES, nodes = {} }: Asked): PlanUse | undefined {
  const view = buildView({
    nodes: NODES.map((name) => ({ name, zone: name, milliCpu: [4000, 4000] as const, ...nodes[name] })),
    workloads: [
      { key: CART, replicas, placed, milliCpu: 1000, ...(target === undefined ? {} : { target }) },
      { key: 'shop/Deployment/db', placed: { n1: 1 } },
    ],
    edges: [{ client: CART, server: 'shop/Deployment/db', bytesPerSecond: 1e7 }],
    planVersion: 5,
  });
  const request = { workload: 0, podUid: 'u', candidates: candidates.map((name) => NODES.indexOf(name)) };
  const { plan } = scoreNodes(view, { ...request, tellPlan: true }, SETTINGS);
  expect(explainScore(view, request, SETTINGS).plan).toEqual(plan);
  expect(scoreNodes(view, request, SETTINGS).plan).toBeUndefined();
  return plan;
}

describe('what an answer says of a plan', () => {
  test('names the node that it led to', () => {
    expect(asked({ target: { n1: 1, n3: 2 }, placed: { n1: 1 } })).toEqual({
      version: 5,
      state: 'open',
      targets: [
        { node: 'n3', wanted: 2, placed: 0, state: 'open' },
        { node: 'n1', wanted: 1, placed: 1, state: 'filled' },
      ],
      more: 0,
    });
  });

  test.each([
    ['as many stand there as it wants', { placed: { n3: 1 } }, 'full', 'filled'],
    ['kube-scheduler did not ask about it', { candidates: ['n1', 'n2'] }, 'full', 'no-candidate'],
    ['it has no room', { candidates: ['n1', 'n2'], nodes: { n3: { milliCpu: [4000, 900] as const } } }, 'full', 'full'],
    ['there is no such node now', { nodes: { n3: { live: false } } }, 'full', 'gone'],
    ['it is tainted PreferNoSchedule', { nodes: { n3: { avoided: true } } }, 'open', 'barred'],
  ] as const)('says that a target was not used for %s', (_, more, state, target) => {
    expect(asked({ target: { n3: 1 }, ...(more as Asked) })).toMatchObject({
      state,
      targets: [{ node: 'n3', wanted: 1, state: target }],
    });
  });

  test('says that the plan does not place it', () => {
    expect(asked({})).toEqual({ version: 5, state: 'absent', targets: [], more: 0 });
  });

  test('names eight nodes at most, open ones first, and counts the others', () => {
    const names = Array.from({ length: 12 }, (_, n) => `m${n}`);
    const view = buildView({
      nodes: names.map((name) => ({ name })),
      workloads: [
        {
          key: CART,
          replicas: 12,
          placed: Object.fromEntries(names.slice(0, 11).map((name) => [name, 1])),
          target: Object.fromEntries(names.map((name) => [name, 1])),
        },
      ],
      edges: [],
      planVersion: 2,
    });
    const request = { workload: 0, podUid: 'u', candidates: names.map((_, n) => n), tellPlan: true };
    const { plan } = scoreNodes(view, request, SETTINGS);
    expect(plan!.targets[0]).toEqual({ node: 'm11', wanted: 1, placed: 0, state: 'open' });
    expect(plan!.targets).toHaveLength(8);
    expect(plan!.more).toBe(4);
  });
});

describe('nodes that kube-scheduler could ask about', () => {
  const MBIT = 125_000;
  const view = (freePods: number) =>
    buildView({
      nodes: [
        { name: 'n1', milliCpu: [1000, 400] },
        { name: 'n2', freePods },
        { name: 'n3', live: false },
        { name: 'n4', link: [1000 * MBIT, 900 * MBIT, 0] },
        { name: 'n5' },
      ],
      workloads: [{ key: CART, milliCpu: 500, tx: 200 * MBIT }],
      edges: [],
    });

  test('have room for the pod, and a link that /filter does not refuse', () => {
    expect([...likelyCandidates(view(1), 0, SETTINGS)]).toEqual([1, 3, 4]);
    expect([...likelyCandidates(view(0), 0, SETTINGS)]).toEqual([3, 4]);
    expect([...likelyCandidates(view(0), 0, placementSettings({ maxLinkUse: 0.95 }))]).toEqual([4]);
  });

  test('are all that live, where none has room or nothing is known of the pod', () => {
    expect([...likelyCandidates(view(1), undefined, SETTINGS)]).toEqual([0, 1, 3, 4]);
    const full = buildView({ nodes: [{ name: 'n1', freePods: 0 }], workloads: [{ key: CART }], edges: [] });
    expect([...likelyCandidates(full, 0, SETTINGS)]).toEqual([0]);
  });
});

test('of a large cluster the nodes are explained that lose most by their links', () => {
  const MBIT = 125_000;
  const names = Array.from({ length: 60 }, (_, n) => `m${n}`);
  const view = buildView({
    // The peers stand where links are full: these nodes would be named first.
    nodes: names.map((name, n) => ({ name, zone: 'z', link: [1000 * MBIT, n < 2 ? 950 * MBIT : 0, 0] as const })),
    workloads: [
      { key: CART, replicas: 2, placed: { m59: 1 }, tx: 400 * MBIT, rx: 400 * MBIT },
      { key: 'shop/Deployment/db', placed: { m0: 1, m1: 1 } },
    ],
    edges: [{ client: CART, server: 'shop/Deployment/db', bytesPerSecond: 100 * MBIT }],
  });
  const request = { workload: 0, podUid: 'u', candidates: names.map((_, n) => n) };
  const { nodes } = explainScore(view, request, placementSettings({ maxNamed: 4 }));
  const full = nodes.filter(({ link }) => link!.penalty > 0);
  expect(full.map(({ node }) => node).sort()).toEqual(['m0', 'm1']);
  for (const { link, named, gains } of full) {
    expect(link!.used).toBeGreaterThan(0.9);
    expect({ named, local: gains.node > 0 }).toEqual({ named: false, local: true });
  }
});
