import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseAddress } from '../../lib/ip.ts';
import { AddressBook } from '../../scheduler/cluster/address-book.ts';
import type { ClusterEvent, ClusterRecord, PodPhase } from '../../scheduler/cluster/model.ts';
import { ClusterState } from '../../scheduler/cluster/state.ts';
import { AddressCache } from '../../scheduler/graph/address-cache.ts';
import { ClusterResolver } from '../../scheduler/graph/cluster-resolver.ts';
import { counters } from '../../scheduler/graph/counters.ts';
import type { AddressResolver } from '../../scheduler/graph/resolver.ts';
import { TrafficGraph } from '../../scheduler/graph/traffic-graph.ts';
import { report, type Row } from './fixture.ts';

const T = 1_700_000_000_000;
const ADDRESSES = ['10.1.0.1', '10.1.0.2', '10.1.0.3', 'fd00::1'];
const REQUESTS = { milliCpu: 0, memoryBytes: 0, pods: 1 };

const podRecord = (uid: number, name: number, address: number, phase: PodPhase, owner: number): ClusterRecord => ({
  type: 'pod',
  uid: `${name}-${uid}`,
  namespace: 'a',
  name: `p${name}`,
  node: 'n1',
  addresses: address < ADDRESSES.length ? [ADDRESSES[address]!] : [],
  hostNetwork: false,
  phase,
  owner: owner === 0 ? undefined : { kind: 'ReplicaSet', name: `rs${owner}`, uid: `rs${owner}` },
  labels: {},
  requests: REQUESTS,
  mirror: false,
});

const record: fc.Arbitrary<ClusterRecord> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .tuple(fc.nat(4), fc.nat(2), fc.nat(4), fc.constantFrom<PodPhase>('Running', 'Running', 'Succeeded'), fc.nat(2))
      .map((x) => podRecord(...x)),
  },
  fc.tuple(fc.integer({ min: 1, max: 2 }), fc.nat(2)).map(([rs, owner]): ClusterRecord => ({
    type: 'controller',
    namespace: 'a',
    kind: 'ReplicaSet',
    name: `rs${rs}`,
    uid: `rs${rs}`,
    owner: owner === 0 ? undefined : { kind: 'Deployment', name: `d${owner}`, uid: '' },
    replicas: 1,
  })),
  fc.nat(4).map((a): ClusterRecord => ({
    type: 'node',
    name: 'n1',
    uid: 'n1',
    addresses: a < ADDRESSES.length ? [ADDRESSES[a]!] : [],
    podCidrs: a === 4 ? ['10.1.0.0/24'] : [],
    zone: undefined,
    region: undefined,
    allocatable: REQUESTS,
  })),
  fc.nat(4).map((a): ClusterRecord => ({
    type: 'service',
    namespace: 'a',
    name: 's1',
    uid: 's1',
    addresses: a < ADDRESSES.length ? [ADDRESSES[a]!] : [],
    selector: {},
  })),
);

type Step = { readonly events: readonly ClusterEvent[] } | { readonly waitMs: number; readonly periodMs: number };
const step: fc.Arbitrary<Step> = fc.oneof(
  fc
    .array(fc.record({ op: fc.constantFrom('upsert' as const, 'upsert' as const, 'delete' as const), record }), {
      minLength: 1,
      maxLength: 3,
    })
    .map((events) => ({ events })),
  fc.record({ waitMs: fc.integer({ min: 0, max: 40_000 }), periodMs: fc.integer({ min: 0, max: 20_000 }) }),
);

function side(cached: boolean): {
  graph: TrafficGraph;
  apply: (events: readonly ClusterEvent[], nowMs: number) => void;
} {
  const state = new ClusterState();
  const book = new AddressBook();
  const resolver = new ClusterResolver(state, book);
  resolver.ready = true;
  const plain: AddressResolver = {
    ready: true,
    lasting: false,
    get version() {
      return resolver.version;
    },
    takeChanged: () => 'all',
    resolve: (...args) => resolver.resolve(...args),
    serviceNodes: (...args) => resolver.serviceNodes(...args),
  };
  const graph = new TrafficGraph(cached ? resolver : plain, { resolveGraceMs: 0 });
  return {
    graph,
    apply: (events, nowMs) => {
      if (cached) resolver.apply(events, nowMs);
      else {
        state.apply(events);
        book.apply(events, nowMs);
      }
    },
  };
}

describe('cluster resolver', () => {
  test('remembered answers are those that it would give afresh, whatever happens to the cluster', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 2, maxLength: 40 }), (steps) => {
        const sides = [side(true), side(false)];
        let now = T;
        let seq = 0;
        const generation = new Map<string, string>();
        for (const step of steps) {
          if ('events' in step) {
            const events = step.events.filter(({ record }) => {
              if (record.type !== 'pod') return true;
              // A pod of the same name has another uid, and one that was replaced does not come back.
              if (record.uid < (generation.get(record.name) ?? '')) return false;
              generation.set(record.name, record.uid);
              return true;
            });
            for (const { apply } of sides) apply(events, now);
            continue;
          }
          now += step.waitMs;
          seq++;
          const rows: Row[] = ADDRESSES.map((remote) => ({ local: '10.9.9.9', remote, role: 'server', received: seq }));
          for (const { graph } of sides) graph.record('n1', report({ seq, periodMs: step.periodMs }, rows), now);
        }
        const [a, b] = sides.map(({ graph }) => [counters(graph, 'pod'), counters(graph, 'workload')]);
        expect(a).toEqual(b);
      }),
      { numRuns: 500 },
    );
  });

  test('traffic follows pods from the snapshot to their workloads, through owners', () => {
    const { graph, apply } = side(true);
    const rs = {
      type: 'controller',
      namespace: 'a',
      kind: 'ReplicaSet',
      name: 'rs1',
      uid: 'rs1',
      replicas: 1,
    } as const;
    apply(
      [
        { op: 'upsert', record: podRecord(1, 1, 0, 'Running', 1) },
        { op: 'upsert', record: podRecord(2, 2, 1, 'Running', 0) },
        { op: 'upsert', record: { ...rs, owner: { kind: 'Deployment', name: 'd1', uid: '' } } },
      ],
      T,
    );
    const row: Row = { local: '10.1.0.1', remote: '10.1.0.2', role: 'server', received: 9 };
    graph.record('n1', report({ seq: 1 }, [row]), T + 10_000);
    expect(counters(graph, 'workload').edges).toMatchObject([
      {
        client: { kind: 'Pod', namespace: 'a', name: 'p2' },
        server: { kind: 'Deployment', namespace: 'a', name: 'd1' },
        bytesOut: 9,
      },
    ]);
  });

  test('nothing is booked before the cluster is known', () => {
    const state = new ClusterState();
    const book = new AddressBook();
    const resolver = new ClusterResolver(state, book);
    const graph = new TrafficGraph(resolver, {});
    const row: Row = { local: '10.1.0.1', remote: '10.1.0.2', role: 'server', received: 9 };
    graph.record('n1', report({ seq: 1 }, [row]), T);
    graph.tick(T + 600_000);
    expect(counters(graph, 'workload').edges).toEqual([]);
    resolver.apply(
      [
        { op: 'upsert', record: podRecord(1, 1, 0, 'Running', 0) },
        { op: 'upsert', record: podRecord(2, 2, 1, 'Running', 0) },
      ],
      T,
    );
    resolver.ready = true;
    graph.tick(T + 601_000);
    expect(counters(graph, 'workload').edges).toMatchObject([{ bytesOut: 9, server: { name: 'p1' } }]);
  });

  test('the address cache is a Map', () => {
    const cache = new AddressCache<number>();
    const twin = new Map<string, number>();
    for (let i = 0; i < 30_000; i++) {
      const text = i % 7 === 0 ? `fd00::${(i % 999).toString(16)}` : `10.${i % 3}.${(i >> 8) & 255}.${i & 255}`;
      cache.set(parseAddress(text)!, 0, i);
      twin.set(text, i);
    }
    for (const [text, value] of twin) expect(cache.get(parseAddress(text)!, 0)).toBe(value);
    expect(cache.get(parseAddress('192.0.2.1')!, 0)).toBeUndefined();
    cache.clear();
    expect(cache.get(parseAddress('10.0.0.1')!, 0)).toBeUndefined();
  });
});
