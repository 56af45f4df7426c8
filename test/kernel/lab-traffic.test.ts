import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import {
  crossingBetween,
  labDown,
  labUp,
  nodeExec,
  pauseTraffic,
  podExec,
  readLab,
  setTraffic,
  startTraffic,
  trueMatrix,
  type Lab,
} from '../../lab/index.ts';
import type { Scenario } from '../../lab/scenario.ts';
import { parseScenario } from '../../lab/scenario.ts';
import { labName, labRoot, smallScenario, sweep } from './lab-support.ts';

const root = labRoot();
const names: string[] = [];
afterAll(async () => {
  await sweep(names, root);
});

async function withLab(scenario: Scenario, use: (lab: Lab) => Promise<void>): Promise<void> {
  const name = labName();
  names.push(name);
  const lab = await labUp({ name, root, scenario, paused: true });
  await use(lab);
  await labDown({ name, root });
}

/** Traffic for `ms`, then silence: from then on counters must agree to the byte. */
async function runFor(lab: Lab, ms: number) {
  await startTraffic(lab);
  await sleep(ms);
  await pauseTraffic(lab);
  const matrix = await trueMatrix(lab);
  const { skipped, ...faults } = matrix.faults;
  expect(faults).toEqual({ connectErrors: 0, errors: 0, unansweredBytes: 0, refused: 0, silentPods: [] });
  // What a machine had no time for that stood still for more than a second; the rest is as it should be.
  expect(skipped).toBeLessThan(matrix.workloads.reduce((sum, { byClients }) => sum + byClients.requests, 0));
  expect(matrix.unknownPeers.connections).toBe(0);
  return matrix;
}

describe('the traffic of a lab', () => {
  it('is counted alike by clients and servers, to the byte, for every edge of Online Boutique', async () => {
    const name = labName();
    names.push(name);
    const lab = await labUp({ name, root, paused: true });
    const matrix = await runFor(lab, 3000);
    expect(matrix.workloads).toHaveLength(16);
    const planned = new Map(lab.state.scenario.edges.map((e) => [`${e.client}>${e.server}`, e]));
    for (const e of matrix.workloads) {
      const plan = planned.get(`${e.client}>${e.server}`)!;
      expect(e.byServers).toEqual(e.byClients);
      expect(e.byClients.bytesOut).toBe(e.byClients.requests * plan.requestBytes);
      expect(e.byClients.bytesIn).toBe(e.byClients.requests * plan.responseBytes);
    }
    // Both views again, by pods: what pods sum up to is what workloads sum up to.
    const sum = matrix.pods.reduce((s, e) => s + e.bytesOut + e.bytesIn, 0);
    expect(sum).toBe(matrix.workloads.reduce((s, e) => s + e.byClients.bytesOut + e.byClients.bytesIn, 0));
    await labDown({ name, root });
  });

  it('goes through Service addresses, and is dealt out evenly over the pods behind them', async () => {
    const scenario = smallScenario({ mode: 'short', requestsPerSecond: 400 }, 4);
    await withLab(scenario, async (lab) => {
      const matrix = await runFor(lab, 2500);
      const counts = matrix.pods.map((e) => e.connections);
      expect(counts).toHaveLength(4);
      const total = counts.reduce((a, b) => a + b, 0);
      // 4 x 250 expected, standard deviation 14: eight of them.
      for (const n of counts) expect(Math.abs(n - total / 4)).toBeLessThan(8 * Math.sqrt(total * 0.25 * 0.75));
      expect(new Set(matrix.pods.map((e) => e.server.node))).toEqual(new Set(['node-0', 'node-1']));
    });
  });

  it('sustains 2,000 short connections a second, each counted', async () => {
    const scenario = smallScenario({ mode: 'short', requestsPerSecond: 2000, requestBytes: 200, responseBytes: 1000 });
    await withLab(scenario, async (lab) => {
      const before = await readLab(lab);
      await startTraffic(lab);
      await sleep(5000);
      await pauseTraffic(lab);
      const after = await readLab(lab);
      const e = after.matrix.workloads[0]!;
      expect(e.byServers).toEqual(e.byClients);
      expect(e.byClients.bytesOut).toBe(e.byClients.connections * 200);
      expect(e.byClients.bytesIn).toBe(e.byClients.connections * 1000);
      expect(after.matrix.faults).toMatchObject({ connectErrors: 0, errors: 0, refused: 0 });
      // What this machine had no time for is said (`skipped`), and both together are what was asked for.
      const asked =
        (e.byClients.connections + after.matrix.faults.skipped) / (crossingBetween(before, after).periodMs / 1000);
      expect(asked).toBeGreaterThan(1000);
    });
  });

  it.each(['client', 'server', 'reset'])('is exact whoever ends a short connection: %s', async (close) => {
    await withLab(smallScenario({ mode: 'short', requestsPerSecond: 200, close }), async (lab) => {
      const e = (await runFor(lab, 1000)).workloads[0]!;
      expect(e.byClients.connections).toBeGreaterThan(50);
      expect(e.byServers).toEqual(e.byClients);
    });
  });

  it('is exact flat out over standing connections, and across the fabric', async () => {
    await withLab(smallScenario({ mode: 'bulk', connections: 4 }, 2), async (lab) => {
      const before = await readLab(lab);
      await runFor(lab, 1000);
      const after = await readLab(lab);
      const e = after.matrix.workloads[0]!;
      expect(e.byServers).toEqual(e.byClients);
      expect(e.byClients.bytesOut).toBeGreaterThan(10_000_000);
      const crossing = crossingBetween(before, after);
      expect(crossing.payloadBytes).toBe(e.byClients.bytesOut + e.byClients.bytesIn);
      expect(crossing.fabricBytes).toBeGreaterThanOrEqual(crossing.crossNodeBytes);
      expect(crossing.fabricBytes).toBeLessThan(crossing.crossNodeBytes * 1.2 + 100_000);
    });
  });

  it('can be made faster or slower while it runs', async () => {
    await withLab(smallScenario({ requestsPerSecond: 20 }), async (lab) => {
      const requests = async (): Promise<number> => (await trueMatrix(lab)).workloads[0]!.byClients.requests;
      await startTraffic(lab);
      await sleep(1000);
      const slow = await requests();
      await setTraffic(lab, { rateFactor: 20 });
      // At the old rate it would take four seconds.
      await expect
        .poll(async () => (await requests()) - slow, { timeout: 2500, interval: 250 })
        .toBeGreaterThan(slow * 4);
    });
  });

  it('reaches a pod from itself through its Service, masqueraded to the gateway', async () => {
    const scenario = parseScenario(
      JSON.stringify({
        netloomScenario: 1,
        name: 'self',
        nodes: [{ name: 'node-0' }],
        workloads: [{ name: 'self', service: { port: 80 } }],
        edges: [{ client: 'self', server: 'self', mode: 'short', requestsPerSecond: 50 }],
      }),
      'self',
    );
    await withLab(scenario, async (lab) => {
      const matrix = await runFor(lab, 800);
      expect(matrix.workloads[0]!.byServers).toEqual(matrix.workloads[0]!.byClients);
      expect(matrix.pods).toHaveLength(1);
      const raw = readFileSync(`${lab.dir}/counters/${lab.state.pods[0]!.name}.json`, 'utf8');
      expect(JSON.parse(raw).server.map((p: { peer: string }) => p.peer)).toEqual([lab.state.nodes[0]!.gateway]);
    });
  });

  it('reaches Services from nodes too, and refuses addresses of Services without pods at once', async () => {
    const scenario = smallScenario({ requestsPerSecond: 1 });
    const empty = { ...scenario.workloads[1]!, name: 'empty', placement: [] };
    await withLab({ ...scenario, workloads: [...scenario.workloads, empty] }, async (lab) => {
      const address = (workload: string): string => lab.state.services.find((s) => s.workload === workload)!.clusterIP;
      const connect = (service: string): string[] => ['bash', '-c', `exec 3<>/dev/tcp/${address(service)}/80`];
      const code = async (child: ReturnType<typeof nodeExec>): Promise<number> =>
        await new Promise((resolve) => child.once('exit', (c) => resolve(c ?? -1)));
      const pod = lab.state.pods[0]!.name;
      expect(await code(nodeExec(lab, 'node-0', connect('server'), { stdio: 'ignore' }))).toBe(0);
      expect(await code(podExec(lab, pod, connect('server'), { stdio: 'ignore' }))).toBe(0);
      expect(await code(podExec(lab, pod, connect('empty'), { stdio: 'ignore' }))).toBe(1);
    });
  });
});
