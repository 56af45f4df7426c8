import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addressKey, formatAddress, parseAddress } from '../../lib/ip.ts';
import type { StatusReply } from '../../scheduler/api/replies.ts';
import { AddressBook } from '../../scheduler/cluster/address-book.ts';
import { changesBetween } from '../../scheduler/cluster/changes.ts';
import { readSnapshot, type Snapshot } from '../../scheduler/cluster/snapshot-file.ts';
import { ClusterState } from '../../scheduler/cluster/state.ts';
import { generateCluster, writeText } from '../support/generate-cluster.ts';
import { best, probeOf } from '../support/generated-probe.ts';
import { Processes } from '../support/netloom.ts';

const BYTES = 40_000_000;
const cluster = generateCluster({ bytes: BYTES, seed: 20_261_124 });
const processes = new Processes();
let dir: string;
let file: string;
let snapshot: Snapshot;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'netloom-kubectl-'));
  file = join(dir, 'cluster.json');
  expect(await writeText(file, cluster.text())).toBeGreaterThan(BYTES);
  snapshot = await readSnapshot(file);
});
afterAll(async () => {
  await processes.cleanup();
  await rm(dir, { recursive: true, force: true });
});

describe('40 MB of kubectl output', () => {
  it('are read without a loss', () => {
    const { form, nodes, pods, services, controllers, ignored, unusable, odd, repeated } = snapshot.summary;
    expect({ nodes, pods, services, controllers }).toEqual(cluster.counts);
    expect({ form, ignored, unusable, odd, repeated }).toEqual({
      form: 'kubectl',
      ignored: [],
      unusable: [],
      odd: [],
      repeated: 0,
    });
  });

  it('give every pod to its workload, though Rollouts, Jobs and CronJobs are not listed', () => {
    const placed = new Map<string, ReadonlyMap<string, number>>();
    for (const { key, placedByNode } of stateOf(snapshot).workloads())
      if (placedByNode.size > 0) placed.set(key, placedByNode);
    expect(placed).toEqual(cluster.placed);
  });

  it('give every address to the pod that lives, not to the one at its end or to a daemon of the host', () => {
    const book = new AddressBook();
    book.apply([...changesBetween(new Map(), snapshot.records)], 1_000_000);
    const owners = new Map<string, string>();
    for (const text of cluster.owners.keys()) {
      const owner = book.resolveKey(addressKey(parseAddress(text)!), 1_000_000, 1_010_000);
      owners.set(text, owner.kind === 'Pod' ? `${owner.pod.namespace}/${owner.pod.name}` : owner.kind);
    }
    expect(owners).toEqual(cluster.owners);
    expect([...owners.keys()].filter((text) => text !== formatAddress(parseAddress(text)!)).length).toBeGreaterThan(
      100,
    );
    for (const node of snapshot.records.values()) {
      if (node.type !== 'node') continue;
      for (const text of node.addresses)
        expect(book.resolveKey(addressKey(parseAddress(text)!), 1_000_000, 1_010_000)).toMatchObject({ kind: 'Node' });
    }
  });

  it('are the same records when they are compressed', async () => {
    const packed = join(dir, 'cluster.json.gz');
    await pipeline(createReadStream(file), createGzip({ level: 1 }), createWriteStream(packed));
    expect((await readSnapshot(packed)).records).toEqual(snapshot.records);
  });

  it('make a scheduler ready, and its answer follow the traffic', async () => {
    const probe = probeOf(cluster);
    const traffic = join(dir, 'traffic.csv');
    await writeFile(traffic, probe.traffic);
    const scheduler = await processes.scheduler(['--snapshot', file, '--traffic', traffic]);
    const ready = await fetch(`http://127.0.0.1:${scheduler.ports.extender}/readyz`);
    expect(ready.status).toBe(200);
    const { cluster: shown } = await scheduler.get<StatusReply>('/v1/status');
    expect(shown).toMatchObject({ nodes: cluster.counts.nodes, pods: cluster.counts.pods, problems: [] });
    expect(await best(scheduler, probe.pod, cluster.nodes)).toBe(probe.nearest);
    const { zone } = cluster.nodes.find(({ name }) => name === probe.nearest)!;
    const elsewhere = cluster.nodes.filter((node) => node.zone !== zone);
    expect(await best(scheduler, probe.pod, elsewhere)).toBe(probe.second);
  });
});

function stateOf({ records }: Snapshot): ClusterState {
  const state = new ClusterState();
  state.apply([...changesBetween(new Map(), records)]);
  return state;
}
