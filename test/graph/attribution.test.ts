import { describe, expect, test } from 'vitest';
import { counters } from '../../scheduler/graph/counters.ts';
import { edgeViews } from '../../scheduler/graph/edge-views.ts';
import { TrafficGraph } from '../../scheduler/graph/traffic-graph.ts';
import { agent, FakeCluster, report, type Row } from './fixture.ts';

const T = 1_700_000_000_000;
const GRACE = 30_000;

function shop(): FakeCluster {
  return new FakeCluster()
    .node('10.0.0.1', 'n1')
    .node('10.0.0.2', 'n2')
    .pod('10.1.0.5', 'n1', 'web-1', 'web')
    .pod('10.1.0.6', 'n1', 'cart-1', 'cart')
    .pod('10.2.0.5', 'n2', 'cart-2', 'cart')
    .service('10.96.0.7', 'cart', ['n1', 'n2']);
}

function start(cluster = shop(), options = {}): TrafficGraph {
  const graph = new TrafficGraph(cluster, options);
  graph.start(T);
  return graph;
}

/** "web -> cart 100/50" */
function lines(graph: TrafficGraph, by: 'workload' | 'pod' = 'workload'): string[] {
  const end = (e: { kind: string; name: string }): string =>
    e.kind === 'Deployment' || e.kind === 'Pod' ? e.name : `${e.kind}:${e.name}`;
  return counters(graph, by)
    .edges.map((e) => `${end(e.client)} -> ${end(e.server)} ${e.bytesOut}/${e.bytesIn}`)
    .sort();
}

const serverRow: Row = {
  local: '10.2.0.5',
  remote: '10.1.0.5',
  role: 'server',
  sent: 50,
  received: 100,
  connections: 1,
};
const clientRow: Row = {
  local: '10.1.0.5',
  remote: '10.2.0.5',
  role: 'client',
  sent: 100,
  received: 50,
  connections: 1,
};

describe('attribution', () => {
  test("the server's view is booked at once, client to server as out, on both levels", () => {
    const graph = start();
    graph.record(
      'n2',
      report({ seq: 1 }, [{ ...serverRow, port: 7070, minRttUs: 30, smoothedRttUs: 90, retransmits: 2 }]),
      T,
    );
    expect(lines(graph)).toEqual(['web -> cart 100/50']);
    expect(lines(graph, 'pod')).toEqual(['web-1 -> cart-2 100/50']);
    const [edge] = [...edgeViews(graph, 'workload')];
    expect(edge).toMatchObject({
      client: { kind: 'Deployment', namespace: 'shop', name: 'web' },
      server: { kind: 'Deployment', namespace: 'shop', name: 'cart' },
      proto: 'TCP',
      family: 'IPv4',
      ports: [7070],
      segmentsOut: 0.1,
      segmentsIn: 0.05,
      retransmits: 2,
      connections: 1,
      minRttUs: 30,
      smoothedRttUs: 90,
      view: 'server',
      reporter: 'n2',
      firstMs: T - 10_000,
      lastMs: T,
    });
    expect(edge!.long.out).toBeCloseTo(10, 6);
    expect(edge!.short.in).toBeCloseTo(5, 6);
  });

  test("the client's view of a server on a covered node is ignored and counted", () => {
    const graph = start();
    graph.agentConnected(agent('n2'), T);
    graph.record('n1', report({ seq: 1 }, [clientRow]), T + 60_000);
    expect(lines(graph)).toEqual([]);
    expect(counters(graph, 'workload').lost.duplicateViews).toBe(1);
    expect(graph.held.size).toBe(0);
  });

  test("the client's view waits for the grace, is then booked, and further ones at once", () => {
    const graph = start();
    graph.record('n1', report({ seq: 1 }, [clientRow]), T + 5_000);
    graph.tick(T + 5_000);
    graph.record('n1', report({ seq: 2 }, [clientRow]), T + 15_000);
    graph.tick(T + 15_000);
    expect(lines(graph)).toEqual([]);
    expect(counters(graph, 'workload').lost).toMatchObject({ heldRows: 1, heldBytes: 300 });
    graph.tick(T + GRACE);
    expect(lines(graph)).toEqual(['web -> cart 200/100']);
    graph.record('n1', report({ seq: 3 }, [clientRow]), T + GRACE + 5_000);
    expect(lines(graph)).toEqual(['web -> cart 300/150']);
    const [edge] = [...edgeViews(graph, 'workload')];
    expect(edge!.view).toBe('client');
    // Booked late, but over the time when it was measured (15 s to 25 s was not): a constant rate stays exact.
    expect(edge!.long.out).toBeCloseTo(10, 6);
  });

  test("a held client's view is discarded when the server's agent appears", () => {
    const graph = start();
    graph.record('n1', report({ seq: 1 }, [clientRow]), T + 5_000);
    graph.agentConnected(agent('n2'), T + 6_000);
    graph.tick(T + 6_000);
    graph.record('n2', report({ seq: 1 }, [serverRow]), T + 10_000);
    graph.tick(T + 60_000);
    expect(lines(graph)).toEqual(['web -> cart 100/50']);
    expect(counters(graph, 'workload').lost).toMatchObject({ heldDiscarded: 1, duplicateViews: 1, heldRows: 0 });
  });

  test('an agent that ends covers its node for 3 intervals, then the grace runs', () => {
    const graph = start();
    graph.agentConnected(agent('n2', 1_000), T);
    graph.agentConnected(agent('n1', 1_000), T);
    graph.record('n2', report({ seq: 1, periodMs: 1000 }, [serverRow]), T + 1_000);
    // Another stream replaces the first; only the end of the last one is told.
    graph.agentConnected(agent('n2', 1_000), T + 30_000);
    graph.agentDisconnected('n2', T + 60_000);
    const at = (seq: number, ms: number): void => {
      graph.record('n1', report({ seq, periodMs: 1000 }, [clientRow]), T + ms);
      graph.tick(T + ms);
    };
    at(1, 62_000);
    expect(counters(graph, 'workload').lost.duplicateViews).toBe(1);
    at(2, 64_000);
    expect(graph.held.size).toBe(1);
    at(3, 60_000 + 3_000 + GRACE);
    expect(lines(graph)).toEqual(['web -> cart 300/150']);
  });

  test('a late report of a silent agent does not count again what its clients said meanwhile', () => {
    const graph = start();
    graph.agentConnected(agent('n1', 1_000), T);
    graph.agentConnected(agent('n2', 1_000), T);
    graph.record('n2', report({ seq: 1, periodMs: 1000 }, [serverRow]), T + 1_000);
    graph.agentDisconnected('n2', T + 1_000);
    for (let i = 1; i <= 120; i++) {
      graph.record('n1', report({ seq: i, periodMs: 1000 }, [clientRow]), T + 1_000 + i * 1_000);
      graph.tick(T + 1_000 + i * 1_000);
    }
    // n2 comes back and brings all 120 s in one merged report.
    graph.agentConnected(agent('n2', 1_000), T + 121_500);
    const merged = { ...serverRow, sent: 50 * 120, received: 100 * 120, connections: 120 };
    graph.record('n2', report({ seq: 2, periodMs: 120_000, ageMs: 500 }, [merged]), T + 121_500);
    expect(lines(graph)).toEqual(['web -> cart 12100/6050']);
    expect(counters(graph, 'workload').edges[0]!.connections).toBe(121);
    expect(counters(graph, 'workload').lost.reconciledBytes).toBeGreaterThan(10_000);
    // and what it measures from then on counts in full
    graph.record('n2', report({ seq: 3, periodMs: 1000 }, [serverRow]), T + 122_500);
    expect(lines(graph)).toEqual(['web -> cart 12200/6100']);
  });

  test('the client on the same node as the server is never booked twice', () => {
    const graph = start();
    const rows: Row[] = [
      { local: '10.1.0.6', remote: '10.1.0.5', role: 'server', sent: 5, received: 7 },
      { local: '10.1.0.5', remote: '10.1.0.6', role: 'client', sent: 7, received: 5 },
    ];
    graph.record('n1', report({ seq: 1 }, rows), T + 40_000);
    graph.tick(T + 90_000);
    expect(lines(graph)).toEqual(['web -> cart 7/5']);
  });

  test('a Service address is booked against the Service only where none of its pods has an agent', () => {
    const row: Row = { local: '10.1.0.5', remote: '10.96.0.7', role: 'client', sent: 9, received: 1 };
    const covered = start();
    covered.agentConnected(agent('n2'), T);
    covered.record('n1', report({ seq: 1 }, [row]), T + GRACE);
    covered.tick(T + 2 * GRACE);
    expect(lines(covered)).toEqual([]);

    const bare = start(new FakeCluster().pod('10.1.0.5', 'n1', 'web-1', 'web').service('10.96.0.7', 'cart', ['n2']));
    bare.record('n1', report({ seq: 1 }, [row]), T + 1_000);
    expect(lines(bare)).toEqual([]);
    bare.tick(T + GRACE);
    expect(lines(bare)).toEqual(['web -> Service:cart 9/1']);
  });

  test('a server outside the cluster is booked at once, by its prefix', () => {
    const graph = start();
    graph.record(
      'n1',
      report({ seq: 1 }, [{ local: '10.1.0.5', remote: '203.0.113.0/24', role: 'client', sent: 9, received: 1 }]),
      T,
    );
    graph.record(
      'n1',
      report({ seq: 2 }, [{ local: '10.1.0.5', remote: '198.51.100.7', role: 'client', sent: 8, received: 1 }]),
      T,
    );
    graph.record(
      'n1',
      report({ seq: 3 }, [{ local: '10.1.0.5', remote: '2001:db8::/64', role: 'server', sent: 8, received: 1 }]),
      T,
    );
    expect(lines(graph)).toEqual([
      'External:2001:db8::/64 -> web 1/8',
      'web -> External:198.51.100.7/32 8/1',
      'web -> External:203.0.113.0/24 9/1',
    ]);
  });

  test('an agent may report only for its own node', () => {
    const graph = start();
    const rows: Row[] = [serverRow, { local: '10.0.0.2', remote: '10.1.0.5', role: 'server', sent: 3, received: 4 }];
    graph.record('n1', report({ seq: 1 }, rows), T);
    expect(lines(graph)).toEqual([]);
    expect(counters(graph, 'workload').lost).toMatchObject({
      refusedForeign: 2,
      byNode: { n1: { refusedForeign: 2 } },
    });
  });

  test('rows of an address that is nobody yet wait, and go to the pod once it is known', () => {
    const cluster = shop();
    const graph = start(cluster);
    const row: Row = { local: '10.1.0.9', remote: '10.1.0.5', role: 'server', sent: 50, received: 100 };
    graph.record('n1', report({ seq: 1, periodMs: 1000 }, [row]), T);
    graph.record('n1', report({ seq: 2, periodMs: 1000 }, [row]), T + 1000);
    expect(lines(graph)).toEqual([]);
    cluster.pod('10.1.0.9', 'n1', 'pay-1', 'pay');
    graph.tick(T + 1100);
    expect(lines(graph)).toEqual(['web -> pay 200/100']);
  });

  test('rows of an address that stays nobody are booked as Unknown and counted', () => {
    const graph = start();
    const row: Row = { local: '10.2.0.1', remote: '10.1.0.5', role: 'server', sent: 50, received: 100 };
    graph.record('n1', report({ seq: 1 }, [row]), T);
    graph.tick(T + 5_000);
    graph.record('n1', report({ seq: 2 }, [row]), T + 10_000);
    expect(lines(graph)).toEqual(['web -> Unknown:10.2.0.1 200/100']);
    expect(counters(graph, 'workload').lost).toMatchObject({ unresolvedLocal: 2, unresolvedRemote: 0 });
  });

  test('an address that changes hands goes to whom it belonged in the period', () => {
    const cluster = shop()
      .pod('10.1.0.8', 'n1', 'old-1', 'old', 0, T)
      .pod('10.1.0.8', 'n1', 'new-1', 'new', T + 1, Infinity);
    const graph = start(cluster);
    const row: Row = { local: '10.1.0.8', remote: '10.1.0.5', role: 'server', sent: 1, received: 10 };
    graph.record('n1', report({ seq: 1, periodMs: 1000 }, [row]), T);
    graph.record('n1', report({ seq: 2, periodMs: 1000 }, [row]), T + 5000);
    expect(lines(graph)).toEqual(['web -> new 10/1', 'web -> old 10/1']);
  });

  test('loopback traffic and a pod talking to itself are not edges', () => {
    const graph = start();
    const rows: Row[] = [
      { local: '127.0.0.1', remote: '127.0.0.1', role: 'server', sent: 1 },
      { local: '::1', remote: '::1', role: 'client', sent: 1 },
      { local: '10.1.0.5', remote: '10.1.0.5', role: 'server', sent: 1 },
    ];
    graph.record('n1', report({ seq: 1 }, rows), T);
    graph.tick(T + 60_000);
    expect(lines(graph)).toEqual([]);
    expect(counters(graph, 'workload').lost.loopback).toBe(3);
  });

  test('rows that do not fit together are counted, the others booked', () => {
    const graph = start();
    const good = report({ seq: 1 }, [serverRow, serverRow, serverRow]);
    good.edges.local[0] = 99;
    good.edges.role[1] = 7;
    graph.record('n2', good, T);
    expect(lines(graph)).toEqual(['web -> cart 100/50']);
    expect(counters(graph, 'workload').lost.malformed).toBe(2);
  });

  test('a report that was recorded already is not booked again', () => {
    const graph = start();
    expect(graph.record('n2', report({ seq: 3 }, [serverRow]), T).ok).toBe(true);
    expect(graph.record('n2', report({ seq: 3 }, [serverRow]), T)).toEqual({ ok: false, reason: 'duplicate' });
    expect(graph.record('n2', report({ seq: 2 }, [serverRow]), T).ok).toBe(false);
    const next = report({ seq: 1, mapId: new Uint8Array(16).fill(9) }, [serverRow]);
    expect(graph.record('n2', next, T + 10_000).ok).toBe(true);
    expect(graph.record('n2', report({ seq: 6 }, [serverRow]), T + 20_000).ok).toBe(true);
    expect(lines(graph)).toEqual(['web -> cart 300/150']);
    expect(counters(graph, 'workload').lost).toMatchObject({ duplicateReports: 2, missingReports: 2 });
    expect(graph.agentConnected(agent('n2'), T + 20_000)).toBe(6);
  });

  test('two agents under one name count each time once: the backlog of the one that was thrown out is left out', () => {
    const graph = start();
    const other = new Uint8Array(16).fill(9);
    // Both run at once; the second takes over at T + 10 s, and the first comes back at T + 40 s with what it measured since.
    graph.record('n2', report({ seq: 1 }, [serverRow]), T + 10_000);
    for (const seq of [1, 2, 3]) {
      graph.record('n2', report({ seq, mapId: other }, [serverRow]), T + 10_000 + seq * 10_000);
    }
    for (const seq of [2, 3, 4]) {
      const late = report({ seq, ageMs: 50_000 - (10_000 + seq * 10_000) + 10_000 }, [serverRow]);
      expect(graph.record('n2', late, T + 50_000)).toEqual({ ok: true, edges: 0 });
    }
    graph.record('n2', report({ seq: 5 }, [serverRow]), T + 50_000);
    expect(lines(graph)).toEqual(['web -> cart 500/250']);
    expect(counters(graph, 'workload').lost).toMatchObject({
      overlapping: 3,
      overlappingBytes: 450,
      missingReports: 0,
    });
  });

  test('an agent that starts anew a moment before its forerunner ended loses nothing', () => {
    const graph = start();
    graph.record('n2', report({ seq: 1 }, [serverRow]), T);
    const next = report({ seq: 1, mapId: new Uint8Array(16).fill(9) }, [serverRow]);
    expect(graph.record('n2', next, T + 6_000)).toEqual({ ok: true, edges: 1 });
    expect(counters(graph, 'workload').lost.overlapping).toBe(0);
  });

  test('rows beyond what may wait are counted as lost', () => {
    const graph = start(shop(), { maxHeldRows: 1 });
    const rows: Row[] = [clientRow, { ...clientRow, port: 9 }];
    graph.record('n1', report({ seq: 1 }, rows), T);
    expect(counters(graph, 'workload').lost).toMatchObject({ heldRows: 1, heldOverflow: 1, heldOverflowBytes: 150 });
  });

  test('protocol and family are told apart', () => {
    const cluster = shop().pod('fd00::5', 'n1', 'web-1', 'web').pod('fd00::6', 'n2', 'cart-2', 'cart');
    const graph = start(cluster);
    graph.record(
      'n2',
      report({ seq: 1 }, [
        serverRow,
        { ...serverRow, protocol: 17 },
        { ...serverRow, local: 'fd00::6', remote: 'fd00::5' },
      ]),
      T,
    );
    expect(
      counters(graph, 'workload')
        .edges.map((e) => `${e.proto} ${e.family} ${e.bytesOut}`)
        .sort(),
    ).toEqual(['TCP IPv4 100', 'TCP IPv6 100', 'UDP IPv4 100']);
  });

  test('a clock that is set back does not disturb the averages', () => {
    const graph = start();
    for (let i = 1; i <= 60; i++) {
      const wall = i <= 30 ? T + i * 10_000 : T - 3_600_000 + i * 10_000;
      graph.record('n2', report({ seq: i }, [{ ...serverRow, received: 10_000 }]), wall);
    }
    const [edge] = [...edgeViews(graph, 'workload')];
    expect(edge!.long.out).toBeGreaterThan(990);
    expect(edge!.long.out).toBeLessThan(1100);
    expect(counters(graph, 'workload').lost.clockStepsBack).toBe(1);
  });
});
