import type { Api } from './api.ts';

/** As many at once as Api has connections. */
const AT_ONCE = 16;

/**
 * A pod of the size that pods have in clusters (3 to 4 kB, with what admission adds), bound by its creator. `i` makes
 * names, nodes and labels: 20 pods to a service. `padding`: so many bytes more.
 */
export function barePod(namespace: string, i: number, nodes: number, padding = 0): object {
  const app = `service-${Math.floor(i / 20)}`;
  const container = (name: string, variables: number): object => ({
    name,
    image: `registry.example.com/team/${app}/${name}:v1.27.${i % 9}`,
    ports: [{ name: 'http', containerPort: 8080, protocol: 'TCP' }],
    env: Array.from({ length: variables }, (_, n) => ({
      name: `SETTING_NUMBER_${n}`,
      value: `http://peer-${n}.${namespace}.svc.cluster.local:8080/path`,
    })),
    resources: { requests: { cpu: '100m', memory: '128Mi' }, limits: { memory: '256Mi' } },
    readinessProbe: { httpGet: { path: '/healthz', port: 'http' }, periodSeconds: 10 },
    volumeMounts: [{ name: 'config', mountPath: '/etc/config' }],
  });
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: `${app}-7d4b9c6f5d-${i.toString(36).padStart(5, '0')}`,
      namespace,
      labels: {
        app,
        'app.kubernetes.io/name': app,
        'app.kubernetes.io/part-of': namespace,
        'pod-template-hash': '7d4b9c6f5d',
        version: `v${i % 3}`,
      },
      annotations: { 'prometheus.io/scrape': 'true', 'checksum/config': 'a'.repeat(64 + padding) },
    },
    spec: {
      nodeName: `node-${i % nodes}`,
      terminationGracePeriodSeconds: 0,
      containers: [container('server', 12), container('proxy', 5)],
      volumes: [{ name: 'config', configMap: { name: `${app}-config` } }],
    },
  };
}

/** Runs `work` of 0 to count - 1, many at once. */
export async function manyAtOnce(count: number, work: (i: number) => Promise<unknown>): Promise<void> {
  const left = Array.from({ length: count }).keys();
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (const i of left) await work(i);
    }),
  );
}

export async function createPods(
  api: Api,
  namespace: string,
  range: readonly [from: number, to: number],
  nodes: number,
  padding = 0,
): Promise<void> {
  const [from, to] = range;
  await manyAtOnce(to - from, (i) =>
    api.call('POST', `/api/v1/namespaces/${namespace}/pods`, barePod(namespace, from + i, nodes, padding)),
  );
}

/**
 * All of a namespace. The API server works on such a request for a minute at most, then answers 504 or cuts the
 * connection, and may be asked to go on.
 */
export async function deletePods(api: Api, namespace: string): Promise<void> {
  const path = `/api/v1/namespaces/${namespace}/pods`;
  for (;;) {
    const { status, body } = await api
      .ask('DELETE', path, { gracePeriodSeconds: 0 })
      .catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ECONNRESET') return { status: 504, body: error.message };
        throw error;
      });
    if (status === 200) return;
    if (status !== 504) throw new Error(`DELETE ${path}: ${status} ${JSON.stringify(body).slice(0, 500)}`);
  }
}

/** A namespace in which pods may be created: its ServiceAccount is there. */
export async function createNamespace(api: Api, name: string): Promise<void> {
  await api.call('POST', '/api/v1/namespaces', { metadata: { name } });
  for (;;) {
    const { status } = await api.ask('GET', `/api/v1/namespaces/${name}/serviceaccounts/default`);
    if (status === 200) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
