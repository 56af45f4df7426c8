import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { sameData } from '../../lib/json/same-data.ts';
import { silentLogger } from '../../lib/log.ts';
import type { ClusterRecord } from '../../scheduler/cluster/model.ts';
import { projectObject } from '../../scheduler/cluster/project.ts';
import { recordKey } from '../../scheduler/cluster/records.ts';
import { ClusterState } from '../../scheduler/cluster/state.ts';
import { connectKube } from '../../scheduler/kubernetes/credentials.ts';
import { KubeSource, type KubeSourceOptions } from '../../scheduler/kubernetes/kube-source.ts';
import { RESOURCES } from '../../scheduler/kubernetes/resources.ts';
import type { SchedulerProcess } from '../support/netloom.ts';
import type { Api } from './api.ts';

/** Cluster state as the scheduler keeps it, fed by a KubeSource in the test's own process. */
export class ClusterWatcher {
  readonly state = new ClusterState();
  readonly source: KubeSource;
  readonly faults: string[] = [];
  synced = 0;

  private constructor(options: KubeSourceOptions) {
    this.source = new KubeSource(options);
  }

  static async start(
    client: string | KubeSourceOptions['api'],
    options: Partial<KubeSourceOptions> = {},
  ): Promise<ClusterWatcher> {
    const api = typeof client === 'string' ? await connectKube({ kubeconfig: client }) : client;
    const watcher = new ClusterWatcher({ api, logger: silentLogger, ...options });
    await watcher.source.start({
      apply: (events) => watcher.state.apply(events),
      synced: () => void watcher.synced++,
      failed: (error) => void watcher.faults.push(String(error)),
    });
    return watcher;
  }

  get counts() {
    return this.source.status().counts;
  }

  async untilSynced(giveUpMs = 30_000): Promise<this> {
    await poll('the state is synced', giveUpMs, () => Promise.resolve(this.synced > 0));
    return this;
  }

  /**
   * Until what is known is what the API server has, object by object.
   * @throws with what differs
   */
  async untilEqual(api: Api, giveUpMs = 30_000): Promise<void> {
    let differs = '';
    await poll(
      () => `the state is the API server's: ${differs}`,
      giveUpMs,
      async () => {
        const wanted = [...(await apiRecords(api))].filter(([, { type }]) => type !== 'namespace');
        const { state } = this;
        const known = [...state.nodes(), ...state.pods(), ...state.services(), ...state.controllers()];
        const found = new Map(known.map((record) => [recordKey(record), record]));
        const wrong = wanted.filter(([key, record]) => !sameData(record, found.get(key)));
        differs = `${wrong.length} missing or different, such as ${String(wrong[0]?.[0])}; ${known.length} for ${wanted.length}`;
        return wrong.length === 0 && known.length === wanted.length;
      },
    );
  }
}

/** What the API server has, in pages, projected as we do, by key. */
async function apiRecords(api: Api): Promise<Map<string, ClusterRecord>> {
  const records = new Map<string, ClusterRecord>();
  for (const { path, kind } of RESOURCES) {
    let next = '';
    do {
      const { items, metadata } = await api.call<{ items: object[]; metadata: { continue?: string } }>(
        'GET',
        `${path}?limit=2000${next === '' ? '' : `&continue=${encodeURIComponent(next)}`}`,
      );
      for (const item of items) {
        const projection = projectObject(item, kind);
        if (projection.outcome === 'record') records.set(recordKey(projection.record), projection.record);
      }
      next = metadata.continue ?? '';
    } while (next !== '');
  }
  return records;
}

/** A kubeconfig like the other, for the same server behind another port of loopback. */
export async function throughPort(kubeconfig: string, port: number): Promise<string> {
  const config = JSON.parse(await readFile(kubeconfig, 'utf8')) as { clusters: { cluster: { server: string } }[] };
  for (const { cluster } of config.clusters) cluster.server = `https://127.0.0.1:${port}`;
  const path = join(kubeconfig, '..', `through-${port}.kubeconfig`);
  await writeFile(path, JSON.stringify(config));
  return path;
}

/** A figure of a scheduler's /metrics; a scrape that its busy ingest thread did not answer in time is made again. */
export async function metricOf(netloom: SchedulerProcess, name: string): Promise<number> {
  let figure = NaN;
  await poll(`/metrics has ${name}`, 120_000, async () => {
    figure = await netloom.metric(name);
    return true;
  });
  return figure;
}

/** @throws what it waited for; what `holds` throws while an API server restarts counts as no */
export async function poll(
  what: string | (() => string),
  giveUpMs: number,
  holds: () => boolean | Promise<boolean>,
): Promise<void> {
  const giveUp = performance.now() + giveUpMs;
  let problem = '';
  for (let waitMs = 100; ; waitMs = Math.min(waitMs * 1.5, 2_000)) {
    const fromMs = performance.now();
    try {
      if (await holds()) return;
    } catch (error) {
      problem = ` (${String(error)})`;
    }
    if (performance.now() > giveUp) {
      throw new Error(`waited in vain until ${typeof what === 'string' ? what : what()}${problem}`);
    }
    // What costs much is not asked all the time.
    await sleep(Math.max(waitMs, performance.now() - fromMs));
  }
}
