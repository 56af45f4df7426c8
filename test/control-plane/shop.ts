import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import type { ExplainReply } from '../../scheduler/api/replies.ts';
import { Processes, until, type SchedulerProcess } from '../support/netloom.ts';
import { binaries } from './binaries.ts';
import type { Component } from './component.ts';
import { ControlPlane } from './control-plane.ts';
import { createNodes } from './nodes.ts';
import { Recorder } from './recorder.ts';
import { StatusWriter } from './status-writer.ts';

export interface PodObject {
  readonly metadata: { readonly name: string; readonly uid: string };
  readonly spec: { readonly nodeName?: string };
  readonly status: { readonly nominatedNodeName?: string };
}

const NODES = 300;
const SMALL = 6;
/** Where the pods stand that others talk to: one in each zone, by how much. */
export const PEERS = { db: 'node-3', cache: 'node-1', queue: 'node-5' } as const;
export const ZONES = 3;
const WORKLOADS = 60;
/** Much runs on a machine that tests. */
export const PATIENCE_MS = 60_000;
export const APPS = '/apis/apps/v1/namespaces/shop/deployments';
export const PODS = '/api/v1/namespaces/shop/pods';

/**
 * A cluster of 300 nodes in three zones with our scheduler, which knows from a file that Deployments web-0, web-1, ... talk
 * with db, and gang-0, gang-1, ... with db, cache and queue. Six of the nodes (pool small) hold these, two in each zone.
 */
export class Shop {
  readonly processes = new Processes();
  readonly #closers: (() => Promise<unknown>)[] = [];
  plane!: ControlPlane;
  netloom!: SchedulerProcess;
  /** Between kube-schedulers and ours. */
  recorder!: Recorder;
  #entry: object = {};
  #named = 0;
  #schedulers = 0;

  private constructor() {}

  /** @param featureGates for all components */
  static async open(featureGates?: string): Promise<Shop> {
    const shop = new Shop();
    try {
      await shop.#open(featureGates);
      return shop;
    } catch (error) {
      await shop.close();
      throw error;
    }
  }

  async #open(featureGates: string | undefined): Promise<void> {
    const folder = await mkdtemp(join(tmpdir(), 'netloom-shop-'));
    this.#closers.push(() => rm(folder, { recursive: true, force: true }));
    const plane = await ControlPlane.start({
      binaries: binaries(),
      ...(featureGates === undefined
        ? {}
        : { featureGates, apiserverArgs: ['--runtime-config=scheduling.k8s.io/v1beta1=true'] }),
    });
    this.plane = plane;
    this.#closers.push(() => plane.stop());
    await createNodes(
      plane.api,
      Array.from({ length: NODES }, (_, i) => ({
        name: `node-${i}`,
        zone: zoneOf(`node-${i}`),
        labels: { pool: i < SMALL ? 'small' : 'large' },
      })),
    );
    const writer = new StatusWriter(plane.api).start();
    this.#closers.push(() => writer.stop());
    await writeFile(join(folder, 'traffic.csv'), trafficFile());
    this.#closers.push(() => this.processes.cleanup());
    this.netloom = await this.processes.scheduler(
      [
        ...['--kubeconfig', await plane.kubeconfigOf('netloom', '/O=system:masters/CN=netloom')],
        ...['--traffic', join(folder, 'traffic.csv')],
      ],
      { startMs: PATIENCE_MS },
    );
    await this.netloom.ready();
    const recorder = await Recorder.before(this.netloom.extender);
    this.recorder = recorder;
    this.#closers.push(() => recorder.stop());
    // As shipped, at the recorder's address.
    const print = ['scheduler', '--print-kube-scheduler-config', '--listen', recorder.address];
    const { extenders } = parse((await this.processes.run(print)).stdout) as { extenders: object[] };
    this.#entry = extenders[0]!;
    await plane.kubectl('create', 'namespace', 'shop');
    const first = await plane.startScheduler({ name: 'first' });
    for (const [name, node] of Object.entries(PEERS)) {
      await this.deploy(name, 1, 'default-scheduler', { nodeSelector: { 'kubernetes.io/hostname': node } });
      await this.placed(name, 1);
    }
    await plane.stopScheduler(first);
  }

  async close(): Promise<void> {
    for (const close of this.#closers.splice(0).reverse()) await close();
  }

  /** The entry for kube-scheduler as we print it, with these fields changed; a busy machine may take its time. */
  entry(changed: object = {}): object {
    return { ...this.#entry, httpTimeout: '30s', ...changed };
  }

  /** A kube-scheduler of its own for pods with `schedulerName`; its metrics may be read by everybody. */
  async scheduler(options: {
    readonly binary?: string | undefined;
    readonly extenders?: readonly object[];
    readonly profile?: object;
    /** Laid over the KubeSchedulerConfiguration. */
    readonly config?: object;
  }): Promise<{ readonly name: string; readonly component: Component }> {
    const name = `scheduler-${this.#schedulers++}`;
    const component = await this.plane.startScheduler({
      name,
      ...(options.binary === undefined ? {} : { binary: options.binary }),
      extenders: options.extenders ?? [],
      config: { profiles: [{ schedulerName: name, ...options.profile }], ...options.config },
    });
    return { name, component };
  }

  /** The name of a workload that nobody has used. */
  name(kind: 'web' | 'gang'): string {
    return `${kind}-${this.#named++}`;
  }

  /**
   * Makes a Deployment; pods come only once our scheduler knows what traffic the workload has, if it has any.
   * @param spec of its pods, laid over the defaults
   */
  async deploy(name: string, replicas: number, schedulerName: string, spec: object = {}): Promise<void> {
    const labels = { app: name };
    await this.plane.api.call('POST', APPS, {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name, namespace: 'shop' },
      spec: {
        replicas: 0,
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: {
            schedulerName,
            terminationGracePeriodSeconds: 0,
            containers: [{ name: 'c', image: 'x', resources: { requests: { cpu: '100m' } } }],
            ...spec,
          },
        },
      },
    });
    if (/^(web|gang)-/.test(name)) {
      const pod = {
        metadata: {
          name: `${name}-0-first`,
          namespace: 'shop',
          uid: `first-${name}`,
          labels: { 'pod-template-hash': '0' },
          ownerReferences: [{ kind: 'ReplicaSet', name: `${name}-0`, controller: true }],
        },
      };
      const names = Object.values(PEERS);
      await until(
        `traffic of ${name} is known`,
        async () => (await this.netloom.prioritize(pod, names)).length > 0,
        PATIENCE_MS,
      );
    }
    await this.scale(name, replicas);
  }

  async scale(name: string, replicas: number): Promise<void> {
    await this.plane.api.call('PATCH', `${APPS}/${name}`, { spec: { replicas } }, 'application/merge-patch+json');
  }

  async pods(name: string): Promise<PodObject[]> {
    const { items } = await this.plane.api.call<{ items: PodObject[] }>('GET', `${PODS}?labelSelector=app%3D${name}`);
    return items;
  }

  /** Waits until so many pods of a Deployment are bound. @returns their nodes */
  async placed(name: string, count: number): Promise<string[]> {
    let nodes: string[] = [];
    await until(
      `${count} pods of ${name} are bound`,
      async () => {
        nodes = (await this.pods(name)).flatMap(({ spec }) => spec.nodeName ?? []);
        return nodes.length === count;
      },
      PATIENCE_MS,
    );
    return nodes;
  }

  /** Deletes a Deployment and waits until its pods are gone. */
  async remove(name: string): Promise<void> {
    await this.plane.api.call('DELETE', `${APPS}/${name}`, { propagationPolicy: 'Background' });
    await until(`the pods of ${name} are gone`, async () => (await this.pods(name)).length === 0, PATIENCE_MS);
  }

  explain(query: { readonly pod: string } | { readonly workload: string }): Promise<ExplainReply> {
    return this.netloom.get<ExplainReply>('/v1/explain', query);
  }

  /** Messages of our Events on pods whose name begins so. */
  async notes(pod: string): Promise<string[]> {
    const selector = encodeURIComponent('reason=NetworkAwarePlacement');
    const { items } = await this.plane.api.call<{
      items: { message: string; involvedObject: { name: string } }[];
    }>('GET', `/api/v1/namespaces/shop/events?fieldSelector=${selector}`);
    return items.filter(({ involvedObject }) => involvedObject.name.startsWith(pod)).map(({ message }) => message);
  }
}

export function zoneOf(node: string): string {
  const i = Number(node.slice('node-'.length));
  return `zone-${i < SMALL ? i >> 1 : i % ZONES}`;
}

function trafficFile(): string {
  const columns =
    'namespace,workload_kind,workload,peer_namespace,peer_kind,peer,bytes_per_second_out,bytes_per_second_in';
  const rows = Array.from({ length: WORKLOADS }, (_, i) => [
    `shop,Deployment,web-${i},shop,Deployment,db,1000000,1000000`,
    `shop,Deployment,gang-${i},shop,Deployment,db,1000000,1000000`,
    `shop,Deployment,gang-${i},shop,Deployment,cache,700000,700000`,
    `shop,Deployment,gang-${i},shop,Deployment,queue,500000,500000`,
  ]);
  return `${[columns, ...rows.flat()].join('\n')}\n`;
}
