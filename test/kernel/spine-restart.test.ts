import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, it } from 'vitest';
import { compareMatrix } from '../../lab/demo/index.ts';
import { startTraffic } from '../../lab/index.ts';
import { parseScenario } from '../../lab/scenario.ts';
import { ensureBpffs, unmountBpffs } from '../../lib/bpf/index.ts';
import { LabSpine, NOTHING_LOST } from './lab-spine.ts';
import { labName } from './lab-support.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** Connections that outlive every agent, flat out and with a request now and then, and some that live for one request. */
const EDGES = [
  { client: 'standing', server: 'standing-server', mode: 'keep-alive', requestsPerSecond: 200, connections: 8 },
  { client: 'short', server: 'short-server', mode: 'short', requestsPerSecond: 200, connections: 64 },
];
const SCENARIO = parseScenario(
  JSON.stringify({
    netloomScenario: 1,
    name: 'restarts',
    nodes: [{ name: 'node-0' }, { name: 'node-1' }],
    workloads: EDGES.flatMap(({ client, server }) => [
      { name: client, placement: ['node-0'] },
      { name: server, placement: ['node-0', 'node-1'], service: { port: 80, targetPort: 8080 } },
    ]),
    edges: EDGES,
  }),
  'restarts',
);

it('agents that are killed and replaced under traffic: the graph has every byte and connection once', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'nlt-restart-'));
  cleanups.push(() => rmSync(dir, { recursive: true, force: true }));
  const pins = join(dir, 'bpf');
  ensureBpffs(pins);
  cleanups.push(() => unmountBpffs(pins));
  // With a store a report is committed, and acknowledged, some time after it was booked.
  const spine = await LabSpine.start(labName(), SCENARIO, {
    ...{ pins, state: join(dir, 'state'), store: join(dir, 'graph.db') },
  });
  cleanups.push(() => spine.stop());
  await startTraffic(spine.lab);
  await sleep(2_000);
  await spine.replaceAgents('SIGKILL', 2_500);
  await sleep(2_500);
  await spine.replaceAgents('SIGTERM', 0);
  await sleep(1_300);
  await spine.replaceAgents('SIGKILL', 0);
  await sleep(2_000);
  const { truth, workloads } = await spine.settled();

  const { edges, phantoms } = compareMatrix(truth, workloads.edges);
  expect(phantoms).toEqual([]);
  expect(edges).toHaveLength(EDGES.length);
  for (const edge of edges) {
    expect(edge.trueOut).toBeGreaterThan(10_000);
    expect([edge.learnedOut, edge.learnedIn, edge.learnedConnections]).toEqual([
      ...[edge.trueOut, edge.trueIn, edge.trueConnections],
    ]);
  }
  expect(workloads.lost).toMatchObject({ ...NOTHING_LOST, overlapping: 0, readFailed: 0 });
  expect(spine.faults).toEqual([]);
});
