import type { Api } from './api.ts';
import type { Boutique } from './boutique.ts';
import type { ClusterWatch } from './cluster-watch.ts';

/** One Deployment of one copy, which has one pod or none. */
export interface ShopPod {
  readonly namespace: string;
  readonly name: string;
}

/** Of the bytes between pods, 0..1: what stays on a node, and what stays in a zone. */
export interface LocalShares {
  readonly node: number;
  readonly zone: number;
}

/** Connections to the API server that take part in scaling down. */
const CLEARING_AT_ONCE = 12;
/** Deployments to running pods: 22 writes each, on whatever machine. */
const CREATE_MS = 600_000;
const SCALE_TYPE = 'application/merge-patch+json';

interface ReplicaSet {
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly uid: string;
    readonly labels: Readonly<Record<string, string>>;
  };
  readonly spec: { readonly template: { readonly metadata: object; readonly spec: object } };
}

/**
 * Copies of Online Boutique, each in a namespace of its own, whose pods come and go by scaling their Deployments. That
 * is 22 writes a pod; after `takeOver` it is 5: the test then makes and deletes pods as the ReplicaSet controller would.
 */
export class ShopCopies {
  readonly namespaces: readonly string[];
  readonly pods: readonly ShopPod[];
  readonly #api: Api;
  readonly #watch: ClusterWatch;
  readonly #boutique: Boutique;
  /** What a pod is made of, by "namespace/name" of its Deployment; undefined: the controllers make pods. */
  #podOf: Map<string, object> | undefined;

  constructor(api: Api, watch: ClusterWatch, boutique: Boutique, copies: number) {
    this.#api = api;
    this.#watch = watch;
    this.#boutique = boutique;
    this.namespaces = Array.from({ length: copies }, (_, i) => (copies === 1 ? 'shop' : `shop-${i}`));
    this.pods = this.namespaces.flatMap((namespace) => boutique.workloads.map(({ name }) => ({ namespace, name })));
  }

  /** Really creates namespaces and Deployments, and waits until all pods run. */
  async create(): Promise<void> {
    for (const name of this.namespaces) {
      await this.#api.call('POST', '/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
    }
    await atMost(CLEARING_AT_ONCE, this.pods, ({ namespace, name }) =>
      this.#api.call(
        'POST',
        `/apis/apps/v1/namespaces/${namespace}/deployments`,
        this.#boutique.deployment(name, namespace, 'default-scheduler'),
      ),
    );
    const { state } = this.#watch;
    await this.#watch.until('all pods run', () => this.pods.every((pod) => this.#runs(pod)), CREATE_MS);
    if (state.podCount !== this.pods.length) throw new Error(`${state.podCount} pods, expected ${this.pods.length}`);
  }

  /** Scales up one after the other, with at most `inFlight` pods that are not bound to a node yet. */
  async arrive(order: readonly ShopPod[], inFlight: number): Promise<void> {
    await atMost(inFlight, order, async (pod) => {
      await this.#bring(pod);
      await this.#watch.until(`the pod of ${pod.namespace}/${pod.name} is bound`, () => this.#placed(pod) === 1);
    });
  }

  async leave(): Promise<void> {
    if (this.#podOf === undefined) await atMost(CLEARING_AT_ONCE, this.pods, (pod) => this.#scale(pod, 0));
    else {
      await atMost(CLEARING_AT_ONCE, this.namespaces, (namespace) =>
        this.#api.call('DELETE', `/api/v1/namespaces/${namespace}/pods`, { gracePeriodSeconds: 0 }),
      );
    }
    await this.#watch.until('all pods are gone', () => this.#watch.state.podCount === 0);
  }

  /** Once all Deployments have their ReplicaSets, and kube-controller-manager has ended. */
  async takeOver(): Promise<void> {
    const { items } = await this.#api.call<{ items: ReplicaSet[] }>('GET', '/apis/apps/v1/replicasets');
    this.#podOf = new Map(
      items.map(({ metadata: { name, namespace, uid, labels }, spec: { template } }) => {
        const owner = {
          apiVersion: 'apps/v1',
          kind: 'ReplicaSet',
          name,
          uid,
          controller: true,
          blockOwnerDeletion: true,
        };
        const metadata = { ...template.metadata, generateName: `${name}-`, ownerReferences: [owner] };
        return [`${namespace}/${labels['app']}`, { apiVersion: 'v1', kind: 'Pod', metadata, spec: template.spec }];
      }),
    );
    const missing = this.pods.filter(({ namespace, name }) => this.#podOf?.has(`${namespace}/${name}`) !== true);
    if (missing.length > 0) throw new Error(`${missing.length} Deployments have no ReplicaSet`);
  }

  /** Mean over the copies, by where the pods stand and the known matrix. */
  shares(): LocalShares {
    const { state } = this.#watch;
    const mean = (domain: (node: string) => string | undefined): number =>
      this.namespaces.reduce((sum, namespace) => sum + this.#boutique.localShare(state, namespace, domain), 0) /
      this.namespaces.length;
    return { node: mean((node) => node), zone: mean((node) => state.node(node)?.zone) };
  }

  #placed({ namespace, name }: ShopPod): number | undefined {
    return this.#watch.state.workload(`${namespace}/Deployment/${name}`)?.placed;
  }

  #runs({ namespace, name }: ShopPod): boolean {
    const [pod] = this.#watch.state.workload(`${namespace}/Deployment/${name}`)?.pods ?? [];
    return pod?.phase === 'Running';
  }

  async #bring(pod: ShopPod): Promise<void> {
    if (this.#podOf === undefined) return this.#scale(pod, 1);
    const { namespace, name } = pod;
    await this.#api.call('POST', `/api/v1/namespaces/${namespace}/pods`, this.#podOf.get(`${namespace}/${name}`));
  }

  async #scale({ namespace, name }: ShopPod, replicas: number): Promise<void> {
    const path = `/apis/apps/v1/namespaces/${namespace}/deployments/${name}/scale`;
    await this.#api.call('PATCH', path, { spec: { replicas } }, SCALE_TYPE);
  }
}

/** Calls `work` for each in order, at most so many at a time. */
async function atMost<T>(count: number, items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
  const left = items.values();
  await Promise.all(
    Array.from({ length: count }, async () => {
      for (const item of left) await work(item);
    }),
  );
}
