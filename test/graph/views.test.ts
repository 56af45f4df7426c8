import { describe, expect, test } from 'vitest';
import { agentStatus } from '../../scheduler/graph/agent-status.ts';
import { confidenceOf, type Observation } from '../../scheduler/graph/confidence.ts';
import { counters } from '../../scheduler/graph/counters.ts';
import { edgeViews } from '../../scheduler/graph/edge-views.ts';
import { toGraphology } from '../../scheduler/graph/to-graphology.ts';
import { TrafficGraph } from '../../scheduler/graph/traffic-graph.ts';
import { agent, FakeCluster, report } from './fixture.ts';

const T = 1_700_000_000_000;

function start(): TrafficGraph {
  const cluster = new FakeCluster()
    .pod('10.1.0.5', 'n1', 'web-1', 'web')
    .pod('10.1.0.6', 'n1', 'web-2', 'web')
    .pod('10.1.0.7', 'n1', 'cart-1', 'cart')
    .node('10.0.0.9', 'n9');
  return new TrafficGraph(cluster);
}

describe('agent status', () => {
  test('tells state, losses, cost and uplink rates of every node with an agent', () => {
    const graph = start();
    graph.agentConnected(agent('n1', 1000), T);
    expect(agentStatus(graph)).toMatchObject([
      { node: 'n1', state: 'waiting', connected: true, lastReportMs: undefined },
    ]);
    const uplinks = [{ name: 'eth0', txBytes: 5_000, rxBytes: 1_000, speedBps: 1e9, speedSource: 'device' }] as const;
    const losses = { mapFullConnections: 2, droppedBytes: 9 };
    graph.record('n1', report({ seq: 1, periodMs: 1000, uplinks, losses }, []), T + 1000);
    graph.record('n1', report({ seq: 2, periodMs: 1000, uplinks, losses }, []), T + 2000);
    expect(agentStatus(graph)).toMatchObject([
      {
        node: 'n1',
        state: 'reporting',
        lastReportMs: T + 2000,
        reports: 2,
        lossShare: 1,
        losses: { mapFullConnections: 4, droppedBytes: 18 },
        uplinks: [{ name: 'eth0', speedBps: 1e9, txBytes: 10_000, txBytesPerSecond: 5_000, rxBytesPerSecond: 1_000 }],
      },
    ]);
    expect(agentStatus(graph)[0]!.uplinks[0]!.txShortBytesPerSecond).toBeCloseTo(5_000, 3);
    graph.agentDisconnected('n1', T + 2500);
    graph.tick(T + 7_000);
    expect(agentStatus(graph)).toMatchObject([{ state: 'late', connected: false }]);
    graph.tick(T + 20_000);
    expect(agentStatus(graph)).toMatchObject([{ state: 'silent' }]);
    expect(counters(graph, 'workload').lost.byNode).toMatchObject({ n1: { mapFullConnections: 4 } });
  });

  test('a node that is gone for a day is forgotten, its losses stay in the sum', () => {
    const graph = start();
    graph.record(
      'n1',
      report({ seq: 1, losses: { readFailed: 3 } }, [
        { local: '10.1.0.7', remote: '10.1.0.5', role: 'server', received: 9 },
      ]),
      T,
    );
    graph.tick(T + 25 * 3_600_000);
    expect(agentStatus(graph)).toEqual([]);
    expect(counters(graph, 'workload')).toMatchObject({
      edges: [{ bytesOut: 9 }],
      lost: { readFailed: 3, byNode: {} },
    });
    expect([...edgeViews(graph, 'workload')]).toMatchObject([{ reporter: undefined, confidence: 0 }]);
  });
});

describe('confidence', () => {
  const full: Observation = { observedMs: 1e9, intervalMs: 10_000, lossShare: 0, ageMs: 0, view: 'server' };
  test.each([
    ['long observed, fresh, from the server', {}, 1, []],
    ['observed for three intervals', { observedMs: 30_000 }, 0.5, ['observed for 30 s only']],
    ['a tenth lost', { lossShare: 0.1 }, 0.9, ['its agent could not measure 10.0 % of the traffic']],
    ["the client's view", { view: 'client' }, 0.9, ["seen by the client's node only"]],
    ['three intervals late', { ageMs: 30_000 }, 1, []],
    ['ten intervals late', { ageMs: 100_000 }, 0, ['no report for 100 s (interval 10 s)']],
    ['never observed', { observedMs: -1 }, 0, ['observed for 0.0 s only']],
    ['a file', { view: 'file', observedMs: 0, ageMs: 1e12, lossShare: 1 }, 1, []],
  ] as const)('%s', (_, change, value, reasons) => {
    const found = confidenceOf({ ...full, ...change });
    expect(found.value).toBeCloseTo(value, 3);
    expect(found.reasons).toEqual(reasons);
  });
});

describe('graphology', () => {
  test('has workloads with their edges, and pods below them', () => {
    const graph = start();
    graph.record(
      'n1',
      report({ seq: 1 }, [
        { local: '10.1.0.7', remote: '10.1.0.5', role: 'server', received: 100 },
        { local: '10.1.0.7', remote: '10.1.0.6', role: 'server', received: 50 },
        { local: '10.1.0.7', remote: '10.0.0.9', role: 'server', received: 1 },
      ]),
      T,
    );
    graph.setFileTraffic([
      {
        client: { kind: 'Deployment', namespace: 'shop', name: 'cart' },
        server: { kind: 'External', namespace: '', name: '203.0.113.0/24' },
        bytesPerSecondOut: 4,
        bytesPerSecondIn: 5,
      },
    ]);
    const out = toGraphology(graph);
    expect(out.nodes().sort()).toEqual([
      '/External/203.0.113.0/24',
      '/Node/n9',
      'pod:shop/Pod/cart-1',
      'pod:shop/Pod/web-1',
      'pod:shop/Pod/web-2',
      'shop/Deployment/cart',
      'shop/Deployment/web',
    ]);
    expect(out.getNodeAttributes('pod:shop/Pod/web-2')).toMatchObject({ level: 'pod', parent: 'shop/Deployment/web' });
    const [edge] = out.directedEdges('shop/Deployment/web', 'shop/Deployment/cart');
    expect(out.getEdgeAttributes(edge)).toMatchObject({ level: 'workload', bytesOut: 150 });
    const [file] = out.outEdges('shop/Deployment/cart');
    expect(out.getEdgeAttributes(file)).toMatchObject({ view: 'file', confidence: 1, long: { out: 4, in: 5 } });
    expect(toGraphology(graph, { pods: false }).order).toBe(4);
  });
});
