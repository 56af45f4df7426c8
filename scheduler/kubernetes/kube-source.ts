import { reasonOf } from '../../lib/kube/api-refusal.ts';
import type { KubeApi } from '../../lib/kube/kube-client.ts';
import { NO_COUNTS, Reflector, type ReflectorCounts, type ReflectorLimits } from '../../lib/kube/reflector.ts';
import type { Logger } from '../../lib/log.ts';
import { deliverChanges } from '../cluster/delivery.ts';
import type { ClusterRecord, ClusterSink, ClusterSource } from '../cluster/model.ts';
import { OddFields } from './odd-fields.ts';
import { collectionOf, RESOURCES, type Resource } from './resources.ts';

export interface KubeSourceOptions {
  readonly api: Pick<KubeApi, 'get'>;
  readonly logger: Logger;
  /** Milliseconds, monotonic; default performance.now(). */
  readonly now?: () => number;
  readonly limits?: Partial<ReflectorLimits>;
  readonly resources?: readonly Resource[];
}

export interface KubeSourceStatus {
  /** Every collection has been listed. */
  readonly synced: boolean;
  /** Collections that could not be listed or watched at the last try: path and reason. */
  readonly faults: readonly { readonly path: string; readonly reason: string }[];
  /** Since the API server was last heard of, on the watch that was silent longest; undefined before all are listed. */
  readonly ageMs: number | undefined;
  readonly counts: ReflectorCounts;
}

/**
 * Cluster state from the API server. start() does not wait for it: an API server that is away keeps the process alive
 * and unready. Failures are told once until the collection works again.
 */
export class KubeSource implements ClusterSource {
  readonly #options: KubeSourceOptions;
  readonly #reflectors: Reflector<ClusterRecord>[] = [];
  readonly #faults = new Map<string, string>();
  readonly #listed = new Set<string>();
  readonly #odd: OddFields;
  readonly #now: () => number;

  constructor(options: KubeSourceOptions) {
    this.#options = options;
    this.#odd = new OddFields(options.logger);
    this.#now = options.now ?? (() => performance.now());
  }

  /** What of objects could not be used, an object each. */
  get odd(): readonly string[] {
    return this.#odd.all;
  }

  start(to: ClusterSink): Promise<void> {
    const sink: ClusterSink = {
      apply: (events) => {
        this.#odd.changes(events);
        to.apply(events);
      },
      synced: () => to.synced(),
      failed: (error) => to.failed(error),
    };
    const { api, logger, limits, resources = RESOURCES } = this.#options;
    for (const resource of resources) {
      const reflector = new Reflector(
        collectionOf(resource, (record, odd) => this.#odd.see(record, odd)),
        {
          api,
          logger,
          now: this.#now,
          ...(limits === undefined ? {} : { limits }),
          sink: {
            listed: (before, after) => this.#deliver(sink, resource, before, after),
            apply: (changes) => sink.apply(changes),
            current: () => this.#recovered(sink, resource),
            failed: (error) => this.#failed(sink, resource, error),
          },
        },
      );
      this.#reflectors.push(reflector);
      reflector.start();
    }
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    await Promise.all(this.#reflectors.map((reflector) => reflector.stop()));
  }

  status(): KubeSourceStatus {
    const counts: ReflectorCounts = { ...NO_COUNTS };
    let heardMs: number | undefined = Number.POSITIVE_INFINITY;
    for (const reflector of this.#reflectors) {
      for (const key of Object.keys(counts) as (keyof ReflectorCounts)[]) counts[key] += reflector.counts[key];
      heardMs =
        heardMs === undefined || reflector.heardMs === undefined ? undefined : Math.min(heardMs, reflector.heardMs);
    }
    return {
      synced: this.#synced,
      faults: [...this.#faults].map(([path, reason]) => ({ path, reason })),
      ageMs: heardMs === undefined ? undefined : this.#now() - heardMs,
      counts,
    };
  }

  get #synced(): boolean {
    return this.#listed.size === this.#reflectors.length;
  }

  async #deliver(
    sink: ClusterSink,
    resource: Resource,
    before: ReadonlyMap<string, ClusterRecord>,
    after: ReadonlyMap<string, ClusterRecord>,
  ): Promise<void> {
    await deliverChanges(sink, before, after);
    const first = !this.#listed.has(resource.path);
    this.#listed.add(resource.path);
    this.#options.logger.info('listed', { path: resource.path, objects: after.size });
    if (first && this.#synced) sink.synced();
  }

  #recovered(sink: ClusterSink, resource: Resource): void {
    if (!this.#faults.delete(resource.path)) return;
    this.#options.logger.info('watching again', { path: resource.path });
    if (this.#faults.size === 0 && this.#synced) sink.synced();
  }

  #failed(sink: ClusterSink, { path }: Resource, error: unknown): void {
    const reason = reasonOf(error, path);
    if (this.#faults.get(path) !== reason) {
      this.#options.logger.warn('the API server cannot be watched; what is known stays', { path, reason });
    }
    this.#faults.set(path, reason);
    sink.failed(new Error(`${path}: ${reason}`));
  }
}
