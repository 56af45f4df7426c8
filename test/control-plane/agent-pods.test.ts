import { execFile } from 'node:child_process';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { ApiPods } from '../../bandwidth/pods/api-pods.ts';
import { podKey, type BandwidthPod } from '../../bandwidth/pods/pod.ts';
import { EventWriter } from '../../lib/kube/event-writer.ts';
import { fileCredentials } from '../../lib/kube/file-credentials.ts';
import { KubeClient } from '../../lib/kube/kube-client.ts';
import type { ReflectorLimits } from '../../lib/kube/reflector.ts';
import { silentLogger } from '../../lib/log.ts';
import { createNamespace } from './bare-pods.ts';
import { binaries } from './binaries.ts';
import { poll } from './cluster-watcher.ts';
import { ControlPlane } from './control-plane.ts';
import { createNodes } from './nodes.ts';
import { TcpProxy } from './tcp-proxy.ts';

const NAMESPACE = 'netloom';
const ACCOUNT = 'netloom-agent';
const NODE = 'node-0';
const EGRESS = 'kubernetes.io/egress-bandwidth';
const MOUNT = 'var/run/secrets/kubernetes.io/serviceaccount';

let plane: ControlPlane;
let proxy: TcpProxy;
/** Of the agent's account, behind the proxy. */
let kubeconfig: string;
const agents: Agent[] = [];

beforeAll(async () => {
  plane = await ControlPlane.start({ binaries: binaries() });
  await createNodes(plane.api, [{ name: NODE }, { name: 'node-1' }]);
  proxy = await TcpProxy.start(Number(new URL(plane.url).port));
  await createNamespace(plane.api, NAMESPACE);
  await createNamespace(plane.api, 'shop');
  await plane.kubectl('-n', NAMESPACE, 'create', 'serviceaccount', ACCOUNT);
  await plane.kubectl('create', 'clusterrole', ACCOUNT, '--verb=get,list,watch', '--resource=pods');
  await plane.kubectl('create', 'clusterrole', `${ACCOUNT}-events`, '--verb=create', '--resource=events');
  for (const role of [ACCOUNT, `${ACCOUNT}-events`]) {
    const account = `--serviceaccount=${NAMESPACE}:${ACCOUNT}`;
    await plane.kubectl('create', 'clusterrolebinding', role, `--clusterrole=${role}`, account);
  }
  kubeconfig = await kubeconfigWith({ token: await token() });
  await createPod('a', NODE, '10M');
  await createPod('b', NODE);
  await createPod('foreign', 'node-1', '1G');
});

afterAll(async () => {
  await Promise.all(agents.map(({ source }) => source.stop()));
  await proxy?.stop();
  await plane?.stop();
});

/** What an agent knows of its pods. */
class Agent {
  readonly source: ApiPods;
  readonly faults: string[] = [];
  pods: ReadonlyMap<string, BandwidthPod> | undefined;
  #told: () => void = () => undefined;

  constructor(api: KubeClient, limits: Partial<ReflectorLimits> = {}) {
    this.source = new ApiPods({ api, node: NODE, logger: silentLogger, limits });
    agents.push(this);
    this.source.start({
      pods: (pods) => {
        this.pods = new Map(pods.map((pod) => [podKey(pod), pod]));
        this.#told();
      },
      failed: (error) => void this.faults.push(String(error)),
    });
  }

  /** @returns milliseconds until `holds` */
  async until(what: string, holds: (pods: ReadonlyMap<string, BandwidthPod>) => boolean): Promise<number> {
    const startedMs = performance.now();
    const known = () => this.pods !== undefined && holds(this.pods);
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`waited in vain until ${what}`)), 60_000);
      this.#told = () => {
        if (!known()) return;
        clearTimeout(timer);
        resolve();
      };
      this.#told();
    });
    return performance.now() - startedMs;
  }
}

async function agent(limits: Partial<ReflectorLimits> = {}): Promise<Agent> {
  const started = new Agent(await KubeClient.create(fileCredentials({ kubeconfig })), limits);
  await started.until('pods are listed', () => true);
  return started;
}

const POD = (name: string) => `/api/v1/namespaces/shop/pods/${name}`;

async function createPod(name: string, nodeName: string, egress?: string): Promise<void> {
  await plane.api.call('POST', '/api/v1/namespaces/shop/pods', {
    metadata: { name, ...(egress === undefined ? {} : { annotations: { [EGRESS]: egress } }) },
    spec: { nodeName, terminationGracePeriodSeconds: 0, containers: [{ name: 'c', image: 'x' }] },
  });
}

function annotate(name: string, egress: string | null): Promise<unknown> {
  const patch = { metadata: { annotations: { [EGRESS]: egress } } };
  return plane.api.call('PATCH', POD(name), patch, 'application/merge-patch+json');
}

async function token(): Promise<string> {
  const { status } = await plane.api.call<{ status: { token: string } }>(
    'POST',
    `/api/v1/namespaces/${NAMESPACE}/serviceaccounts/${ACCOUNT}/token`,
    { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: 3_600 } },
  );
  return status.token;
}

async function kubeconfigWith(user: object): Promise<string> {
  const path = join(plane.folder, 'agent.kubeconfig');
  const ca = (await readFile(plane.caFile)).toString('base64');
  const cluster = { server: `https://127.0.0.1:${proxy.port}`, 'certificate-authority-data': ca };
  await writeFile(
    path,
    stringify({
      ...{ apiVersion: 'v1', kind: 'Config' },
      clusters: [{ name: 'c', cluster }],
      users: [{ name: 'u', user }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
      'current-context': 'x',
    }),
  );
  return path;
}

describe("the pods of an agent's node from the API server, with an account that may read pods and write events", () => {
  test('are its own, with their annotations', async () => {
    const { source, pods, faults } = await agent();
    expect([...pods!.keys()].sort()).toEqual(['shop/a', 'shop/b']);
    expect(pods!.get('shop/a')).toMatchObject({ egress: '10M', ips: [], hostNetwork: false, finished: false });
    expect(pods!.get('shop/a')!.createdMs).toBeGreaterThan(Date.UTC(2020));
    expect(source.status()).toMatchObject({ synced: true, pods: 2, fault: undefined });
    expect(faults).toEqual([]);
  });

  test('are told at each change of annotations and addresses, while others come and go', async () => {
    const known = await agent();
    const tookMs: number[] = [];
    for (let i = 0; i < 20; i++) {
      const seen = known.until('the change is told', (pods) => pods.get('shop/b')?.egress === `${i + 1}M`);
      await annotate('b', `${i + 1}M`);
      tookMs.push(await seen);
    }
    tookMs.sort((a, b) => a - b);
    console.log(
      `annotation changed: told after ${tookMs[10]!.toFixed(0)} ms (median), ${tookMs[19]!.toFixed(0)} ms (most)`,
    );
    await annotate('b', null);
    await known.until('the annotation is gone', (pods) => pods.get('shop/b')!.egress === undefined);
    const status = { phase: 'Running', podIP: '10.64.0.7', podIPs: [{ ip: '10.64.0.7' }, { ip: 'fd00::7' }] };
    await plane.api.call('PATCH', `${POD('b')}/status`, { status }, 'application/merge-patch+json');
    await known.until('the addresses are known', (pods) => pods.get('shop/b')!.ips.join() === '10.64.0.7,fd00::7');
    await createPod('c', NODE, 'a lot');
    await known.until('another pod is known', (pods) => pods.get('shop/c')?.egress === 'a lot');
    await plane.api.call('DELETE', POD('c'), { gracePeriodSeconds: 0 });
    await known.until('it is gone', (pods) => !pods.has('shop/c'));
    expect(known.source.status().counts).toMatchObject({ lists: 1, failures: 0, unusable: 0 });
    expect(known.pods!.has('shop/foreign')).toBe(false);
  });

  test('outlive a restart of the API server', async () => {
    const known = await agent({ mostBackoffMs: 2_000 });
    await plane.restartApiserver(1_000);
    await annotate('a', '20M');
    await known.until('the change is told', (pods) => pods.get('shop/a')?.egress === '20M');
    expect(known.faults.length).toBeGreaterThan(0);
    await poll('it is well again', 30_000, () => known.source.status().fault === undefined);
    expect([...known.pods!.keys()].sort()).toEqual(['shop/a', 'shop/b']);
  });

  test('are listed anew when the API server has forgotten their version (410 Gone), and who went meanwhile is gone', async () => {
    await createPod('gone', NODE);
    const known = await agent({ mostBackoffMs: 2_000 });
    await known.until('all are known', (pods) => pods.has('shop/gone'));
    proxy.line = { kind: 'refusing' };
    proxy.cut();
    await plane.api.call('DELETE', POD('gone'), { gracePeriodSeconds: 0 });
    await createPod('new', NODE, '5M');
    await annotate('a', '30M');
    // A restarted API server knows nothing of what was before its start.
    await plane.restartApiserver();
    expect(known.pods!.has('shop/gone')).toBe(true);
    expect(known.source.status().fault).toBeDefined();
    proxy.line = { kind: 'clear' };
    await known.until('the new one is known', (pods) => pods.get('shop/new')?.egress === '5M');
    expect([...known.pods!.keys()].sort()).toEqual(['shop/a', 'shop/b', 'shop/new']);
    expect(known.pods!.get('shop/a')!.egress).toBe('30M');
    expect(known.source.status().counts).toMatchObject({ expired: 1, lists: 2 });
  });

  test('are known in a pod by its mounted token, the newest of which is used', async () => {
    const mount = join(plane.folder, 'pod', MOUNT);
    const put = async (text: string) => {
      await writeFile(join(mount, 'token.new'), text);
      await rename(join(mount, 'token.new'), join(mount, 'token'));
    };
    await mkdir(mount, { recursive: true });
    await writeFile(join(mount, 'ca.crt'), await readFile(plane.caFile));
    await put(await token());
    const env = { KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: String(proxy.port) };
    const place = { kubeconfig: undefined, root: join(plane.folder, 'pod') };
    const known = new Agent(await KubeClient.create(fileCredentials(place, env)), { mostBackoffMs: 500 });
    await known.until('pods are listed', (pods) => pods.has('shop/a'));
    await put('not.a.token');
    proxy.cut();
    await poll('the refusal is told', 30_000, () => /401 Unauthorized/.test(known.source.status().fault ?? ''));
    await put(await token());
    await poll('it watches again', 30_000, () => known.source.status().fault === undefined);
    await annotate('a', '40M');
    await known.until('the change is told', (pods) => pods.get('shop/a')?.egress === '40M');
    expect(known.source.status().counts.lists).toBe(1);
  });

  test('an event on one of them is seen by its owner', async () => {
    const known = await agent();
    const { uid, namespace, name } = known.pods!.get('shop/a')!;
    const api = await KubeClient.create(fileCredentials({ kubeconfig }));
    const source = { component: 'netloom', controller: 'netloom.io/agent', host: NODE };
    const events = new EventWriter({ api, source, logger: silentLogger, now: () => Date.now() });
    expect(events.admit()).toBe(true);
    const message = 'egress-bandwidth "a lot" is no quantity; the limit before it, 10M, stays';
    await events.write({ namespace, name, uid, type: 'Warning', reason: 'BandwidthInvalid', message });
    expect(events.stats).toEqual({ written: 1, skipped: 0, failed: 0 });
    const described = await plane.kubectl('-n', 'shop', 'describe', 'pod', 'a');
    expect(described).toMatch(new RegExp(`Warning\\s+BandwidthInvalid\\s+.*netloom.*\\s+${message}`));
  });

  test('an account that may not read pods is told which right it lacks', async () => {
    const stranger = await plane.kubeconfigOf('stranger', '/CN=stranger');
    const known = new Agent(await KubeClient.create(fileCredentials({ kubeconfig: stranger })));
    await poll('it is told', 10_000, () => known.faults.length > 0);
    expect(known.source.status().fault).toMatch(/403 Forbidden.*needs get, list and watch of pods/s);
    expect(known.pods).toBeUndefined();
  });

  test('cost little memory: no Kubernetes library is loaded', async () => {
    const script = fileURLToPath(new URL('./agent-pods-alone.ts', import.meta.url));
    const { stdout } = await promisify(execFile)(process.execPath, [script, kubeconfig, NODE]);
    const { pods, packages, files, bareBytes, rssBytes } = JSON.parse(stdout) as Record<string, number> & {
      packages: string[];
    };
    const mb = (bytes: number | undefined) => `${(bytes! / 1e6).toFixed(0)} MB`;
    console.log(`agent's list of pods alone: ${mb(rssBytes)} resident (bare Node ${mb(bareBytes)}), ${files} files`);
    expect(pods).toBeGreaterThan(0);
    expect(packages).toEqual(['yaml']);
  });
});
