import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, it } from 'vitest';
import { startTraffic } from '../../lab/index.ts';
import { compareMatrix } from '../../lab/demo/index.ts';
import { parseScenario } from '../../lab/scenario.ts';
import { bytesOf, LabSpine, NOTHING_LOST } from './lab-spine.ts';
import { labName } from './lab-support.ts';

let spine: LabSpine | undefined;

afterEach(async () => {
  await spine?.stop();
  spine = undefined;
});

/** 2,000 connections a second for one request each: between nodes and within, ended by either side and by RST. */
const edge = (client: string, close: string, requestsPerSecond: number) => ({
  ...{ client, server: `${client}-server`, mode: 'short', close, requestsPerSecond },
  ...{ requestBytes: 300, responseBytes: 1_700, connections: 256 },
});
const EDGES = [edge('by-client', 'client', 800), edge('by-server', 'server', 700), edge('by-reset', 'reset', 500)];
const SCENARIO = parseScenario(
  JSON.stringify({
    netloomScenario: 1,
    name: 'short-connections',
    nodes: [{ name: 'node-0' }, { name: 'node-1' }],
    workloads: EDGES.flatMap(({ client, server }) => [
      { name: client, placement: ['node-0'] },
      { name: server, placement: ['node-0', 'node-1'], service: { port: 80, targetPort: 8080 } },
    ]),
    edges: EDGES,
  }),
  'short-connections',
);

it('2,000 short connections a second: every connection and byte is in the graph, nothing is lost', async () => {
  spine = await LabSpine.start(labName(), SCENARIO);
  await startTraffic(spine.lab);
  await sleep(5_000);
  const { truth, workloads, pods } = await spine.settled();

  const { edges, phantoms } = compareMatrix(truth, workloads.edges);
  expect(phantoms).toEqual([]);
  expect(edges).toHaveLength(EDGES.length);
  for (const edge of edges) {
    expect(edge.trueConnections).toBeGreaterThan(500);
    expect([edge.learnedOut, edge.learnedConnections]).toEqual([edge.trueOut, edge.trueConnections]);
    if (edge.client !== 'by-reset') expect(edge.learnedIn).toBe(edge.trueIn);
    // A reset may overtake the acknowledgement of the answer: the server's kernel never hears that it arrived.
    expect(edge.learnedIn).toBeLessThanOrEqual(edge.trueIn);
    expect(edge.error).toBeLessThanOrEqual(0.01);
  }
  type PodEdge = { client: { name: string }; server: { name: string } } & Record<
    'bytesOut' | 'bytesIn' | 'connections',
    number
  >;
  const told = (all: readonly PodEdge[]): string[] =>
    all
      .map(({ client, server, bytesOut, bytesIn, connections }) => {
        const answers = client.name.startsWith('by-reset') ? 'some' : bytesIn;
        return `${client.name} ${server.name} ${bytesOut} ${answers} ${connections}`;
      })
      .sort();
  expect(told(pods.edges)).toEqual(told(truth.pods));
  expect(bytesOf(pods.edges)).toBe(bytesOf(workloads.edges));
  expect(workloads.lost).toMatchObject(NOTHING_LOST);
  expect(spine.faults).toEqual([]);
});
