import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { compareMatrix } from '../../lab/demo/index.ts';
import { startTraffic } from '../../lab/index.ts';
import { bytesOf, LabSpine, NOTHING_LOST } from './lab-spine.ts';
import { labName } from './lab-support.ts';

let spine: LabSpine | undefined;

afterEach(async () => {
  await spine?.stop();
  spine = undefined;
});

/** Real processes over real sockets: the generator's own counters beside what the scheduler learned. */
describe('from sockets to the graph', () => {
  it.each(['two-nodes', 'online-boutique'])('%s: every edge is exact, none is invented', async (scenario) => {
    spine = await LabSpine.start(labName(), scenario);
    await startTraffic(spine.lab);
    await sleep(5_000);
    const { truth, workloads, pods } = await spine.settled();
    expect(bytesOf(truth.workloads.map((edge) => edge.byServers))).toBeGreaterThan(0);

    const comparison = compareMatrix(truth, workloads.edges);
    expect(comparison.phantoms).toEqual([]);
    expect(comparison.worstError).toBeLessThanOrEqual(0.01);
    expect(workloads.lost).toMatchObject(NOTHING_LOST);
    expect(pods.edges.every((edge) => edge.client.kind === 'Pod' && edge.server.kind === 'Pod')).toBe(true);
    expect(bytesOf(pods.edges)).toBe(bytesOf(workloads.edges));
    expect(spine.faults).toEqual([]);
  });
});
