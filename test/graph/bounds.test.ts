import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { counters } from '../../scheduler/graph/counters.ts';
import { edgeViews } from '../../scheduler/graph/edge-views.ts';
import { TrafficRows } from '../../scheduler/graph/traffic-rows.ts';
import { TrafficGraph } from '../../scheduler/graph/traffic-graph.ts';
import { agent, FakeCluster, report, type Row } from './fixture.ts';

const T = 1_700_000_000_000;

describe('bounds', () => {
  test('a workload has only so many peers outside by name, the rest is External "other"', () => {
    const graph = new TrafficGraph(new FakeCluster().pod('10.1.0.5', 'n1', 'web-1', 'web'), { maxOutsidePeers: 3 });
    for (let round = 0; round < 2; round++) {
      const rows: Row[] = Array.from({ length: 50 }, (_, i) => ({
        local: '10.1.0.5',
        remote: `198.51.${i}.0/24`,
        role: 'server' as const,
        received: 10,
      }));
      graph.record('n1', report({ seq: round + 1 }, rows), T + round * 10_000);
    }
    const { edges, lost } = counters(graph, 'workload');
    expect(edges.map((e) => `${e.client.name} ${e.bytesOut}`).sort()).toEqual([
      '198.51.0.0/24 20',
      '198.51.1.0/24 20',
      '198.51.2.0/24 20',
      'other 940',
    ]);
    expect(lost.outsidePeersFolded).toBe(94);
    expect(counters(graph, 'pod').edges).toHaveLength(4);
    graph.tick(T + 120_000);
    expect(graph.edges.endpoints.size).toBe(2 + 2 + 3);
  });

  test('pod edges are dropped oldest first and counted; workload edges keep every byte', () => {
    const cluster = new FakeCluster();
    for (let i = 0; i < 100; i++) cluster.pod(`10.1.0.${i}`, 'n1', `web-${i}`, 'web');
    cluster.pod('10.1.1.1', 'n1', 'db-1', 'db');
    const graph = new TrafficGraph(cluster, { maxPodEdges: 10 });
    for (let i = 0; i < 100; i++) {
      const row: Row = { local: '10.1.1.1', remote: `10.1.0.${i}`, role: 'server', received: 1 };
      graph.record('n1', report({ seq: i + 1, periodMs: 1000 }, [row]), T + i * 60_000);
    }
    expect(counters(graph, 'workload').edges).toMatchObject([{ bytesOut: 100 }]);
    const pods = counters(graph, 'pod');
    expect(pods.edges.map((e) => e.client.name).sort()).toEqual(Array.from({ length: 10 }, (_, i) => `web-${90 + i}`));
    expect(pods.lost.podEdgesDropped).toBe(90);
  });

  test('busy pod edges are not dropped for new ones: those are refused and counted', () => {
    const cluster = new FakeCluster().pod('10.1.1.1', 'n1', 'db-1', 'db');
    for (let i = 0; i < 20; i++) cluster.pod(`10.1.0.${i}`, 'n1', `web-${i}`, 'web');
    const graph = new TrafficGraph(cluster, { maxPodEdges: 10 });
    for (let i = 0; i < 200; i++) {
      const row: Row = { local: '10.1.1.1', remote: `10.1.0.${i % 20}`, role: 'server', received: 1 };
      graph.record('n1', report({ seq: i + 1, periodMs: 1000 }, [row]), T + i * 1000);
    }
    const pods = counters(graph, 'pod');
    expect(pods.edges.map((e) => e.bytesOut)).toEqual(Array.from({ length: 10 }, () => 10));
    expect(pods.lost).toMatchObject({ podEdgesDropped: 0, podEdgesRefused: 100 });
    expect(counters(graph, 'workload').edges).toMatchObject([{ bytesOut: 200 }]);
  });

  test('a report larger than the pod table is booked in full on the workload level', () => {
    const cluster = new FakeCluster().pod('10.1.1.1', 'n1', 'db-1', 'db');
    const rows: Row[] = [];
    for (let i = 0; i < 100; i++) {
      cluster.pod(`10.1.0.${i}`, 'n1', `web-${i}`, 'web');
      rows.push({ local: '10.1.1.1', remote: `10.1.0.${i}`, role: 'server', received: 1 });
    }
    const graph = new TrafficGraph(cluster, { maxPodEdges: 10 });
    graph.record('n1', report({ seq: 1 }, rows), T);
    expect(counters(graph, 'workload').edges).toMatchObject([{ bytesOut: 100 }]);
    expect(counters(graph, 'workload').lost.podEdgesRefused).toBe(90);
  });

  test('workload edges beyond the bound are folded into Unknown "other": the total stays exact', () => {
    const cluster = new FakeCluster().pod('10.1.1.1', 'n1', 'db-1', 'db');
    for (let i = 0; i < 250; i++) cluster.pod(`10.2.0.${i}`, 'n1', `w${i}-1`, `w${i}`);
    const graph = new TrafficGraph(cluster, { maxWorkloadEdges: 20 });
    for (let i = 0; i < 250; i++) {
      const row: Row = { local: '10.1.1.1', remote: `10.2.0.${i}`, role: 'server', received: 7 };
      graph.record('n1', report({ seq: i + 1, periodMs: 1000 }, [row]), T + i * 600_000);
    }
    const { edges, lost } = counters(graph, 'workload');
    expect(edges.reduce((sum, e) => sum + e.bytesOut, 0)).toBe(7 * 250);
    expect(edges.length).toBeLessThanOrEqual(22);
    expect(lost.workloadEdgesFolded).toBeGreaterThan(200);
    graph.tick(T + 250 * 600_000);
    expect(graph.edges.endpoints.size).toBeLessThan(100);
  });

  test('a report larger than the workload table is folded, too', () => {
    const cluster = new FakeCluster().pod('10.1.1.1', 'n1', 'db-1', 'db');
    const rows: Row[] = [];
    for (let i = 0; i < 250; i++) {
      cluster.pod(`10.2.0.${i}`, 'n1', `w${i}-1`, `w${i}`);
      rows.push({ local: '10.1.1.1', remote: `10.2.0.${i}`, role: 'server', received: 7, protocol: i % 100 });
    }
    const graph = new TrafficGraph(cluster, { maxWorkloadEdges: 20 });
    for (let seq = 1; seq < 4; seq++) graph.record('n1', report({ seq }, rows), T + seq * 10_000);
    const { edges } = counters(graph, 'workload');
    expect(edges.reduce((sum, e) => sum + e.bytesOut, 0)).toBe(3 * 7 * 250);
    expect(edges.length).toBeLessThanOrEqual(20 + 64);
  });

  test('endpoints are recycled under churn without mixing up names', () => {
    const graph = new TrafficGraph(
      {
        ready: true,
        lasting: false,
        takeChanged: () => [],
        version: 0,
        resolve: (bytes, offset) => ({
          kind: 'Pod',
          namespace: 'a',
          name: `p${bytes[offset + 13]}.${bytes[offset + 14]}.${bytes[offset + 15]}`,
          node: 'n1',
          workload: { namespace: 'a', kind: 'Deployment', name: `w${bytes[offset + 15]}` },
        }),
        serviceNodes: () => [],
      },
      { maxPodEdges: 100 },
    );
    for (let round = 0; round < 200; round++) {
      const rows: Row[] = Array.from({ length: 10 }, (_, i) => ({
        local: `10.${round}.0.${i}`,
        remote: `10.${round}.1.${i}`,
        role: 'server' as const,
        received: 1,
      }));
      graph.record('n1', report({ seq: round + 1 }, rows), T + round * 60_000);
      graph.tick(T + round * 60_000 + 1);
    }
    expect(graph.edges.endpoints.size).toBeLessThan(600);
    for (const e of counters(graph, 'pod').edges) {
      const [, round, index] = /^p(\d+)\.0\.(\d+)$/.exec(e.server.name)!;
      expect(e.client.name).toBe(`p${round}.1.${index}`);
    }
    for (const e of counters(graph, 'workload').edges) {
      expect(e.client.name).toBe(e.server.name);
      expect(e.bytesOut).toBe(200);
    }
  });

  test('rows behave like a Map under inserts and removals', () => {
    const key = fc.tuple(
      fc.integer({ min: 0, max: 12 }),
      fc.integer({ min: 0, max: 12 }),
      fc.integer({ min: 12, max: 13 }),
    );
    const step = fc.record({ key, remove: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
        const rows = new TrafficRows(100, 4);
        const twin = new Map<string, number>();
        for (const {
          key: [a, b, c],
          remove,
        } of steps) {
          const text = `${a} ${b} ${c}`;
          const row = rows.find(a, b, c);
          expect(row).toBe(twin.get(text) ?? -1);
          if (remove && row >= 0) {
            rows.remove(row);
            twin.delete(text);
          } else if (!remove && row < 0) {
            const made = rows.insert(a, b, c);
            if (twin.size < 100) twin.set(text, made);
            else expect(made).toBe(-1);
          }
          expect(rows.size).toBe(twin.size);
        }
        for (const [text, row] of twin) {
          const [a, b, c] = text.split(' ').map(Number);
          expect(rows.find(a!, b!, c!)).toBe(row);
        }
      }),
    );
  });
});

describe('silence', () => {
  const row: Row = { local: '10.1.0.5', remote: '10.1.0.6', role: 'server', received: 10_000 };
  const cluster = (): FakeCluster =>
    new FakeCluster().pod('10.1.0.5', 'n1', 'a-1', 'a').pod('10.1.0.6', 'n1', 'b-1', 'b');

  function after(silence: (graph: TrafficGraph, fromMs: number) => void): ReturnType<typeof view> {
    const graph = new TrafficGraph(cluster());
    graph.agentConnected(agent('n1'), T);
    for (let i = 1; i <= 360; i++) graph.record('n1', report({ seq: i }, [row]), T + i * 10_000);
    silence(graph, T + 3_600_000);
    return view(graph);
  }
  function view(graph: TrafficGraph): { short: number; confidence: number; reasons: readonly string[] } {
    const [edge] = [...edgeViews(graph, 'workload')];
    return { short: edge!.short.out, confidence: edge!.confidence, reasons: edge!.reasons };
  }

  test('of a live agent decays the rate and keeps the confidence', () => {
    const live = after((graph, fromMs) => {
      for (let i = 1; i <= 60; i++) graph.record('n1', report({ seq: 360 + i }, []), fromMs + i * 10_000);
    });
    expect(live.short).toBeGreaterThan(480);
    expect(live.short).toBeLessThan(520);
    expect(live.confidence).toBeGreaterThan(0.98);
  });

  test('of a dead agent freezes the rate and takes the confidence, to zero after 10 intervals', () => {
    const dead = (ms: number): ReturnType<typeof view> => after((graph, fromMs) => graph.tick(fromMs + ms));
    expect(dead(25_000).confidence).toBeGreaterThan(0.98);
    expect(dead(65_000).confidence).toBeGreaterThan(0.4);
    expect(dead(65_000).confidence).toBeLessThan(0.6);
    expect(dead(65_000).reasons).toEqual(['no report for 65 s (interval 10 s)']);
    const long = dead(5 * 3_600_000);
    expect(long.confidence).toBe(0);
    expect(long.short).toBeCloseTo(1000, 3);
  });

  test('of a node that nobody observed says nothing once it is back', () => {
    const back = after((graph, fromMs) => {
      graph.record('n1', report({ seq: 361 }, [row]), fromMs + 5 * 3_600_000);
    });
    expect(back.short).toBeCloseTo(1000, 3);
  });

  test('losses lower the confidence by their share', () => {
    const lossy = after((graph, fromMs) => {
      graph.record('n1', report({ seq: 361, losses: { mapFullBytes: 1e9 } }, [row]), fromMs + 10_000);
    });
    expect(lossy.confidence).toBeLessThan(0.01);
    expect(lossy.reasons[0]).toMatch(/^its agent could not measure \d+\.\d %/);
  });
});
