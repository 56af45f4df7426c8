import { describe, expect, it } from 'vitest';
import { crossingBetween } from '../../lab/crossing.ts';
import { layOut } from '../../lab/layout.ts';
import { loadScenario } from '../../lab/scenario-load.ts';
import { buildMatrix } from '../../lab/matrix.ts';
import type { PodCounters } from '../../lab/traffic/counters.ts';
import type { LabState } from '../../lab/state.ts';

async function twoNodes(): Promise<LabState> {
  return layOut('demo', 'id', await loadScenario('two-nodes'), { nowMs: 0, paused: false, rateFactor: 1 });
}

const base = { sequence: 1, generation: 1, paused: false, pid: 1, uptimeMs: 1, refused: 0 };
const client = (edge: string, bytesOut: number, bytesIn: number) => ({
  edge,
  bytesOut,
  bytesIn,
  requests: 1,
  responses: 1,
  connections: 1,
  connectErrors: 1,
  errors: 0,
  skipped: 2,
  unansweredBytes: 0,
  busy: 0,
  open: 0,
});
const server = (peer: string, bytesIn: number, bytesOut: number) => ({
  peer,
  port: 80,
  bytesIn,
  bytesOut,
  requests: 1,
  connections: 1,
  open: 0,
});

describe('the true matrix', () => {
  it('sums pods to workloads from both sides, keeps pods that are gone, and names what it cannot place', async () => {
    const s = await twoNodes();
    const [web, api0, api1, store] = s.pods as [
      (typeof s.pods)[0],
      (typeof s.pods)[0],
      (typeof s.pods)[0],
      (typeof s.pods)[0],
    ];
    s.retired = [{ ...api1, removedAtMs: 1 }];
    s.pods = [web, api0, store];
    const matrix = buildMatrix(
      s,
      new Map<string, PodCounters>([
        [web.name, { ...base, client: [client('e0', 30, 300)], server: [] }],
        [api0.name, { ...base, client: [client('e1', 5, 50)], server: [server(web.address!, 10, 100)] }],
        [api1.name, { ...base, client: [], server: [server(web.address!, 20, 200), server('172.18.0.9', 7, 8)] }],
      ]),
    );
    const totals = { requests: 1, connections: 1 };
    expect(matrix.workloads[0]).toEqual({
      client: 'web',
      server: 'api',
      byClients: { ...totals, bytesOut: 30, bytesIn: 300 },
      byServers: { requests: 2, connections: 2, bytesOut: 30, bytesIn: 300 },
    });
    expect(matrix.pods.map((e) => [e.client.node, e.server.node, e.bytesOut])).toEqual([
      ['node-0', 'node-1', 10],
      ['node-0', 'node-0', 20],
    ]);
    expect(matrix.unknownPeers).toEqual({ ...totals, bytesOut: 7, bytesIn: 8 });
    expect(matrix.faults).toMatchObject({ connectErrors: 2, skipped: 4, silentPods: [store.name] });
  });

  it('gives the share that crossed nodes between two readings', async () => {
    const s = await twoNodes();
    const [web, api0, api1] = s.pods;
    const reading = (across: number, local: number, tx: number, atMs: number) => ({
      atMs,
      matrix: buildMatrix(
        s,
        new Map<string, PodCounters>([
          [api0!.name, { ...base, client: [], server: [server(web!.address!, across, 0)] }],
          [api1!.name, { ...base, client: [], server: [server(web!.address!, local, 0)] }],
        ]),
      ),
      uplinks: [{ node: 'node-0', txBytes: tx, rxBytes: 0, txPackets: 0 }],
    });
    const before = reading(1000, 1000, 5000, 0);
    expect(crossingBetween(before, reading(1300, 1100, 5350, 2000))).toEqual({
      periodMs: 2000,
      payloadBytes: 400,
      crossNodeBytes: 300,
      crossZoneBytes: 300,
      nodeShare: 0.75,
      zoneShare: 0.75,
      fabricBytes: 350,
    });
    expect(crossingBetween(before, before).nodeShare).toBe(0);
  });
});
