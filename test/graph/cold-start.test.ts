import { describe, expect, test } from 'vitest';
import { AddressBook } from '../../scheduler/cluster/address-book.ts';
import type { ClusterRecord } from '../../scheduler/cluster/model.ts';
import { projectObject } from '../../scheduler/cluster/project.ts';
import { ClusterState } from '../../scheduler/cluster/state.ts';
import { parsePeerHints } from '../../scheduler/cluster/peer-hints.ts';
import { ClusterResolver } from '../../scheduler/graph/cluster-resolver.ts';
import { PlacementViewBuilder } from '../../scheduler/graph/placement-view-builder.ts';
import { TrafficGraph } from '../../scheduler/graph/traffic-graph.ts';
import { explainScore, PEER_SOURCES, placementSettings, type PlacementView } from '../../scheduler/placement/index.ts';
import { PlacementViewReceiver } from '../../scheduler/placement/view-receiver.ts';

function recordOf(object: object): ClusterRecord {
  const projection = projectObject(object);
  if (projection.outcome !== 'record') throw new Error('no record');
  return projection.record;
}

interface App {
  readonly replicas?: number;
  readonly image?: string;
  readonly env?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly namespace?: string;
  /** Nodes of its pods. */
  readonly on?: readonly string[];
}

/** A Deployment with a Service of its name, and its pods. */
function app(
  name: string,
  { replicas = 1, image = name, env = [], labels = {}, annotations, namespace = 'shop', on = [] }: App,
): object[] {
  const metadata = { namespace, name, uid: `${namespace}-${name}` };
  const podLabels = { app: name, ...labels };
  const spec = { containers: [{ image, env: env.map((value, i) => ({ name: `E${i}`, value })) }] };
  return [
    {
      kind: 'Deployment',
      metadata,
      spec: { replicas, template: { metadata: { labels: podLabels, annotations }, spec } },
    },
    { kind: 'Service', metadata, spec: { selector: { app: name } } },
    ...on.map((node, i) => ({
      kind: 'Pod',
      metadata: {
        namespace,
        name: `${name}-${i}`,
        uid: `${namespace}-${name}-${i}`,
        labels: { ...podLabels, 'pod-template-hash': '1' },
        annotations,
        ownerReferences: [{ kind: 'ReplicaSet', name: `${name}-1`, uid: `rs-${namespace}-${name}`, controller: true }],
      },
      spec: { nodeName: node, ...spec },
      status: { phase: 'Running' },
    })),
  ];
}

class Cluster {
  readonly state = new ClusterState();
  readonly graph = new TrafficGraph(new ClusterResolver(this.state, new AddressBook()));
  readonly builder = new PlacementViewBuilder(this.graph, this.state);
  readonly #receiver = new PlacementViewReceiver(undefined, (turn) => turn());

  constructor(...apps: readonly object[][]) {
    this.add(...['n1', 'n2', 'n3'].map((name) => ({ kind: 'Node', metadata: { name } })), ...apps.flat());
  }

  add(...objects: readonly object[]): void {
    this.state.apply(objects.map((object) => ({ op: 'upsert', record: recordOf(object) })));
  }

  traffic(...edges: readonly (readonly [client: string, server: string, bytesPerSecond: number])[]): void {
    const end = (name: string) => ({ kind: 'Deployment', namespace: 'shop', name });
    this.graph.setFileTraffic(
      edges.map(([client, server, rate]) => ({
        client: end(client),
        server: end(server),
        bytesPerSecondOut: rate,
        bytesPerSecondIn: 0,
      })),
    );
  }

  view(): PlacementView {
    this.#receiver.receive(this.builder.build(1));
    return this.#receiver.current!;
  }

  /** "web>cart references 62500 0.4": the row of a workload. */
  peers(name: string, view = this.view()): string[] {
    const w = view.names.workloadIndex.get(name.includes('/') ? name : `shop/Deployment/${name}`)!;
    const rows: string[] = [];
    for (let e = view.peerStart[w]!; e < view.peerStart[w + 1]!; e++) {
      const peer = view.names.workloads[view.peer[e]!]!.split('/')[2];
      const arrow = view.peerClient[e] === 1 ? '>' : '<';
      const figures = `${view.peerBytesPerSecond[e]} ${Number(view.peerConfidence[e]!.toFixed(3))}`;
      rows.push(`${name}${arrow}${peer} ${PEER_SOURCES[view.peerSource[e]!]} ${figures}`);
    }
    return rows;
  }
}

describe('a workload without traffic', () => {
  test('is thought to talk to the Services that its env names, and to those whose env names it', () => {
    const cluster = new Cluster(
      app('web', { replicas: 3, env: ['cart:80', 'http://ads/'] }),
      app('cart', { env: ['redis-cart:6379'], on: ['n2'] }),
      app('ads', {}),
      app('redis-cart', {}),
    );
    expect(cluster.peers('web')).toEqual(['web>cart references 187500 0.4', 'web>ads references 187500 0.4']);
    expect(cluster.peers('cart')).toEqual(['cart<web references 62500 0.4', 'cart>redis-cart references 62500 0.4']);
    expect(cluster.peers('redis-cart')).toEqual(['redis-cart<cart references 125000 0.4']);
    expect(cluster.builder.stats.workloadsHinted).toBe(4);
  });

  test('goes near them before its first packet', () => {
    const cluster = new Cluster(app('web', { env: ['cart:80'] }), app('cart', { on: ['n2'] }));
    const view = cluster.view();
    const request = {
      workload: view.names.workloadIndex.get('shop/Deployment/web'),
      podUid: 'u',
      candidates: [0, 1, 2],
    };
    const explained = explainScore(view, request, placementSettings());
    expect(explained.nodes.map(({ node, score }) => [node, score])).toEqual([['n2', 32]]);
    expect(explained.peers[0]).toMatchObject({ source: 'references', confidence: expect.closeTo(0.4, 6) as number });
  });

  test('forgets what was thought once traffic is known, and the other end never thought it', () => {
    const cluster = new Cluster(app('web', { env: ['cart:80'] }), app('cart', { env: ['db'] }), app('db', {}));
    cluster.traffic(['web', 'db', 10]);
    expect(cluster.peers('web')).toEqual(['web>db traffic 10 1']);
    expect(cluster.peers('db')).toEqual(['db<web traffic 10 1']);
    expect(cluster.peers('cart')).toEqual(['cart<web references 62500 0.4', 'cart>db references 62500 0.4']);
  });

  test('is thought to do as one with the same image and labels does', () => {
    const labels = { 'app.kubernetes.io/name': 'cart', 'app.kubernetes.io/part-of': 'shop' };
    const cluster = new Cluster(
      app('web', {}),
      app('cart', { image: 'cart:v1', labels, replicas: 2 }),
      app('cart-canary', { image: 'cart:v2', labels, env: ['db'] }),
      app('db', {}),
    );
    cluster.traffic(['web', 'cart', 600]);
    expect(cluster.peers('cart-canary')).toEqual(['cart-canary<web alike 300 0.6']);
    cluster.traffic(['web', 'db', 600]);
    expect(cluster.peers('cart-canary')).toEqual(['cart-canary>db references 125000 0.4']);
  });

  test('talks to whom its owner names, Service or workload, before anything else', () => {
    const annotations = { 'netloom.io/peers': 'shop/cart=50Mi/s, shop/db=1Mi/s, shop/nobody=1/s' };
    const cluster = new Cluster(app('web', { replicas: 2, env: ['cart'], annotations }), app('cart', {}));
    cluster.add({ kind: 'StatefulSet', metadata: { namespace: 'shop', name: 'db', uid: 'db' }, spec: { replicas: 1 } });
    expect(cluster.peers('web')).toEqual([
      `web>cart annotation ${2 * 50 * 2 ** 20} 0.8`,
      `web>db annotation ${2 * 2 ** 20} 0.8`,
    ]);
  });

  test('hears of a Service that comes later, and forgets one that goes', () => {
    const cluster = new Cluster(app('web', { env: ['late'] }));
    expect(cluster.peers('web')).toEqual([]);
    cluster.add(...app('late', {}));
    expect(cluster.peers('web')).toEqual(['web>late references 125000 0.4']);
    const service = cluster.state.service('shop', 'late')!;
    cluster.state.apply([{ op: 'delete', record: service }]);
    expect(cluster.peers('web')).toEqual([]);
  });
});

test('Services and likenesses cross, for pods that no view knows', () => {
  const labels = { 'app.kubernetes.io/name': 'cart' };
  const cluster = new Cluster(app('web', {}), app('cart', { labels }), app('cart-2', { image: 'cart', labels }));
  const { names } = cluster.view();
  const index = (name: string): number => names.workloadIndex.get(`shop/Deployment/${name}`)!;
  expect(names.services?.get('shop/cart')).toEqual([index('cart')]);
  expect([...names.alike!.values()]).toEqual([[index('cart'), index('cart-2')]]);
  // Pods come and go: nothing is sent again.
  cluster.add(...app('web', { on: ['n1'] }).slice(2));
  expect(cluster.builder.build(2).lookups).toBeUndefined();
});

test('what namespaces say crosses, when it changes', () => {
  const cluster = new Cluster(app('web', {}));
  const say = (name: string, labels: object, annotations = {}): void =>
    cluster.add({ kind: 'Namespace', metadata: { name, labels, annotations } });
  expect([...cluster.view().names.namespaces!]).toEqual([]);
  say('quiet', {}, { 'netloom.io/placement': 'off' });
  say('a', { 'netloom.io/tenant': 'blue' });
  say('b', { 'netloom.io/tenant': 'red' });
  say('c', { 'netloom.io/tenant': 'blue' });
  const { namespaces } = cluster.view().names;
  expect(namespaces!.get('quiet')).toEqual([1, 0]);
  expect(namespaces!.get('a')).toEqual(namespaces!.get('c'));
  expect(new Set(['quiet', 'a', 'b'].map((name) => namespaces!.get(name)![1])).size).toBe(3);
  expect(cluster.builder.build(2).lookups).toBeUndefined();
  say('b', {});
  expect(cluster.view().names.namespaces!.has('b')).toBe(false);
});

describe('tenants', () => {
  const tenant = (name: string, of: string) => ({
    kind: 'Namespace',
    metadata: { name, labels: { 'netloom.io/tenant': of } },
  });

  test('are never drawn together, whatever traffic they have', () => {
    const cluster = new Cluster(
      app('web', { env: ['cart.other', 'db'] }),
      app('cart', { namespace: 'other' }),
      app('db', {}),
    );
    const edge = (server: string, namespace: string) => ({
      client: { kind: 'Deployment', namespace: 'shop', name: 'web' },
      server: { kind: 'Deployment', namespace, name: server },
      bytesPerSecondOut: 500,
      bytesPerSecondIn: 0,
    });
    const web = (view: PlacementView): number =>
      view.otherBytesPerSecond[view.names.workloadIndex.get('shop/Deployment/web')!]!;
    cluster.graph.setFileTraffic([edge('cart', 'other')]);
    expect(cluster.peers('web')).toEqual(['web>cart traffic 500 1']);
    cluster.add(tenant('shop', 'blue'));
    expect(cluster.peers('web')).toEqual([]);
    expect(web(cluster.view())).toBe(500);
    cluster.add(tenant('other', 'red'));
    expect(cluster.peers('web')).toEqual([]);
    cluster.add(tenant('other', 'blue'));
    expect(cluster.peers('web')).toEqual(['web>cart traffic 500 1']);
    cluster.add(tenant('other', 'red'));
    cluster.graph.setFileTraffic([]);
    expect(cluster.peers('web')).toEqual(['web>db references 62500 0.4']);
  });
});

describe('netloom.io/peers', () => {
  test('is a list of names with rates', () => {
    expect(parsePeerHints('shop/cart=50Mi/s, data/db.main=1k')).toEqual({
      peers: [
        { namespace: 'shop', name: 'cart', bytesPerSecond: 50 * 2 ** 20 },
        { namespace: 'data', name: 'db.main', bytesPerSecond: 1000 },
      ],
      problems: [],
    });
  });

  test.each([
    ['cart=5Mi/s', '"cart=5Mi/s": expected namespace/name=RATE'],
    ['shop/cart', '"shop/cart": expected a rate in bytes a second, as 50Mi/s, above 0 and up to 1T/s'],
    ['shop/cart=fast', '"shop/cart=fast": expected a rate in bytes a second, as 50Mi/s, above 0 and up to 1T/s'],
    ['shop/cart=-1', '"shop/cart=-1": expected a rate in bytes a second, as 50Mi/s, above 0 and up to 1T/s'],
    ['shop/Cart=1', '"shop/Cart=1": expected namespace/name=RATE'],
    ['a/b/c=1', '"a/b/c=1": expected namespace/name=RATE'],
    [' ,', '" ,": expected namespace/name=RATE, ...'],
  ])('%j: what cannot be used is told', (text, problem) => {
    expect(parsePeerHints(text)).toEqual({ peers: [], problems: [problem] });
  });

  test('what can be used of it is', () => {
    expect(parsePeerHints('shop/cart=1/s,oops')).toMatchObject({
      peers: [{ name: 'cart' }],
      problems: [expect.any(String)],
    });
    const many = Array.from({ length: 50 }, (_, i) => `a/b${i}=1`).join();
    expect(parsePeerHints(many).peers).toHaveLength(32);
    expect(parsePeerHints(many).problems).toEqual(['"a/b32=1": expected at most 32 peers']);
  });
});
