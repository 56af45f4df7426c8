import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { until } from '../support/netloom.ts';
import type { Api } from './api.ts';

interface PodObject {
  readonly spec: { readonly nodeName?: string };
  readonly status: { readonly conditions?: readonly { readonly status: string; readonly message?: string }[] };
}

const PODS = '/api/v1/namespaces/default/pods';
/** Pods of a continuous load, one each. */
const PACE_MS = 25;

/** The traffic file that goes with it. */
export const LOAD_TRAFFIC = [
  'namespace,workload_kind,workload,peer_namespace,peer_kind,peer,bytes_per_second_out,bytes_per_second_in',
  'default,Deployment,load,default,Deployment,db,4000000,9000000',
  '',
].join('\n');

/**
 * Pods of one Deployment that talks to another, whose pods stand on the first three nodes: so Netloom has an opinion
 * about each. They are made here and not by the Deployment, at once or one after another.
 */
export class PodLoad {
  readonly #api: Api;
  readonly #uids: Readonly<Record<string, string>>;
  #made = 0;

  private constructor(api: Api, uids: Readonly<Record<string, string>>) {
    this.#api = api;
    this.#uids = uids;
  }

  static async create(api: Api): Promise<PodLoad> {
    const uids: Record<string, string> = {};
    for (const name of ['load', 'db']) {
      const labels = { app: name };
      const template = { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'x' }] } };
      const { metadata } = await api.call<{ metadata: { uid: string } }>(
        'POST',
        '/apis/apps/v1/namespaces/default/deployments',
        { metadata: { name }, spec: { replicas: 0, selector: { matchLabels: labels }, template } },
      );
      uids[name] = metadata.uid;
    }
    const load = new PodLoad(api, uids);
    for (let i = 0; i < 3; i++) await load.#make(`db-${i}`, 'db', {}, { nodeName: `node-${i}` });
    return load;
  }

  /** Makes pods together, and waits until all are bound; none may have been refused on the way. @returns pods a second */
  async many(schedulerName: string, count: number): Promise<number> {
    const batch = `batch-${this.#made++}`;
    const startMs = performance.now();
    await Promise.all(
      Array.from({ length: count }, (_, i) => this.#make(`${batch}-${i}`, 'load', { batch }, { schedulerName })),
    );
    await this.#allBound(batch, count);
    return (count * 1000) / (performance.now() - startMs);
  }

  /** Makes pod after pod until `during` is over. @returns how many */
  async whilst(schedulerName: string, during: () => Promise<void>): Promise<number> {
    const batch = `batch-${this.#made++}`;
    let over = false;
    const happening = during().finally(() => (over = true));
    let count = 0;
    while (!over) {
      await this.#make(`${batch}-${count++}`, 'load', { batch }, { schedulerName });
      await sleep(PACE_MS);
    }
    await happening;
    await this.#allBound(batch, count);
    return count;
  }

  async #allBound(batch: string, count: number): Promise<void> {
    const selector = `${PODS}?labelSelector=batch%3D${batch}`;
    let refused: string[] = [];
    await until(
      `${count} pods of ${batch} are bound`,
      async () => {
        const { items } = await this.#api.call<{ items: PodObject[] }>('GET', selector);
        const conditions = items.flatMap(({ status }) => status.conditions ?? []);
        refused = conditions.filter(({ status }) => status === 'False').map(({ message }) => message ?? '');
        return items.filter(({ spec }) => spec.nodeName !== undefined).length === count;
      },
      120_000,
    );
    expect(refused).toEqual([]);
    await this.#api.call('DELETE', selector, { gracePeriodSeconds: 0 });
  }

  async #make(name: string, of: string, labels: object, spec: object): Promise<void> {
    const owner = { apiVersion: 'apps/v1', kind: 'Deployment', name: of, uid: this.#uids[of], controller: true };
    await this.#api.call('POST', PODS, {
      metadata: { name, labels: { ...labels, of }, ownerReferences: [owner] },
      spec: {
        terminationGracePeriodSeconds: 0,
        containers: [{ name: 'c', image: 'x', resources: { requests: { cpu: '10m' } } }],
        ...spec,
      },
    });
  }
}
