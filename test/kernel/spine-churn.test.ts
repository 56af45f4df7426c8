import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, it } from 'vitest';
import { movePods, startTraffic } from '../../lab/index.ts';
import { compareMatrix } from '../../lab/demo/index.ts';
import { bytesOf, LabSpine, NOTHING_LOST } from './lab-spine.ts';
import { labName } from './lab-support.ts';

let spine: LabSpine | undefined;

afterEach(async () => {
  await spine?.stop();
  spine = undefined;
});

it('pods that are made again elsewhere while traffic runs: every byte stays with the pod whose it was', async () => {
  spine = await LabSpine.start(labName(), 'two-nodes');
  const { lab } = spine;
  await startTraffic(lab);
  for (const workload of ['api', 'web', 'store', 'api']) {
    await sleep(1_000);
    const pod = lab.state.pods.find((candidate) => candidate.workload === workload)!;
    await movePods(lab, [{ pod: pod.name, node: pod.node === 'node-0' ? 'node-1' : 'node-0' }]);
  }
  await sleep(1_000);
  const { truth, workloads, pods } = await spine.settled();
  expect(compareMatrix(truth, workloads.edges).phantoms).toEqual([]);

  // A process that ends leaves unread what its socket had received already, so the kernel's figures lie between what
  // the one side wrote and what the other read: with nothing left unread, both are the same.
  for (const { client, server, byClients, byServers } of truth.workloads) {
    const learned = workloads.edges.filter((edge) => edge.client.name === client && edge.server.name === server);
    expect(learned).toHaveLength(1);
    const { bytesOut, bytesIn } = learned[0]!;
    expect(bytesOut).toBeGreaterThanOrEqual(byServers.bytesOut);
    expect(bytesOut).toBeLessThanOrEqual(byClients.bytesOut);
    expect(bytesIn).toBeGreaterThanOrEqual(byClients.bytesIn);
    expect(bytesIn).toBeLessThanOrEqual(byServers.bytesIn);
    const unread = { out: byClients.bytesOut - byServers.bytesOut, in: byServers.bytesIn - byClients.bytesIn };
    const served = truth.pods.filter((edge) => edge.client.workload === client && edge.server.workload === server);
    for (const edge of served) {
      const seen = pods.edges.find(
        (other) => other.client.name === edge.client.name && other.server.name === edge.server.name,
      );
      const over = { out: (seen?.bytesOut ?? 0) - edge.bytesOut, in: edge.bytesIn - (seen?.bytesIn ?? 0) };
      expect(over.out).toBeGreaterThanOrEqual(0);
      expect(over.out).toBeLessThanOrEqual(unread.out);
      expect(over.in).toBeGreaterThanOrEqual(0);
      expect(over.in).toBeLessThanOrEqual(unread.in);
    }
  }
  const pairs = new Set(truth.pods.map(({ client, server }) => `${client.name} ${server.name}`));
  expect(pairs.size).toBeGreaterThan(8);
  // A connection that its server's end came too early to accept is in the graph, without a byte that the server read.
  const others = pods.edges.filter(({ client, server }) => !pairs.has(`${client.name} ${server.name}`));
  expect(bytesOf(others.map((edge) => ({ ...edge, bytesOut: 0 })))).toBe(0);
  expect(bytesOf(pods.edges)).toBe(bytesOf(workloads.edges));
  expect(workloads.lost).toMatchObject(NOTHING_LOST);
  expect(spine.faults).toEqual([]);
});
