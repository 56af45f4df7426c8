import { beforeEach, describe, expect, test } from 'vitest';
import type { Logger } from '../../lib/log.ts';
import { silentLogger } from '../../lib/log.ts';
import type { PodRecord } from '../../scheduler/cluster/model.ts';
import type { Decision } from '../../scheduler/extender/decision.ts';
import { BoundPods } from '../../scheduler/process/bound-pods.ts';

const NODES = ['n1', 'n2', 'n3', 'n4'];
const SETTLED_MS = 2_000;

let nowMs: number;
let decisions: Map<string, Decision>;
let said: string[];
let pods: BoundPods;
let made: number;
let known: PodRecord | undefined;

beforeEach(() => {
  [nowMs, made] = [0, 0];
  decisions = new Map();
  said = [];
  pods = create(NODES.length);
});

function create(nodeCount: number): BoundPods {
  const logger: Logger = { ...silentLogger, warn: (text) => said.push(text), info: (text) => said.push(text) };
  return new BoundPods({
    decisionOf: (uid) => decisions.get(uid),
    podOf: () => known,
    workloadOf: ({ namespace, owner }) => ({ namespace, kind: owner!.kind, name: owner!.name }),
    nodeCount: () => nodeCount,
    logger,
  });
}

function pod(workload: string, node: string | undefined, kind = 'ReplicaSet'): PodRecord {
  return {
    type: 'pod',
    uid: `uid-${made}`,
    namespace: 'shop',
    name: `pod-${made}`,
    node,
    addresses: [],
    hostNetwork: false,
    phase: 'Pending',
    owner: { kind, name: workload, uid: 'x' },
    labels: {},
    requests: { milliCpu: 0, memoryBytes: 0, pods: 1 },
    mirror: false,
  };
}

function see(before: PodRecord | undefined, after: PodRecord): void {
  known = before;
  pods.changes([{ op: 'upsert', record: after }], nowMs);
}

type Asked = 'in time' | 'late' | 'not';

/** One pod is made and bound, and enough time goes by to judge it. */
function bind(workload: string, asked: Asked, node = NODES[made % NODES.length]!, kind?: string): void {
  made++;
  const after = pod(workload, node, kind);
  if (asked !== 'not') {
    decisions.set(after.uid, { top: [{ Host: 'n1', Score: 80 }] } as unknown as Decision);
    if (asked === 'late') pods.late(after.uid);
  }
  see({ ...after, node: undefined }, after);
  nowMs += SETTLED_MS;
  pods.tick(nowMs);
}

function bindMany(count: number, workload: string, asked: Asked, node?: string): void {
  for (let i = 0; i < count; i++) bind(workload, asked, node);
}

describe('pods that were bound', () => {
  test('are counted by what became of the answer', () => {
    bind('cart', 'in time', 'n1');
    bind('cart', 'in time', 'n2');
    bind('cart', 'late');
    bind('cart', 'not');
    bind('other', 'not');
    made++;
    const quiet = pod('cart', 'n1');
    decisions.set(quiet.uid, { top: [] } as unknown as Decision);
    see({ ...quiet, node: undefined }, quiet);
    pods.tick(nowMs + SETTLED_MS);
    expect(pods.counts).toEqual({
      followed: 1,
      overruled: 1,
      late: 1,
      not_asked: 1,
      never_asked: 1,
      no_opinion: 1,
    });
  });

  test('wait for the answer, which is told after the binding is', () => {
    made++;
    const after = pod('cart', 'n1');
    see({ ...after, node: undefined }, after);
    pods.tick(SETTLED_MS - 1);
    expect(pods.counts.never_asked).toBe(0);
    decisions.set(after.uid, { top: [{ Host: 'n1', Score: 3 }] } as unknown as Decision);
    pods.tick(SETTLED_MS);
    expect(pods.counts.followed).toBe(1);
  });

  test('count also when all that happened to them comes together', () => {
    made++;
    const after = pod('cart', 'n1');
    known = undefined;
    const records = [{ ...after, node: undefined }, after, { ...after, phase: 'Running' as const }];
    pods.changes(
      [...records.map((record) => ({ op: 'upsert' as const, record })), { op: 'delete', record: after }],
      nowMs,
    );
    pods.tick(SETTLED_MS);
    expect(pods.counts.never_asked).toBe(1);
  });

  test('count once, and not where they were bound when first seen, nor of DaemonSets', () => {
    made++;
    const after = pod('cart', 'n1');
    see(undefined, after);
    see(after, { ...after, phase: 'Running' });
    bind('agent', 'not', 'n1', 'DaemonSet');
    expect(Object.values(pods.counts).reduce((a, b) => a + b)).toBe(0);
  });

  test('are remembered, each with what became of it', () => {
    bind('cart', 'in time', 'n1');
    bind('cart', 'not', 'n1');
    made++;
    const given = pod('cart', 'n1');
    see(undefined, given);
    made++;
    const fresh = pod('cart', 'n1');
    see({ ...fresh, node: undefined }, fresh);
    const outcomes = ['uid-1', 'uid-2', 'uid-3', 'uid-4', 'uid-5'].map((uid) => pods.outcomeOf(uid));
    expect(outcomes).toEqual(['followed', 'not_asked', 'given', 'settling', undefined]);
  });
});

describe('kube-scheduler that asks no more', () => {
  test.each(['not', 'late'] as const)('is told once it placed 20 pods in a row without us (%s)', (asked) => {
    bind('cart', 'in time');
    bindMany(19, 'cart', asked);
    expect(pods.problems(nowMs)).toEqual([]);
    bindMany(1, 'cart', asked);
    expect(pods.problems(nowMs)).toMatchObject([{ count: 20, sample: expect.stringContaining('shop/pod-21') }]);
    expect(said).toEqual(['kube-scheduler places pods without our answers, though it used to ask']);
    bindMany(20, 'cart', asked);
    expect(said).toHaveLength(1);
    bindMany(150, 'cart', asked);
    expect(said).toHaveLength(2);
    bind('cart', 'in time');
    expect(pods.problems(nowMs)).toEqual([]);
    expect(said.at(-1)).toBe('kube-scheduler asks and gets answers again');
  });

  test('is forgotten an hour after the last such pod', () => {
    bind('cart', 'in time');
    bindMany(20, 'cart', 'not');
    nowMs += 3_600_001;
    pods.tick(nowMs);
    expect(pods.problems(nowMs)).toEqual([]);
  });

  test.each<[string, () => void]>([
    ['workloads that it never asked for: another scheduler, or managedResources', () => bindMany(50, 'other', 'not')],
    [
      'pods that all went to one node, as when a node was added to a full cluster',
      () => bindMany(50, 'cart', 'not', 'n7'),
    ],
    [
      'pods between which it asked',
      () => {
        for (let i = 0; i < 5; i++) {
          bindMany(19, 'cart', 'not');
          bind('cart', 'in time');
        }
      },
    ],
  ])('is not suspected for %s', (_what, happen) => {
    bind('cart', 'in time');
    happen();
    expect(pods.problems(nowMs)).toEqual([]);
    expect(said).toEqual([]);
  });

  test('is not suspected for a burst that a restart of ours explains', () => {
    bind('cart', 'in time');
    for (let i = 0; i < 30; i++) {
      made++;
      const after = pod('cart', NODES[i % 4]);
      see({ ...after, node: undefined }, after);
    }
    pods.tick(nowMs + SETTLED_MS);
    expect(pods.counts.not_asked).toBe(30);
    bind('cart', 'in time');
    nowMs += 60_000;
    pods.tick(nowMs);
    expect(said).toEqual([]);
  });

  test('is told also on two nodes', () => {
    pods = create(2);
    bind('cart', 'in time');
    for (let i = 0; i < 20; i++) bind('cart', 'not', NODES[i % 2]);
    expect(pods.problems(nowMs)).toHaveLength(1);
  });
});
