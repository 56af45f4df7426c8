import { copyFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { NetloomError } from '../../lib/errors.ts';
import type { EdgesReply } from '../../scheduler/api/replies.ts';
import { Boutique } from '../../test/control-plane/boutique.ts';
import { ClusterWatch } from '../../test/control-plane/cluster-watch.ts';
import type { Component } from '../../test/control-plane/component.ts';
import { ControlPlane } from '../../test/control-plane/control-plane.ts';
import { createNodes } from '../../test/control-plane/nodes.ts';
import { StatusWriter } from '../../test/control-plane/status-writer.ts';
import { TrafficFeed } from '../../test/control-plane/traffic-feed.ts';
import { startScheduler, type SchedulerUnderDemo } from '../scheduler-under-demo.ts';

export const NAMESPACE = 'shop';
const NODES = 6;
const ZONES = 3;
/** Room of a node, as a share of what the shop requests. */
export const ROOM = 0.6;
const PERIOD_MS = 1_000;
const POLL_MS = 200;
const PATIENCE_MS = 60_000;

/** A real control plane with written nodes, one Online Boutique on it, and Netloom, which watches both. */
export class ShopOnPlane {
  readonly boutique: Boutique;
  readonly plane: ControlPlane;
  readonly #closers: (() => unknown)[] = [];
  readonly #manifest: string;
  #scheduler: Component | undefined;
  watch!: ClusterWatch;
  netloom!: SchedulerUnderDemo;
  /** "v1.37.2" */
  version = '';

  private constructor(boutique: Boutique, plane: ControlPlane, folder: string) {
    this.boutique = boutique;
    this.plane = plane;
    this.#manifest = join(folder, 'online-boutique.json');
    this.#closers.push(() => plane.stop());
  }

  /** @param folder kubectl and a kubeconfig are put there */
  static async start(
    binaries: string,
    folder: string,
    onExit: (what: string) => void,
    signal: AbortSignal,
  ): Promise<ShopOnPlane> {
    const shop = new ShopOnPlane(await Boutique.load(), await ControlPlane.start({ binaries }), folder);
    try {
      await shop.#start(binaries, folder, onExit, signal);
      return shop;
    } catch (error) {
      await shop.stop();
      throw error;
    }
  }

  async #start(binaries: string, folder: string, onExit: (what: string) => void, signal: AbortSignal): Promise<void> {
    const { plane, boutique } = this;
    signal.throwIfAborted();
    await symlink(join(binaries, 'kubectl'), join(folder, 'kubectl'));
    await copyFile(plane.kubeconfig, join(folder, 'kubeconfig'));
    const items = boutique.workloads.map(({ name }) => boutique.deployment(name, NAMESPACE, 'default-scheduler'));
    await writeFile(this.#manifest, JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
    this.version = (await plane.api.call<{ gitVersion: string }>('GET', '/version')).gitVersion;
    const capacity = { cpu: `${Math.round(ROOM * boutique.milliCpu)}m`, memory: '8Gi', pods: '110' };
    const names = Array.from({ length: NODES }, (_, i) => `node-${i}`);
    await createNodes(
      plane.api,
      names.map((name, i) => ({ name, zone: `zone-${i % ZONES}`, region: 'region-0', capacity })),
    );
    signal.throwIfAborted();
    const writer = new StatusWriter(plane.api).start();
    this.#closers.push(() => writer.stop());
    this.watch = await ClusterWatch.start(plane.kubeconfig);
    this.#closers.push(() => this.watch.stop());
    signal.throwIfAborted();
    this.netloom = await startScheduler(['--kubeconfig', plane.kubeconfig], process.env, onExit, false);
    this.#closers.push(() => this.netloom.stop());
    const feed = new TrafficFeed({
      target: `127.0.0.1:${this.netloom.agentsPort}`,
      nodes: names,
      state: this.watch.state,
      edges: boutique.edges,
      namespaces: () => [NAMESPACE],
      periodMs: PERIOD_MS,
    });
    this.#closers.push(() => feed.stop());
    await plane.kubectl('create', 'namespace', NAMESPACE);
    signal.throwIfAborted();
  }

  async stop(): Promise<void> {
    for (const close of this.#closers.splice(0).reverse()) await close();
  }

  /** Ends the kube-scheduler that runs, and starts one; with extenders or as it comes. */
  async schedule(extenders?: readonly object[]): Promise<void> {
    if (this.#scheduler !== undefined) await this.plane.stopScheduler(this.#scheduler);
    this.#scheduler = await this.plane.startScheduler(extenders === undefined ? {} : { extenders });
  }

  /** kubectl apply of the whole shop; resolves when all of it runs. */
  async apply(): Promise<void> {
    await this.plane.kubectl('apply', '-f', this.#manifest);
    await this.#until('all pods of the shop run', () => this.pods().filter(({ running }) => running).length);
  }

  async delete(): Promise<void> {
    await this.plane.kubectl('delete', '-f', this.#manifest, '--wait=false');
    await this.watch.until('the shop is gone', () => this.watch.state.podCount === 0, PATIENCE_MS);
  }

  async #until(what: string, count: () => number): Promise<void> {
    const wanted = this.boutique.workloads.length;
    try {
      await this.watch.until(what, () => count() === wanted, PATIENCE_MS);
    } catch (cause) {
      throw new NetloomError('DEMO_FAILED', `waited ${PATIENCE_MS / 1000} s in vain until ${what}`, {
        expected: `${wanted} pods`,
        found: String(count()),
        cause,
      });
    }
  }

  pods(): { readonly workload: string; readonly pod: string; readonly node: string; readonly running: boolean }[] {
    return this.boutique.workloads.flatMap(({ name }) =>
      [...(this.watch.state.workload(`${NAMESPACE}/Deployment/${name}`)?.pods ?? [])].flatMap((pod) =>
        pod.node === undefined
          ? []
          : [{ workload: name, pod: pod.name, node: pod.node, running: pod.phase === 'Running' }],
      ),
    );
  }

  /** Waits until Netloom has seen every exchange of the known matrix for some reports. */
  async learned(sure: number): Promise<EdgesReply['edges']> {
    for (let waitedMs = 0; waitedMs < PATIENCE_MS; waitedMs += POLL_MS) {
      const { edges } = await this.netloom.get<EdgesReply>('/v1/edges', { limit: '1000', namespace: NAMESPACE });
      if (edges.filter(({ confidence }) => confidence >= sure).length >= this.boutique.edges.length) return edges;
      await sleep(POLL_MS);
    }
    throw new NetloomError('DEMO_FAILED', `Netloom did not learn the traffic in ${PATIENCE_MS / 1000} s`);
  }
}
