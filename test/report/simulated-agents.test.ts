import { afterEach, expect, test } from 'vitest';
import { checkEdgeColumns } from '../../proto/edge-columns.ts';
import { MemorySink } from '../../scheduler/ingest/report-sink.ts';
import { Rig, until } from '../support/report-rig.ts';
import { nodeName, podAddress, simulatedEdges, startSimulatedAgents } from '../support/simulated-agents.ts';

const rig = new Rig();
afterEach(() => rig.cleanup());

test('each simulated agent reports its edges every interval, from a process of their own', async () => {
  const edgesOf = new Map<string, number[]>();
  const sink = new MemorySink((node, report) => {
    edgesOf.set(node, [...(edgesOf.get(node) ?? []), report.edges.n]);
  });
  const server = await rig.server({ sink });
  const agents = startSimulatedAgents({ target: server.address, agents: 20, edges: 30, intervalMs: 50 });
  let stopped = false;
  rig.onCleanup(() => (stopped ? undefined : agents.stop()));
  await agents.ready;
  await until(() => edgesOf.size === 20 && [...edgesOf.values()].every((list) => list.length >= 3));
  expect(new Set([...edgesOf.values()].flat())).toEqual(new Set([30]));
  expect([...edgesOf.keys()].sort()).toEqual(Array.from({ length: 20 }, (_, i) => nodeName(i)).sort());
  const stats = await agents.stop();
  stopped = true;
  expect(stats.droppedEdges).toBe(0);
  expect(stats.acknowledged).toBeGreaterThanOrEqual(60);
});

test('edges are the same for the same seed, and between pods of the address plan', () => {
  const options = { target: '', agents: 1000, edges: 200, intervalMs: 1 };
  const edges = simulatedEdges(7, options);
  checkEdgeColumns(edges);
  expect(edges.n).toBe(200);
  expect(simulatedEdges(7, options)).toEqual(edges);
  expect(simulatedEdges(8, options)).not.toEqual(edges);
  const locals = new Set([...edges.local].map((at) => edges.addresses.subarray(at * 16 + 12, at * 16 + 16).join('.')));
  const pods = new Set(Array.from({ length: 100 }, (_, pod) => podAddress(7, pod)));
  expect([...locals].filter((address) => !pods.has(address))).toEqual([]);
  expect(podAddress(999, 99)).toBe('10.1.134.160');
});
