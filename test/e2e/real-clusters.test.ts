import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { StatusReply } from '../../scheduler/api/replies.ts';
import { TRAFFIC_HEADER } from '../../scheduler/cluster/traffic.ts';
import { exampleData } from '../support/example-data.ts';
import { Processes, type SchedulerProcess } from '../support/netloom.ts';

const BOUTIQUE = ['online-boutique-cluster.json', 'online-boutique-traffic.csv'] as const;
const MANIFESTS = 'online-boutique.yaml';
const M3 = 'M3.json';
const data = exampleData(...BOUTIQUE, MANIFESTS, M3);
if ('missing' in data) console.log(`real clusters are skipped: ${data.missing}`);
const at = (file: string): string => join('folder' in data ? data.folder : '', file);

const processes = new Processes();
let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'netloom-real-'));
});
afterEach(async () => {
  await processes.cleanup();
  await rm(dir, { recursive: true, force: true });
});

interface KubePod {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace: string; readonly labels: { readonly app: string } };
  readonly spec: { readonly nodeName?: string };
}
interface Row {
  readonly client: string;
  readonly server: string;
  readonly bytes: number;
  readonly line: string;
}

/** As kube-scheduler sends the next replica of a pod. */
function nextOf({ metadata, spec, ...rest }: KubePod): object {
  const { nodeName: _, ...pending } = spec;
  return {
    ...rest,
    metadata: { ...metadata, name: `${metadata.name.slice(0, -5)}zzzzz`, uid: `new-${metadata.name}` },
    spec: pending,
    status: { phase: 'Pending' },
  };
}

/** The nodes that share the greatest score. */
async function bestOf(scheduler: SchedulerProcess, pod: object, nodes: readonly string[]): Promise<string[]> {
  const scores = await scheduler.prioritize(pod, nodes);
  const most = Math.max(...scores.map(({ Score }) => Score));
  return scores.filter(({ Score }) => Score === most).map(({ Host }) => Host);
}

describe.skipIf('missing' in data)('Online Boutique on a real control plane', () => {
  let items: KubePod[];
  let nodes: string[];
  let podsOf: Map<string, KubePod[]>;
  let rows: Row[];
  beforeEach(async () => {
    ({ items } = JSON.parse(await readFile(at(BOUTIQUE[0]), 'utf8')) as { items: KubePod[] });
    nodes = items.filter(({ kind }) => kind === 'Node').map(({ metadata }) => metadata.name);
    podsOf = Map.groupBy(
      items.filter(({ kind, metadata }) => kind === 'Pod' && metadata.namespace === 'shop'),
      ({ metadata }) => metadata.labels.app,
    );
    rows = (await readFile(at(BOUTIQUE[1]), 'utf8'))
      .trim()
      .split('\n')
      .slice(1)
      .map((line) => {
        const [, , client, , , server, out, back] = line.split(',') as [
          string,
          string,
          string,
          string,
          string,
          string,
          string,
          string,
        ];
        return { client, server, bytes: Number(out) + Number(back), line };
      });
  });
  const nodesOf = (app: string): (string | undefined)[] => podsOf.get(app)!.map(({ spec }) => spec.nodeName);

  it('is read as it stands, and every workload is drawn to a node of those that it talks to', async () => {
    const scheduler = await processes.scheduler(['--snapshot', at(BOUTIQUE[0]), '--traffic', at(BOUTIQUE[1])]);
    const { cluster, ready } = await scheduler.get<StatusReply>('/v1/status');
    expect({ ready, ...cluster }).toMatchObject({ ready: true, nodes: 6, pods: 24, workloads: 12, problems: [] });
    let opinions = 0;
    for (const [app, pods] of podsOf) {
      const peers = rows.filter(({ client, server }) => client === app || server === app);
      const near = new Set(peers.flatMap(({ client, server }) => nodesOf(client === app ? server : client)));
      const best = await bestOf(scheduler, nextOf(pods[0]!), nodes);
      if (best.length > 0) opinions++;
      expect(best.filter((node) => !near.has(node))).toEqual([]);
    }
    expect(opinions).toBeGreaterThan(6);
  });

  it('scores follow the traffic: whose rate is raised draws the other to its node', async () => {
    const single = rows.filter(({ client, server }) => podsOf.get(server)!.length === 1 && podsOf.has(client));
    expect(single.length).toBeGreaterThan(3);
    for (const raised of single.slice(0, 4)) {
      const file = join(dir, 'raised.csv');
      const much = raised.line.replace(/[^,]+,[^,]+$/, '90000000,90000000');
      const lines = rows.map((row) => (row === raised ? much : row.line));
      await writeFile(file, [TRAFFIC_HEADER, ...lines, ''].join('\n'));
      const scheduler = await processes.scheduler(['--snapshot', at(BOUTIQUE[0]), '--traffic', file]);
      const next = nextOf(podsOf.get(raised.client)![0]!);
      expect(await bestOf(scheduler, next, nodes), `${raised.client} to ${raised.server}`).toEqual(
        nodesOf(raised.server),
      );
      await scheduler.end();
    }
  });

  it('its manifests are no snapshot, and that is said', async () => {
    const run = await processes.run(['scheduler', '--listen', '127.0.0.1:0', '--snapshot', at(MANIFESTS)]);
    expect(run.status).toBe(1);
    expect(run.stderr).toMatch(/SNAPSHOT_WRONG_FORM[^]*online-boutique\.yaml[^]*YAML[^]*-o json/);
  });
});

interface M3Cluster {
  readonly ServiceList: readonly { readonly Service: string; readonly ContainerList: readonly string[] }[];
  /** Without names. */
  readonly MachineList: readonly { readonly InitialDeployingContainers: readonly string[] }[];
  readonly TrafficList: readonly { readonly Service1: string; readonly Service2: string; readonly Traffic: number }[];
}

describe.skipIf('missing' in data)('a production cluster of ByteDance (M3), in our own form', () => {
  it('services are drawn to the machines of the service that they talk to most', async () => {
    const m3 = JSON.parse(await readFile(at(M3), 'utf8')) as M3Cluster;
    const named = (text: string): string => text.toLowerCase();
    const machines = m3.MachineList.map((_, i) => `machine-${i}`);
    const machineOf = new Map(
      m3.MachineList.flatMap(({ InitialDeployingContainers }, i) =>
        InitialDeployingContainers.map((container) => [container, machines[i]!] as const),
      ),
    );
    const [namespace, kind] = ['m3', 'Deployment'];
    const snapshot = join(dir, 'm3.json');
    await writeFile(
      snapshot,
      JSON.stringify({
        netloom: 'snapshot',
        version: 1,
        nodes: machines.map((name) => ({ name })),
        controllers: m3.ServiceList.map(({ Service, ContainerList }) => ({
          ...{ kind, namespace, name: named(Service) },
          replicas: ContainerList.length,
        })),
        pods: m3.ServiceList.flatMap(({ Service, ContainerList }) =>
          ContainerList.map((container) => ({
            ...{ namespace, name: named(container), node: machineOf.get(container) },
            owner: { kind, name: named(Service) },
          })),
        ),
      }),
    );
    // Unitless: in a unit that is above the traffic floor.
    const unit = 1e9 / m3.TrafficList.reduce((sum, { Traffic }) => sum + Traffic, 0);
    const rows = m3.TrafficList.map(({ Service1, Service2, Traffic }) =>
      [namespace, kind, named(Service1), namespace, kind, named(Service2), Traffic * unit, 0].join(','),
    );
    const traffic = join(dir, 'm3.csv');
    await writeFile(traffic, [TRAFFIC_HEADER, ...rows, ''].join('\n'));
    const scheduler = await processes.scheduler(['--snapshot', snapshot, '--traffic', traffic]);
    const { cluster } = await scheduler.get<StatusReply>('/v1/status');
    const counts = {
      nodes: 96,
      pods: m3.ServiceList.reduce((sum, { ContainerList }) => sum + ContainerList.length, 0),
    };
    expect(cluster).toMatchObject({ ...counts, workloads: 547, problems: [] });

    const size = new Map(m3.ServiceList.map(({ Service, ContainerList }) => [Service, ContainerList] as const));
    let asked = 0;
    for (const { Service, ContainerList } of m3.ServiceList) {
      // With a few replicas each, and nearly all traffic of one with the other, the right machine is plain to see.
      const pairs = m3.TrafficList.filter(({ Service1, Service2 }) => Service1 === Service || Service2 === Service);
      const sum = pairs.reduce((total, { Traffic }) => total + Traffic, 0);
      const main = pairs.find(({ Traffic }) => Traffic > 0.7 * sum);
      if (main === undefined || ContainerList.length > 4 || sum * unit < 100_000) continue;
      const peers = size.get(main.Service1 === Service ? main.Service2 : main.Service1)!;
      const theirs = peers.map((container) => machineOf.get(container)!);
      // Where a replica is there already, another one gains less.
      if (peers.length > 4 || ContainerList.some((own) => theirs.includes(machineOf.get(own)!))) continue;
      const metadata = {
        ...{ name: 'next', namespace, uid: Service },
        ownerReferences: [{ apiVersion: 'apps/v1', kind, name: named(Service), uid: '', controller: true }],
      };
      const best = await bestOf(scheduler, { metadata, spec: {} }, machines);
      expect(theirs, Service).toEqual(expect.arrayContaining(best));
      expect(best.length, Service).toBeGreaterThan(0);
      asked++;
    }
    console.log(`${asked} services of M3 asked for`);
    expect(asked).toBeGreaterThan(3);
  });
});
