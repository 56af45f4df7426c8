import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { KubeScores } from '../../scheduler/simulate/default-scores/kube.ts';
import { loadCluster } from '../../scheduler/simulate/load.ts';
import { Moment } from '../../scheduler/simulate/moment.ts';
import { binaries } from './binaries.ts';
import type { Component } from './component.ts';
import { ControlPlane } from './control-plane.ts';
import { createNodes, type NodeSpec, type NodeTaint } from './nodes.ts';
import { StatusWriter } from './status-writer.ts';

const MINUTES = 60_000;
const ZONES = ['a', 'b', undefined];

const avoid = (key: string): NodeTaint => ({ key, value: '1', effect: 'PreferNoSchedule' });

/** Nodes that differ in everything that scores look at. */
const NODES: readonly NodeSpec[] = Array.from({ length: 12 }, (_, i) => ({
  name: `node-${String(i).padStart(2, '0')}`,
  ...(ZONES[i % 3] === undefined ? {} : { zone: ZONES[i % 3]! }),
  capacity: { cpu: ['4', '7900m', '16'][i % 3]!, memory: ['8Gi', '30Gi', '16093Mi', '64Gi'][i % 4]!, pods: '30' },
  ...(i < 3 ? {} : { taints: ['slow', 'old', 'loud'].slice(0, i % 4).map(avoid) }),
}));

const container = (requests: Record<string, string>, i = 0): object => ({
  name: `c${i}`,
  image: 'x',
  resources: { requests },
});

interface Workload {
  readonly name: string;
  readonly replicas: number;
  readonly containers: readonly object[];
  readonly service?: true;
  readonly tolerations?: readonly object[];
}

/** Deployments whose pods ask for both, one or nothing, in one or two containers, and tolerate some taints, all or none. */
const WORKLOADS: readonly Workload[] = [
  { name: 'small', replicas: 9, containers: [container({ cpu: '100m', memory: '128Mi' })] },
  { name: 'cpu', replicas: 6, containers: [container({ cpu: '1300m' })], service: true },
  {
    name: 'memory',
    replicas: 5,
    containers: [container({ memory: '3Gi' })],
    tolerations: [{ key: 'old', operator: 'Exists' }],
  },
  { name: 'nothing', replicas: 7, containers: [container({})] },
  { name: 'half', replicas: 6, containers: [container({ cpu: '250m', memory: '1Gi' }), container({ cpu: '50m' }, 1)] },
  { name: 'large', replicas: 5, containers: [container({ cpu: '2500m', memory: '5Gi' })], service: true },
  { name: 'anywhere', replicas: 4, containers: [container({ cpu: '150m' })], tolerations: [{ operator: 'Exists' }] },
  { name: 'single', replicas: 1, containers: [container({ cpu: '333m', memory: '777Mi' })] },
];

/** What kube-scheduler says of one pod at -v=10. */
interface Scored {
  readonly pod: string;
  readonly scores: Map<string, number>;
  node: string;
}

describe("the simulator's model of kube-scheduler, against the real one", () => {
  let folder: string;
  let plane: ControlPlane;
  let writer: StatusWriter;
  let scheduler: Component;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'netloom-default-scores-'));
    plane = await ControlPlane.start({ binaries: binaries() });
    await createNodes(plane.api, NODES);
    writer = new StatusWriter(plane.api).start();
    await plane.kubectl('create', 'namespace', 'shop');
    scheduler = await plane.startScheduler({ args: ['-v=10'] });
  });

  afterAll(async () => {
    await writer?.stop();
    await plane?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const pods = async (): Promise<{ spec: { nodeName?: string } }[]> =>
    (await plane.api.call<{ items: { spec: { nodeName?: string } }[] }>('GET', '/api/v1/namespaces/shop/pods')).items;
  const bound = async (): Promise<number> => (await pods()).filter(({ spec }) => spec.nodeName !== undefined).length;
  const replicaSets = async (): Promise<number> =>
    (await plane.api.call<{ items: object[] }>('GET', '/apis/apps/v1/namespaces/shop/replicasets')).items.length;

  const meta = (name: string): object => ({ name, namespace: 'shop' });
  const template = (name: string, containers: readonly object[], tolerations: readonly object[] = []): object => ({
    metadata: { labels: { app: name } },
    spec: { terminationGracePeriodSeconds: 0, containers, tolerations },
  });

  test('gives every node the same score for every pod', { timeout: 3 * MINUTES }, async () => {
    await plane.api.call('POST', '/apis/apps/v1/namespaces/shop/daemonsets', {
      apiVersion: 'apps/v1',
      kind: 'DaemonSet',
      metadata: meta('daemon'),
      spec: {
        selector: { matchLabels: { app: 'daemon' } },
        template: template('daemon', [container({ cpu: '120m' }), container({}, 1)]),
      },
    });
    await expect.poll(bound, { timeout: MINUTES }).toBe(NODES.length);
    let expected = NODES.length;
    for (const { name, containers, service, tolerations } of WORKLOADS) {
      if (service === true) {
        await plane.api.call('POST', '/api/v1/namespaces/shop/services', {
          metadata: meta(name),
          spec: { selector: { app: name }, ports: [{ port: 80 }] },
        });
      }
      await plane.api.call('POST', '/apis/apps/v1/namespaces/shop/deployments', {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: meta(name),
        spec: {
          replicas: 0,
          selector: { matchLabels: { app: name } },
          template: template(name, containers, tolerations),
        },
      });
    }
    // kube-scheduler spreads by ReplicaSets and Services, which it watches apart from pods: they are there before these.
    await expect.poll(replicaSets, { timeout: MINUTES }).toBe(WORKLOADS.length);
    for (const { name, replicas } of WORKLOADS) {
      const path = `/apis/apps/v1/namespaces/shop/deployments/${name}`;
      await plane.api.call('PATCH', path, { spec: { replicas } }, 'application/merge-patch+json');
      expected += replicas;
    }
    await expect.poll(bound, { timeout: MINUTES }).toBe(expected);

    const snapshot = join(folder, 'cluster.json');
    await writeFile(
      snapshot,
      await plane.kubectl('get', 'nodes,pods,services,deployments,replicasets,daemonsets', '-A', '-o', 'json'),
    );
    const cluster = await loadCluster({ snapshot, traffic: undefined }, { maxReplicaShare: 1 });
    expect(cluster.pods.count).toBe(expected - NODES.length);
    // It says so after the API server has known it.
    await expect.poll(() => scoredPods(scheduler.log()).every(({ node }) => node !== '')).toBe(true);
    const decisions = scoredPods(scheduler.log());
    expect(decisions).toHaveLength(cluster.pods.count);

    const moment = new Moment(cluster);
    const model = new KubeScores(cluster);
    model.reset();
    let ties = 0;
    for (const { pod, scores, node } of decisions) {
      const p = cluster.pods.names.indexOf(pod);
      moment.arrive(p);
      const totals = new Float64Array(moment.candidateCount);
      model.score(moment, totals);
      const mine = new Map([...totals].map((total, c) => [cluster.nodes[moment.candidates[c]!]!, total]));
      // The model leaves out what all nodes get: TaintToleration's 300.
      expect(Object.fromEntries(mine), pod).toEqual(
        Object.fromEntries([...scores].map(([name, score]) => [name, score - 300])),
      );
      const best = [...mine].filter(([, total]) => total === Math.max(...totals)).map(([name]) => name);
      // Of equals the first of a list whose order depends on which of its threads found a node first.
      expect(best).toContain(node);
      if (best.length > 1) ties++;
      const n = cluster.nodes.indexOf(node);
      moment.place(p, n);
      model.changed(moment, p, n, 1);
    }
    console.log(`${decisions.length} pods on ${NODES.length} nodes: all scores equal; ${ties} ties`);
  });
});

/** Pods of Deployments in the order in which they were scheduled. */
function scoredPods(log: string): Scored[] {
  const found = new Map<string, Scored>();
  for (const line of log.split('\n')) {
    const pod = /pod="(shop\/[^"]+)"/.exec(line)?.[1];
    const node = /node="([^"]+)"/.exec(line)?.[1];
    if (pod === undefined || node === undefined) continue;
    if (line.includes("Calculated node's final score for pod")) {
      const score = Number(/score=(-?\d+)/.exec(line)![1]);
      let scored = found.get(pod);
      if (scored === undefined) found.set(pod, (scored = { pod, scores: new Map(), node: '' }));
      scored.scores.set(node, score);
    } else if (line.includes('Successfully bound pod to node') && found.has(pod)) {
      found.get(pod)!.node = node;
    }
  }
  return [...found.values()];
}
