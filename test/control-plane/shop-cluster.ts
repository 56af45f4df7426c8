import { setTimeout as sleep } from 'node:timers/promises';
import { parse } from 'yaml';
import type { EdgesReply } from '../../scheduler/api/replies.ts';
import { Processes, type SchedulerProcess } from '../support/netloom.ts';
import { sharesByOrder, type Comparison } from './arrival-orders.ts';
import { binaries } from './binaries.ts';
import { Boutique } from './boutique.ts';
import { ClusterWatch } from './cluster-watch.ts';
import { ControlPlane } from './control-plane.ts';
import { createNodes } from './nodes.ts';
import { ShopCopies, type LocalShares } from './shop-copies.ts';
import { StatusWriter } from './status-writer.ts';
import { TrafficFeed } from './traffic-feed.ts';

export interface ShopClusterOptions {
  readonly nodes: number;
  readonly copies: number;
  /** Of the agents' reports. */
  readonly periodMs: number;
}

const ZONES = 3;
/** Room of a node, as a share of what a copy of the shop requests. */
const ROOM = 0.6;
/** Confidence is 0.8 after twelve periods. */
const LEARNED = 0.8;
const LEARN_POLL_MS = 500;
const LEARN_MS = 300_000;
const START_MS = 60_000;

/**
 * A control plane with nodes in three zones, copies of Online Boutique, Netloom that watches it, and agents that report
 * the traffic of the pods that are there. One kube-scheduler at a time: the stock one, or the same with Netloom.
 */
export class ShopCluster {
  readonly boutique: Boutique;
  readonly plane: ControlPlane;
  readonly processes = new Processes();
  readonly #closers: (() => Promise<void>)[] = [];
  writer!: StatusWriter;
  watch!: ClusterWatch;
  netloom!: SchedulerProcess;
  copies!: ShopCopies;
  /** As printed by Netloom. */
  extenders: readonly object[] = [];
  readonly #options: ShopClusterOptions;

  private constructor(options: ShopClusterOptions, boutique: Boutique, plane: ControlPlane) {
    this.#options = options;
    this.boutique = boutique;
    this.plane = plane;
  }

  static async start(options: ShopClusterOptions): Promise<ShopCluster> {
    const boutique = await Boutique.load();
    const plane = await ControlPlane.start({ binaries: binaries() });
    const cluster = new ShopCluster(options, boutique, plane);
    try {
      await cluster.#start();
      return cluster;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  async #start(): Promise<void> {
    const { plane, boutique, processes } = this;
    const { nodes, copies, periodMs } = this.#options;
    const capacity = { cpu: `${Math.round(ROOM * boutique.milliCpu)}m`, memory: '8Gi', pods: '110' };
    const names = Array.from({ length: nodes }, (_, i) => `node-${i}`);
    await createNodes(
      plane.api,
      names.map((name, i) => ({ name, zone: `zone-${i % ZONES}`, region: 'test', capacity })),
    );
    this.writer = new StatusWriter(plane.api).start();
    this.#closers.push(() => this.writer.stop());
    this.watch = await ClusterWatch.start(plane.kubeconfig);
    this.#closers.push(() => this.watch.stop());
    this.copies = new ShopCopies(plane.api, this.watch, boutique, copies);
    this.netloom = await processes.scheduler(['--kubeconfig', plane.kubeconfig], { startMs: START_MS });
    // As shipped, with the port that was free here.
    const printed = await processes.run([
      'scheduler',
      '--print-kube-scheduler-config',
      '--listen',
      this.netloom.extender,
    ]);
    this.extenders = (parse(printed.stdout) as { extenders: object[] }).extenders;
    const feed = new TrafficFeed({
      target: this.netloom.agents,
      nodes: names,
      state: this.watch.state,
      edges: boutique.edges,
      namespaces: () => this.copies.namespaces,
      periodMs,
    });
    this.#closers.push(() => feed.stop());
  }

  async stop(): Promise<void> {
    for (const close of this.#closers.reverse()) await close();
    await this.processes.cleanup();
    await this.plane.stop();
  }

  /** Creates the copies under the stock kube-scheduler, lets them talk until Netloom knows them, and scales them to none. */
  async learn(): Promise<void> {
    await this.scheduleWith('without', async () => {
      await this.copies.create();
      await this.#known();
      await this.copies.leave();
    });
  }

  /** From here on pods come and go as cheaply as can be: of the controllers only kube-scheduler runs on. */
  async stopControllers(): Promise<void> {
    await this.plane.controllerManager?.stop();
    await this.copies.takeOver();
  }

  async #known(): Promise<void> {
    const edges = this.copies.namespaces.length * this.boutique.edges.length;
    for (let waitedMs = 0; ; waitedMs += LEARN_POLL_MS) {
      const reply = await this.netloom.get<EdgesReply>('/v1/edges', { limit: '100000' }).catch(() => undefined);
      const sure = reply?.edges.filter(({ confidence }) => confidence >= LEARNED).length;
      if (sure === edges) return;
      if (waitedMs > LEARN_MS) throw new Error(`Netloom is sure of ${sure} of ${edges} edges after ${waitedMs} ms`);
      await sleep(LEARN_POLL_MS);
    }
  }

  /**
   * The same orders by the stock kube-scheduler, and by it with Netloom.
   * @param config merged into both KubeSchedulerConfigurations
   */
  async compare(orders: number, inFlight: number, config: object = {}): Promise<Comparison> {
    const shares = (way: keyof Comparison): Promise<LocalShares[]> =>
      this.scheduleWith(way, () => sharesByOrder(this.copies, orders, inFlight), config);
    return { without: await shares('without'), with: await shares('with') };
  }

  /** Does something while one kube-scheduler runs. */
  async scheduleWith<T>(way: keyof Comparison, work: () => Promise<T>, config: object = {}): Promise<T> {
    const scheduler = await this.plane.startScheduler({
      name: `${way}-netloom`,
      ...(way === 'with' ? { extenders: this.extenders } : {}),
      config,
    });
    try {
      return await work();
    } finally {
      await this.plane.stopScheduler(scheduler);
    }
  }
}
