import { describe, expect, test } from 'vitest';
import { likeness } from '../../scheduler/cluster/likeness.ts';
import { buildView, type ViewSpec } from '../support/view-fixture.ts';
import type { NamespaceFacts } from '../../scheduler/placement/view.ts';
import { NODE_NAMES, post, SHOP, start } from './harness.ts';

const LABELS = { 'app.kubernetes.io/name': 'cart', 'app.kubernetes.io/part-of': 'shop' };
const template = { images: ['shop/cart'], references: [] };

/** SHOP with Services before frontend and the DaemonSet, and cart's traffic with frontend. */
function view(spec: ViewSpec = SHOP) {
  const built = buildView(spec);
  const index = (name: string): number => built.names.workloadIndex.get(name)!;
  return {
    ...built,
    names: {
      ...built.names,
      services: new Map([
        ['shop/frontend', [index('shop/Deployment/frontend')]],
        ['shop/agent', [index('shop/DaemonSet/agent')]],
      ]),
      alike: new Map([[likeness('shop', template, LABELS)!, [index('shop/Deployment/cart')]]]),
    },
  };
}

interface Pod {
  readonly env?: string;
  readonly image?: string;
  readonly labels?: object;
  readonly peers?: string;
  /** '': nobody */
  readonly owner?: string;
  readonly namespace?: string;
}

async function ask(
  { env = '', image = 'x', labels = {}, peers, owner = 'checkout-1', namespace = 'shop' }: Pod,
  spec = SHOP,
  namespaces: Readonly<Record<string, NamespaceFacts>> = {},
) {
  const made = view(spec);
  const { port } = await start(
    {},
    {},
    { ...made, names: { ...made.names, namespaces: new Map(Object.entries(namespaces)) } },
  );
  const annotations = peers === undefined ? {} : { 'netloom.io/peers': peers };
  const ownerReferences = owner === '' ? [] : [{ kind: 'ReplicaSet', name: owner, controller: true }];
  const pod = {
    metadata: { name: 'p', namespace, uid: 'u', labels, annotations, ownerReferences },
    spec: { containers: [{ name: 'c', image, env: env === '' ? [] : [{ name: 'PEER', value: env }] }] },
  };
  const reply = await post(port, '/prioritize', { Pod: pod, NodeNames: NODE_NAMES });
  const hosts = JSON.parse(reply.text) as { Host: string; Score: number }[];
  return Object.fromEntries(hosts.map(({ Host, Score }) => [Host, Score]));
}

describe('a pod of which no traffic is known', () => {
  test('goes near whom its env names, with two fifths of the score', async () => {
    expect(await ask({ env: 'frontend:80' })).toEqual({ n1: 32, n2: 10, n3: 3 });
    expect(await ask({ env: 'http://frontend.shop.svc.cluster.local/x' })).toEqual({ n1: 32, n2: 10, n3: 3 });
    expect(await ask({ env: 'nobody:80' })).toEqual({});
  });

  test('goes where one alike would go, with three fifths', async () => {
    expect(await ask({ image: 'shop/cart:v2', labels: LABELS })).toEqual({ n1: 48, n2: 14, n3: 5 });
    expect(await ask({ image: 'shop/other:v2', labels: LABELS })).toEqual({});
    expect(await ask({ image: 'shop/cart:v2' })).toEqual({});
  });

  test('goes where its owner says, with four fifths, which beats all else', async () => {
    expect(await ask({ peers: 'shop/frontend=50Mi/s' })).toEqual({ n1: 64, n2: 19, n3: 6 });
    const both = { peers: 'shop/solo=1Gi/s', env: 'frontend:80', image: 'shop/cart:v2', labels: LABELS };
    const solo = {
      ...SHOP,
      workloads: SHOP.workloads.map((w) => (w.key.endsWith('solo') ? { ...w, placed: { n4: 1 } } : w)),
    };
    expect(await ask(both, solo)).toEqual({ n4: 64 });
    expect(await ask({ peers: 'shop/frontend=much', env: 'frontend:80' })).toEqual({ n1: 32, n2: 10, n3: 3 });
  });

  test('below the floor a hint counts as little as traffic does', async () => {
    expect(await ask({ peers: 'shop/frontend=2500/s' })).toEqual({ n1: 6, n2: 2, n3: 1 });
  });

  test.each([{}, { owner: '' }])('goes nowhere from a namespace that is switched off (%o)', async (pod) => {
    const wish = { ...pod, namespace: 'quiet', peers: 'shop/frontend=50Mi/s', env: 'frontend.shop:80' };
    expect(await ask(wish)).toEqual({ n1: 64, n2: 19, n3: 6 });
    expect(await ask(wish, SHOP, { quiet: [1, 0] })).toEqual({});
  });

  test('is not drawn to another tenant, nor from one that has none', async () => {
    for (const wish of [
      { peers: 'shop/frontend=50Mi/s' },
      { env: 'frontend.shop:80' },
      { owner: '', env: 'frontend.shop' },
    ]) {
      const from = (shop: number, other: number): Promise<object> =>
        ask({ ...wish, namespace: 'other' }, SHOP, { shop: [0, shop], other: [0, other] });
      expect(await from(1, 2)).toEqual({});
      expect(await from(1, 0)).toEqual({});
      expect(await from(0, 2)).toEqual({});
      expect(await from(2, 2)).toMatchObject({ n1: wish.peers === undefined ? 32 : 64 });
    }
  });

  test('has none, if traffic of its workload is known', async () => {
    expect(await ask({ owner: 'cart-abc', env: 'agent:80' })).toEqual({ n1: 80, n2: 24, n3: 8 });
  });
});
