import { request, type Agent, type IncomingHttpHeaders } from 'node:http';
import { connect } from 'node:net';
import { Registry } from 'prom-client';
import { onTestFinished } from 'vitest';
import { silentLogger } from '../../lib/log.ts';
import {
  startExtender,
  type Decision,
  type ExtenderDeps,
  type ExtenderOptions,
} from '../../scheduler/extender/index.ts';
import { placementSettings, type PlacementView } from '../../scheduler/placement/index.ts';
import { buildView, type ViewSpec } from '../support/view-fixture.ts';

/** cart talks with frontend, which stands on n1. */
export const SHOP: ViewSpec = {
  nodes: [
    { name: 'n1', zone: 'a', region: 'r' },
    { name: 'n2', zone: 'a', region: 'r' },
    { name: 'n3', zone: 'b', region: 'r' },
    { name: 'n4', zone: 'c', region: 's' },
  ],
  workloads: [
    { key: 'shop/Deployment/cart', replicas: 1 },
    { key: 'shop/Deployment/frontend', placed: { n1: 1 } },
    { key: 'shop/Pod/solo', placed: {} },
    { key: 'shop/CronJob/report' },
    { key: 'shop/DaemonSet/agent', placed: { n1: 1, n2: 1 } },
  ],
  edges: [
    { client: 'shop/Deployment/frontend', server: 'shop/Deployment/cart', bytesPerSecond: 2e6 },
    { client: 'shop/Deployment/frontend', server: 'shop/Pod/solo', bytesPerSecond: 2e6 },
    { client: 'shop/CronJob/report', server: 'shop/Deployment/frontend', bytesPerSecond: 2e6 },
  ],
  owners: { 'shop/ReplicaSet/cart-abc': 'shop/Deployment/cart' },
  version: 7,
};

export const CART_ANSWER = [
  { Host: 'n1', Score: 80 },
  { Host: 'n2', Score: 24 },
  { Host: 'n3', Score: 8 },
];

export function podOf(kind: string, name: string, metadata: object = {}): object {
  return {
    metadata: {
      name: 'some-pod',
      namespace: 'shop',
      uid: '89ae0000-0000-4000-8000-000000000000',
      ownerReferences: [{ apiVersion: 'apps/v1', kind, name, uid: 'x', controller: true, blockOwnerDeletion: true }],
      ...metadata,
    },
    spec: { containers: [{ name: 'c', image: 'x' }] },
    status: {},
  };
}

export const CART_POD = podOf('ReplicaSet', 'cart-abc');
export const NODE_NAMES = ['n1', 'n2', 'n3', 'n4'];
export const CART_ARGS = { Pod: CART_POD, Nodes: null, NodeNames: NODE_NAMES };

export interface Running {
  readonly port: number;
  readonly decisions: Decision[];
  readonly registry: Registry;
  metric(name: string, labels?: Record<string, string>): Promise<number>;
}

/** Starts an extender over SHOP on a free port; it ends with the test. */
export async function start(
  options: Partial<ExtenderOptions> = {},
  deps: Partial<ExtenderDeps> = {},
  view: PlacementView = buildView(SHOP),
): Promise<Running> {
  const decisions: Decision[] = [];
  const registry = new Registry();
  const extender = await startExtender(
    { listen: { host: '127.0.0.1', port: 0 }, placement: placementSettings(), ...options },
    {
      view: () => view,
      ready: () => ({ ready: true, reason: '' }),
      metricsText: () => registry.metrics(),
      onDecision: ({ decision }) => decisions.push(decision),
      logger: silentLogger,
      registry,
      ...deps,
    },
  );
  onTestFinished(() => extender.close());
  return {
    port: extender.address.port,
    decisions,
    registry,
    metric: async (name, labels = {}) => {
      const metric = await registry.getSingleMetric(name)!.get();
      const of = metric.values.find((v) => Object.entries(labels).every(([key, value]) => v.labels[key] === value));
      return of?.value ?? 0;
    },
  };
}

export interface HttpReply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

/** As kube-scheduler sends: POST, application/json, one piece, with Content-Length. */
export function post(port: number, path: string, body: unknown, agent?: Agent): Promise<HttpReply> {
  const bytes = Buffer.isBuffer(body) ? body : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
  return http(port, 'POST', path, bytes, { 'Content-Type': 'application/json', 'Accept-Encoding': 'gzip' }, agent);
}

export function http(
  port: number,
  method: string,
  path: string,
  body?: Buffer,
  headers: Record<string, string> = {},
  agent: Agent | false = false,
): Promise<HttpReply> {
  return new Promise((resolve, reject) => {
    const length = body === undefined ? {} : { 'Content-Length': String(body.length) };
    const sent = request(
      { host: '127.0.0.1', port, method, path, agent, headers: { ...length, ...headers } },
      (reply) => {
        const chunks: Buffer[] = [];
        reply.on('data', (chunk: Buffer) => chunks.push(chunk));
        reply.on('error', reject);
        reply.on('end', () => {
          resolve({ status: reply.statusCode!, headers: reply.headers, text: Buffer.concat(chunks).toString() });
        });
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}

/** Sends bytes as they are; gives all that came back once the other side closed, or after `untilMs`. */
export function raw(
  port: number,
  bytes: string | Buffer,
  untilMs = 20_000,
): Promise<{ text: string; closed: boolean }> {
  return new Promise((resolve) => {
    let text = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
    const done = (closed: boolean) => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ text, closed });
    };
    const timer = setTimeout(() => done(false), untilMs);
    socket.on('data', (chunk) => (text += chunk.toString('latin1')));
    socket.on('error', () => done(true));
    socket.on('close', () => done(true));
  });
}
