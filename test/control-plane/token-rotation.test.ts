import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { KubeClient } from '../../lib/kube/kube-client.ts';
import { connectKube } from '../../scheduler/kubernetes/credentials.ts';
import { RESOURCES } from '../../scheduler/kubernetes/resources.ts';
import { createNamespace } from './bare-pods.ts';
import { binaries } from './binaries.ts';
import { ClusterWatcher, poll } from './cluster-watcher.ts';
import { ControlPlane } from './control-plane.ts';
import { createNodes } from './nodes.ts';
import { TcpProxy } from './tcp-proxy.ts';

const NAMESPACE = 'netloom';
const ACCOUNT = 'netloom-scheduler';
const MOUNT = 'var/run/secrets/kubernetes.io/serviceaccount';

let plane: ControlPlane;
let proxy: TcpProxy;
let authority: string;
const watchers: ClusterWatcher[] = [];

beforeAll(async () => {
  plane = await ControlPlane.start({ binaries: binaries() });
  await createNodes(plane.api, [{ name: 'node-0' }]);
  proxy = await TcpProxy.start(Number(new URL(plane.url).port));
  const admin = JSON.parse(await readFile(plane.kubeconfig, 'utf8')) as {
    clusters: [{ cluster: { 'certificate-authority': string } }];
  };
  authority = admin.clusters[0].cluster['certificate-authority'];
  await createNamespace(plane.api, NAMESPACE);
  await plane.kubectl('-n', NAMESPACE, 'create', 'serviceaccount', ACCOUNT);
  const account = `--serviceaccount=${NAMESPACE}:${ACCOUNT}`;
  await plane.kubectl('create', 'clusterrolebinding', ACCOUNT, '--clusterrole=cluster-admin', account);
  process.env['KUBERNETES_SERVICE_HOST'] = '127.0.0.1';
  process.env['KUBERNETES_SERVICE_PORT'] = String(proxy.port);
});

afterAll(async () => {
  delete process.env['KUBERNETES_SERVICE_HOST'];
  delete process.env['KUBERNETES_SERVICE_PORT'];
  await Promise.all(watchers.map(({ source }) => source.stop()));
  await proxy?.stop();
  await plane?.stop();
});

/** Where a client finds its token, and how another is put there. */
interface Place {
  readonly client: KubeClient;
  readonly put: (token: string) => Promise<void>;
}

const PLACES: Readonly<Record<string, (folder: string, token: string) => Promise<Place>>> = {
  'the ServiceAccount of a pod': async (folder, token) => {
    const mount = join(folder, MOUNT);
    const put = (text: string) => replaceFile(join(mount, 'token'), text);
    await put(token);
    await writeFile(join(mount, 'ca.crt'), await readFile(authority));
    return { client: await connectKube({ kubeconfig: undefined, root: folder + '/' }), put };
  },
  'a tokenFile beside a kubeconfig': async (folder, token) => {
    const put = (text: string) => replaceFile(join(folder, 'token'), `${text}\n`);
    await put(token);
    await writeFile(join(folder, 'config'), kubeconfigWith({ tokenFile: 'token' }));
    return { client: await connectKube({ kubeconfig: join(folder, 'config') }), put };
  },
  'a token inside a kubeconfig': async (folder, token) => {
    const put = (text: string) => replaceFile(join(folder, 'config'), kubeconfigWith({ token: text }));
    await put(token);
    return { client: await connectKube({ kubeconfig: join(folder, 'config') }), put };
  },
};

describe('a token that is replaced', () => {
  test.each(Object.keys(PLACES))('in %s is used without a restart, and a refusal in between is told', async (name) => {
    const folder = join(plane.folder, name.replaceAll(' ', '-'));
    const id = Object.keys(PLACES).indexOf(name);
    const [first, second] = [await boundToken(`first-${id}`), await boundToken(`second-${id}`)];
    const { client, put } = await PLACES[name]!(folder, first.token);
    const watcher = await ClusterWatcher.start(client, { limits: { mostBackoffMs: 1_000 } });
    watchers.push(watcher);
    await watcher.untilSynced();
    await watcher.untilEqual(plane.api);
    const { lists } = watcher.counts;
    expect(watcher.faults).toEqual([]);

    // The pod goes, and its token with it; the API server holds an answer for ten seconds.
    await plane.api.call('DELETE', `/api/v1/namespaces/${NAMESPACE}/pods/${first.pod}`, { gracePeriodSeconds: 0 });
    await poll('the token is revoked', 30_000, async () => (await statusWith(first.token)) === 401);
    proxy.cut();
    await poll('each collection is refused', 20_000, () => watcher.source.status().faults.length === RESOURCES.length);
    await poll('the refusal is told', 20_000, () =>
      watcher.source
        .status()
        .faults.every(({ reason }) => /401 Unauthorized.*the credentials are not accepted/.test(reason)),
    );

    await put(second.token);
    await poll('all watch again', 20_000, () => watcher.source.status().faults.length === 0);
    await watcher.untilEqual(plane.api);
    expect(watcher.state.podNamed(NAMESPACE, first.pod)).toBeUndefined();
    expect(watcher.state.podNamed(NAMESPACE, second.pod)).toBeDefined();
    // It went on from where it was.
    expect(watcher.counts.lists).toBe(lists);
  });

  test('in time, in a file, is used by the next request: nothing is refused', async () => {
    const [first, second] = [await boundToken('early-first'), await boundToken('early-second')];
    const { client, put } = await PLACES['the ServiceAccount of a pod']!(join(plane.folder, 'early'), first.token);
    const watcher = await ClusterWatcher.start(client);
    watchers.push(watcher);
    await watcher.untilSynced();
    await put(second.token);
    await plane.api.call('DELETE', `/api/v1/namespaces/${NAMESPACE}/pods/${first.pod}`, { gracePeriodSeconds: 0 });
    await poll('the token is revoked', 30_000, async () => (await statusWith(first.token)) === 401);
    const { watches } = watcher.counts;
    proxy.cut();
    await poll('all watch again', 20_000, () => watcher.counts.watches === watches + RESOURCES.length);
    expect(watcher.faults.filter((fault) => fault.includes('401'))).toEqual([]);
    await watcher.untilEqual(plane.api);
  });
});

/** A token that lives as long as its pod. */
async function boundToken(pod: string): Promise<{ readonly pod: string; readonly token: string }> {
  const at = `/api/v1/namespaces/${NAMESPACE}`;
  const made = await plane.api.call<{ metadata: { uid: string; name: string } }>('POST', `${at}/pods`, {
    metadata: { name: pod },
    spec: { serviceAccountName: ACCOUNT, nodeName: 'node-0', containers: [{ name: 'c', image: 'x' }] },
  });
  const { status } = await plane.api.call<{ status: { token: string } }>(
    'POST',
    `${at}/serviceaccounts/${ACCOUNT}/token`,
    {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: {
        expirationSeconds: 3_600,
        boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: pod, uid: made.metadata.uid },
      },
    },
  );
  return { pod, token: status.token };
}

function kubeconfigWith(user: object): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      { name: 'test', cluster: { server: `https://127.0.0.1:${proxy.port}`, 'certificate-authority': authority } },
    ],
    users: [{ name: 'netloom', user }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'netloom' } }],
    'current-context': 'test',
  });
}

/** As kubelet does: never half of it. */
async function replaceFile(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(`${path}.new`, text);
  await rename(`${path}.new`, path);
}

async function statusWith(token: string): Promise<number> {
  const ca = await readFile(authority);
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}` };
    request(`${plane.url}/api/v1/nodes?limit=1`, { ca, headers }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    })
      .on('error', reject)
      .end();
  });
}
