import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { KubeClient } from '../../lib/kube/kube-client.ts';
import { connectKube } from '../../scheduler/kubernetes/credentials.ts';
import { RESOURCES } from '../../scheduler/kubernetes/resources.ts';
import type { StatusReply } from '../../scheduler/api/replies.ts';
import { Processes } from '../support/netloom.ts';
import { createNamespace, createPods, deletePods, manyAtOnce } from './bare-pods.ts';
import { binaries } from './binaries.ts';
import { ClusterWatcher, poll, throughPort } from './cluster-watcher.ts';
import { ControlPlane } from './control-plane.ts';
import { createNodes } from './nodes.ts';
import { TcpProxy } from './tcp-proxy.ts';

const NODES = 6;
const PADDING = 30_000;
const COLLECTIONS = RESOURCES.length;

let plane: ControlPlane;
let proxy: TcpProxy;
/** The API server behind the proxy. */
let kubeconfig: string;
const watchers: ClusterWatcher[] = [];

beforeAll(async () => {
  // Old versions are forgotten within seconds, where an API server takes five minutes.
  plane = await ControlPlane.start({ binaries: binaries(), apiserverArgs: ['--etcd-compaction-interval=2s'] });
  await createNodes(
    plane.api,
    Array.from({ length: NODES }, (_, i) => ({ name: `node-${i}`, zone: `zone-${i % 3}` })),
  );
  proxy = await TcpProxy.start(Number(new URL(plane.url).port));
  kubeconfig = await throughPort(plane.kubeconfig, proxy.port);
});

afterEach(async () => {
  proxy.line = { kind: 'clear' };
  await Promise.all(watchers.splice(0).map(({ source }) => source.stop()));
});

afterAll(async () => {
  await proxy?.stop();
  await plane?.stop();
});

async function watching(...args: Parameters<typeof ClusterWatcher.start> | []): Promise<ClusterWatcher> {
  const [client = kubeconfig, options] = args;
  const watcher = await ClusterWatcher.start(client, options);
  watchers.push(watcher);
  return watcher.untilSynced();
}

/** Requests since `before`, by kind. */
function since(watcher: ClusterWatcher, before: ClusterWatcher['counts']): ClusterWatcher['counts'] {
  const counts = { ...watcher.counts };
  for (const key of Object.keys(counts) as (keyof typeof counts)[]) counts[key] -= before[key];
  return counts;
}

describe('the API server behind a bad network', () => {
  test('a version that it no longer knows (410 Gone) means one list of each collection, and what was deleted is gone', async () => {
    await createNamespace(plane.api, 'gone');
    await createPods(plane.api, 'gone', [0, 60], NODES);
    const watcher = await watching(kubeconfig, { limits: { mostBackoffMs: 5_000 } });
    await watcher.untilEqual(plane.api);
    const before = watcher.counts;
    proxy.line = { kind: 'refusing' };
    proxy.cut();
    await deletePods(plane.api, 'gone');
    await createPods(plane.api, 'gone', [40, 90], NODES);
    await plane.kubectl('-n', 'gone', 'create', 'deployment', 'web', '--image=x', '--replicas=2');
    // A restarted API server knows nothing of what was before its start.
    await plane.restartApiserver();
    expect(watcher.state.podCount).toBe(60);
    proxy.line = { kind: 'clear' };
    await poll('each collection is listed again', 60_000, () => since(watcher, before).lists >= COLLECTIONS);
    await watcher.untilEqual(plane.api);
    const counts = since(watcher, before);
    console.log(`410 Gone after a restart: ${JSON.stringify(counts)}`);
    expect(counts.expired).toBe(COLLECTIONS);
    expect(counts.lists).toBe(COLLECTIONS);
    expect(counts.pages).toBe(COLLECTIONS);
    // One that was refused for its version, and one that stands.
    expect(counts.watches).toBeLessThanOrEqual(2 * COLLECTIONS);
    expect(watcher.state.workload('gone/Deployment/web')).toMatchObject({ desired: 2 });
    await poll('no fault is left', 30_000, () => watcher.source.status().faults.length === 0);
  });

  test('a list whose first page is too old for its next is begun again with a larger one', async () => {
    await createNamespace(plane.api, 'pages');
    await createPods(plane.api, 'pages', [0, 120], NODES);
    const client = await connectKube({ kubeconfig });
    const asked: string[] = [];
    const pods = '/api/v1/pods?limit=';
    /** The first page after the first takes longer than the API server remembers. */
    const slow: Pick<KubeClient, 'get'> = {
      async get(path, signal) {
        if (path.startsWith(pods)) {
          asked.push(path.replace(/continue=.*/, 'continue'));
          if (asked.length === 2) await expireContinue();
        }
        return client.get(path, signal);
      },
    };
    const watcher = await watching(slow, { limits: { pageSizes: [50, 100, 500], leastBackoffMs: 50 } });
    await watcher.untilEqual(plane.api);
    expect(watcher.counts.expired).toBe(1);
    const page = (size: number, more = false) => `${pods}${size}${more ? '&continue' : ''}`;
    expect(asked.slice(0, 4)).toEqual([page(50), page(50, true), page(100), page(100, true)]);
    expect(asked).toHaveLength(watcher.counts.pages - (COLLECTIONS - 1) + 1);
  });

  test('a watch that is too slow for what happens is ended by the API server, and catches up without a storm', async () => {
    await createNamespace(plane.api, 'slow');
    const watcher = await watching();
    await watcher.untilEqual(plane.api);
    const before = watcher.counts;
    const taken = proxy.connections;
    proxy.line = { kind: 'slow', bytesPerSecond: 20_000, pieceBytes: 200 };
    // More than the buffers of all sockets on the way hold (tcp(7): tcp_rmem, tcp_wmem; about 20 MB).
    for (let round = 0; round < 2; round++) {
      await createPods(plane.api, 'slow', [0, 600], NODES, PADDING);
      await deletePods(plane.api, 'slow');
    }
    await createPods(plane.api, 'slow', [300, 600], NODES);
    expect(since(watcher, before).events).toBeLessThan(600);
    proxy.line = { kind: 'slow', bytesPerSecond: 50_000_000, pieceBytes: 64 << 10 };
    await watcher.untilEqual(plane.api, 60_000);
    const counts = since(watcher, before);
    console.log(`slow watch: ${JSON.stringify(counts)}, ${proxy.connections - taken} connections`);
    expect(counts.watches).toBeGreaterThan(0);
    expect(counts.lists).toBeLessThanOrEqual(2);
    expect(counts.watches).toBeLessThanOrEqual(2 * COLLECTIONS);
    await deletePods(plane.api, 'slow');
  });

  test.each(['stalled', 'dropping'] as const)(
    'silence on a connection that stands (%s) is noticed, the view is known as old, and is mended once it is over',
    async (kind) => {
      const watcher = await watching(kubeconfig, { limits: { idleMs: 2_000, mostBackoffMs: 500 } });
      await watcher.untilEqual(plane.api);
      proxy.line = { kind };
      const { ageMs: youngMs } = watcher.source.status();
      await plane.kubectl('create', 'namespace', `after-${kind}`);
      await plane.kubectl('-n', `after-${kind}`, 'create', 'deployment', 'web', '--image=x', '--replicas=3');
      await poll('every collection is known as silent', 20_000, () => {
        const { faults } = watcher.source.status();
        return faults.length === COLLECTIONS && faults.every(({ reason }) => reason === 'nothing came for 2 s');
      });
      expect(watcher.source.status().ageMs).toBeGreaterThan(Math.max(2_000, youngMs!));
      expect(watcher.state.workload(`after-${kind}/Deployment/web`)).toBeUndefined();
      proxy.line = { kind: 'clear' };
      // What was cut short inside TLS is of no use any more.
      proxy.cut();
      await watcher.untilEqual(plane.api);
      expect(watcher.state.workload(`after-${kind}/Deployment/web`)).toMatchObject({ desired: 3 });
    },
  );

  test('an API server that restarts again and again while pods change is followed, ten collections without a storm', async () => {
    await createNamespace(plane.api, 'restarts');
    const watcher = await watching();
    const before = watcher.counts;
    const taken = proxy.connections;
    const restarts = 3;
    for (let round = 0; round < restarts; round++) {
      const busy = manyAtOnce(40, (i) =>
        // Some of it fails while it restarts, as with everybody.
        createPods(plane.api, 'restarts', [round * 40 + i, round * 40 + i + 1], NODES).catch(() => undefined),
      );
      await plane.restartApiserver(500);
      await busy;
      if (round === 1) await deletePods(plane.api, 'restarts');
    }
    await createPods(plane.api, 'restarts', [1_000, 1_020], NODES);
    await poll('all watches stand', 60_000, () => watcher.source.status().faults.length === 0);
    await watcher.untilEqual(plane.api, 60_000);
    const counts = since(watcher, before);
    console.log(`${restarts} restarts: ${JSON.stringify(counts)}, ${proxy.connections - taken} connections`);
    expect(counts.lists).toBeLessThanOrEqual(restarts * COLLECTIONS);
    expect(counts.pages).toBe(counts.lists);
    expect(counts.watches).toBeLessThanOrEqual(2 * restarts * COLLECTIONS + COLLECTIONS);
    // Down for a few seconds: by full jitter of 0.5, 1, 2, ... seconds a collection asks 5 to 10 times a restart.
    expect(counts.failures).toBeLessThanOrEqual(restarts * COLLECTIONS * 12);
    expect(proxy.connections - taken).toBeLessThanOrEqual(restarts * COLLECTIONS * 16);
  });

  test('collections that are cut off together do not come back together', async () => {
    // Much longer than this process may be stopped: what falls due meanwhile comes together.
    const leastBackoffMs = 5_000;
    const client = await connectKube({ kubeconfig });
    const asked: number[] = [];
    const api: Pick<KubeClient, 'get'> = {
      get(path, signal) {
        asked.push(performance.now());
        return client.get(path, signal);
      },
    };
    const watcher = await watching(api, { limits: { leastBackoffMs } });
    await poll('all watch', 10_000, () => watcher.counts.watches === COLLECTIONS);
    const before = asked.length;
    proxy.cut();
    await poll('all watch again', 30_000, () => watcher.counts.watches === 2 * COLLECTIONS);
    const again = asked.slice(before);
    // One request each, spread over the first backoff: all within a tenth of it has a chance below one to ten million.
    expect(again).toHaveLength(COLLECTIONS);
    expect(Math.max(...again) - Math.min(...again)).toBeGreaterThan(leastBackoffMs / 10);
  });
});

describe('a scheduler that cannot hear its API server', () => {
  const processes = new Processes();
  afterAll(() => processes.cleanup());

  test('goes on, and says in every place how old its view of the cluster is', async () => {
    await createNamespace(plane.api, 'shop');
    await plane.kubectl('-n', 'shop', 'create', 'deployment', 'web', '--image=x', '--replicas=2');
    const netloom = await processes.scheduler(['--kubeconfig', kubeconfig]);
    const readyz = async () => (await fetch(`http://${netloom.extender}/readyz`)).text();
    const ask = async (...args: string[]) => (await processes.run([...args, '--api', netloom.api])).stdout;
    await poll('it is ready', 30_000, async () => (await readyz()) === 'ok\n');
    expect(await ask('explain', 'shop/deployment/web')).not.toContain('Warning');
    proxy.line = { kind: 'refusing' };
    proxy.cut();
    const old = /the cluster state is \d+ s old and still used: \w+ \(and 9 more\) cannot be watched: .+/;
    await poll('it says so', 40_000, async () => old.test(await readyz()));
    expect(await readyz()).toMatch(/^ok: /);
    const ageSeconds = await netloom.metric('netloom_cluster_state_age_seconds');
    expect(ageSeconds).toBeGreaterThan(9);
    for (const command of [['graph'], ['top'], ['explain', 'shop/deployment/web']]) {
      expect(await ask(...command)).toMatch(new RegExp(`^Warning: ${old.source}$`, 'm'));
    }
    const { cluster, reason } = await netloom.get<StatusReply>('/v1/status');
    expect(reason).toMatch(old);
    expect(cluster.problems).toContainEqual({
      what: expect.stringContaining('last good state'),
      count: 1,
      sample: expect.stringMatching(old),
    });
    expect(await netloom.metric('netloom_cluster_state_age_seconds')).toBeGreaterThan(ageSeconds);
    proxy.line = { kind: 'clear' };
    await poll('it is well again', 60_000, async () => (await readyz()) === 'ok\n');
    expect(await ask('graph')).not.toContain('Warning');
  });
});

/** Until a continue token that is younger than now has expired. */
async function expireContinue(): Promise<void> {
  const { metadata } = await plane.api.call<{ metadata: { continue: string } }>('GET', '/api/v1/pods?limit=1');
  let round = 0;
  await poll('a continue token has expired', 60_000, async () => {
    // Only what changes is compacted.
    await plane.kubectl('label', 'node', 'node-0', `round=${round++}`, '--overwrite');
    const next = `/api/v1/pods?limit=1&continue=${encodeURIComponent(metadata.continue)}`;
    return (await plane.api.ask('GET', next)).status === 410;
  });
}
