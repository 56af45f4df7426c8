import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { startNetloom, type NetloomProcess } from '../../demo/netloom-process.ts';
import { startScheduler, type SchedulerUnderDemo } from '../../demo/scheduler-under-demo.ts';
import { compareMatrix } from '../../lab/demo/index.ts';
import {
  labDown,
  labEnv,
  labUp,
  pauseTraffic,
  scopeFile,
  snapshotFile,
  startTraffic,
  trueMatrix,
} from '../../lab/index.ts';
import type { Counters } from '../../scheduler/graph/counters.ts';

const NAME = `t${process.pid}`;
let processes: (NetloomProcess | SchedulerUnderDemo)[] = [];

afterEach(async () => {
  await Promise.all(processes.map((started) => started.stop()));
  processes = [];
  await labDown({ name: NAME }).catch(() => {});
});

/** Real processes over real sockets: the generator's own counters beside what the scheduler learned. */
describe('from sockets to the graph', () => {
  it.each(['two-nodes', 'online-boutique'])('%s: every edge is exact, none is invented', async (scenario) => {
    const faults: string[] = [];
    const onExit = (what: string): void => void faults.push(what);
    const lab = await labUp({ name: NAME, scenario, paused: true });
    const scheduler = await startScheduler(snapshotFile(lab), labEnv(lab), onExit);
    processes.push(scheduler);
    for (const node of lab.state.nodes) {
      processes.push(
        await startNetloom(
          ['agent', '--node', node.name, '--scheduler', `127.0.0.1:${scheduler.agentsPort}`, '--interval', '1s']
            .concat(['--scope', scopeFile(lab, node.name), '--uplink-netns', node.netns])
            .concat(['--log-level', 'warn']),
          labEnv(lab),
          onExit,
        ),
      );
    }
    await scheduler.agentsReport(lab.state.nodes.length);
    await startTraffic(lab);
    await sleep(5_000);
    await pauseTraffic(lab);

    const truth = await trueMatrix(lab);
    const sum = (bytes: readonly { readonly bytesOut: number; readonly bytesIn: number }[]): number =>
      bytes.reduce((total, edge) => total + edge.bytesOut + edge.bytesIn, 0);
    const expected = sum(truth.workloads.map((edge) => edge.byServers));
    expect(expected).toBeGreaterThan(0);
    let counters = await scheduler.get<Counters>('/v1/counters');
    for (let i = 0; i < 100 && sum(counters.edges) < expected; i++) {
      await sleep(100);
      counters = await scheduler.get<Counters>('/v1/counters');
    }
    const comparison = compareMatrix(truth, counters.edges);
    expect(comparison.phantoms).toEqual([]);
    expect(comparison.worstError).toBeLessThanOrEqual(0.01);
    expect(counters.lost).toMatchObject({ mapFullConnections: 0, refusedForeign: 0, malformed: 0, missingReports: 0 });

    const byPod = await scheduler.get<Counters>('/v1/counters', { by: 'pod' });
    expect(byPod.edges.every((edge) => edge.client.kind === 'Pod' && edge.server.kind === 'Pod')).toBe(true);
    expect(sum(byPod.edges)).toBe(sum(counters.edges));
    expect(faults).toEqual([]);
  });
});
