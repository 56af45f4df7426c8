import { reasonOf } from '../../lib/kube/api-refusal.ts';
import type { Collection } from '../../lib/kube/collection.ts';
import type { KubeApi } from '../../lib/kube/kube-client.ts';
import { Reflector, type ReflectorCounts, type ReflectorLimits } from '../../lib/kube/reflector.ts';
import type { Logger } from '../../lib/log.ts';
import { Coalesced } from './coalesced.ts';
import { podKey, projectPod, type BandwidthPod } from './pod.ts';
import type { PodSink, PodSource } from './pod-source.ts';

/** A change is told within this; changes in between are told together. */
const COALESCE_MS = 50;

export interface ApiPodsOptions {
  readonly api: Pick<KubeApi, 'get'>;
  /** As `kubectl get nodes` shows it. */
  readonly node: string;
  readonly logger: Logger;
  /** Milliseconds, monotonic; default performance.now(). */
  readonly now?: () => number;
  readonly limits?: Partial<ReflectorLimits>;
}

export interface ApiPodsStatus {
  /** They have been listed once. */
  readonly synced: boolean;
  readonly pods: number;
  /** Why they could not be listed or watched at the last try; undefined: they are watched. */
  readonly fault: string | undefined;
  /** Since the API server was last heard of; undefined before the first list. */
  readonly ageMs: number | undefined;
  readonly counts: Readonly<ReflectorCounts>;
}

/**
 * The pods of one node, listed and watched at the API server. This account needs get, list and watch of pods. An API
 * server that is away is waited for; what it said last stays. A failure is told once until it is over.
 */
export class ApiPods implements PodSource {
  readonly #options: ApiPodsOptions;
  readonly #now: () => number;
  readonly #pods = new Map<string, BandwidthPod>();
  #reflector: Reflector<BandwidthPod> | undefined;
  #deliver: Coalesced | undefined;
  #synced = false;
  #fault: string | undefined;

  constructor(options: ApiPodsOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  start(sink: PodSink): void {
    const { api, node, logger, limits } = this.#options;
    const collection = podsOf(node);
    const deliver = new Coalesced(() => sink.pods([...this.#pods.values()]), COALESCE_MS);
    this.#deliver = deliver;
    this.#reflector = new Reflector(collection, {
      api,
      logger,
      now: this.#now,
      ...(limits === undefined ? {} : { limits }),
      sink: {
        listed: (before, after) => {
          this.#pods.clear();
          for (const [key, pod] of after) this.#pods.set(key, pod);
          logger.info('pods listed', { node, pods: after.size });
          if (!this.#synced || differ(before, after)) deliver.request();
          this.#synced = true;
          return Promise.resolve();
        },
        apply: (changes) => {
          for (const { op, record } of changes) {
            if (op === 'delete') this.#pods.delete(podKey(record));
            else this.#pods.set(podKey(record), record);
          }
          deliver.request();
        },
        current: () => {
          if (this.#fault !== undefined) logger.info('pods are watched again', { node });
          this.#fault = undefined;
        },
        failed: (error) => {
          const reason = reasonOf(error, collection.path);
          if (this.#fault !== reason) {
            const known = this.#synced ? 'what is known of them stays' : 'nothing is known of them yet';
            logger.warn(`the pods of this node cannot be watched; ${known}`, { node, reason });
          }
          this.#fault = reason;
          sink.failed(new Error(`${collection.path}: ${reason}`, { cause: error }));
        },
      },
    });
    this.#reflector.start();
  }

  async stop(): Promise<void> {
    this.#deliver?.stop();
    await this.#reflector?.stop();
  }

  /** @throws before start() */
  status(): ApiPodsStatus {
    const { counts, heardMs } = this.#reflector!;
    return {
      synced: this.#synced,
      pods: this.#pods.size,
      fault: this.#fault,
      ageMs: heardMs === undefined ? undefined : this.#now() - heardMs,
      counts,
    };
  }
}

function podsOf(node: string): Collection<BandwidthPod> {
  return {
    path: '/api/v1/pods',
    selector: `fieldSelector=${encodeURIComponent(`spec.nodeName=${node}`)}`,
    fromCache: true,
    project: projectPod,
    keyOf: podKey,
  };
}

/** Records that stayed as they were are the same objects. */
function differ(before: ReadonlyMap<string, BandwidthPod>, after: ReadonlyMap<string, BandwidthPod>): boolean {
  if (before.size !== after.size) return true;
  for (const [key, pod] of after) if (before.get(key) !== pod) return true;
  return false;
}
