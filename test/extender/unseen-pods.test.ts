import { describe, expect, it } from 'vitest';
import { UnseenPods } from '../../scheduler/extender/index.ts';
import { buildView } from '../support/view-fixture.ts';
import { NODE_NAMES, podOf, post, SHOP, start } from './harness.ts';

const FRONTEND = 'shop/Deployment/frontend';
const CART = 'shop/Deployment/cart';
/** Nothing stands anywhere yet: the application is just being installed. */
const EMPTY = buildView({ ...SHOP, workloads: SHOP.workloads.map(({ key }) => ({ key, replicas: 1 })) });
const INDEX = EMPTY.names.workloadIndex;
const cart = INDEX.get(CART)!;
/** Longer than the test waits for what must not wait. */
const LONG_MS = 60_000;

const argsOf = (name: string, uid: string, spec: object = {}): object => {
  const pod = podOf('Deployment', name, { uid }) as { spec: object };
  return { Pod: { ...pod, spec: { ...pod.spec, ...spec } }, Nodes: null, NodeNames: NODE_NAMES };
};

async function askFor(port: number, args: object): Promise<unknown> {
  return JSON.parse((await post(port, '/prioritize', args)).text);
}

describe('an answer for a pod whose peer was asked about just before', () => {
  it('waits until a view shows the peer, and is drawn to it', async () => {
    const unseen = new UnseenPods(LONG_MS);
    let view = EMPTY;
    const { port } = await start({}, { unseen, view: () => view });
    expect(await askFor(port, argsOf('frontend', 'uid-1'))).toEqual([]);
    let answered = false;
    const answer = askFor(port, argsOf('cart', 'uid-2')).finally(() => (answered = true));
    // Other calls go on meanwhile, also one that is a peer of neither.
    expect(await askFor(port, argsOf('unknown', 'uid-3'))).toEqual([]);
    expect(answered).toBe(false);
    view = buildView({
      ...SHOP,
      workloads: SHOP.workloads.map(({ key }) =>
        key === FRONTEND ? { key, placed: { n3: 1 } } : { key, replicas: 1 },
      ),
    });
    unseen.seen(['uid-of-somebody', 'uid-1']);
    expect((await answer) as object[]).toContainEqual({ Host: 'n3', Score: 80 });
  });

  it('does not wait for ever', async () => {
    const { port } = await start({}, { unseen: new UnseenPods(20), view: () => EMPTY });
    await askFor(port, argsOf('frontend', 'uid-1'));
    expect(await askFor(port, argsOf('cart', 'uid-2'))).toEqual([]);
  });

  it('does not wait for itself, when it is asked about again', async () => {
    const { port } = await start({}, { unseen: new UnseenPods(LONG_MS), view: () => EMPTY });
    await askFor(port, argsOf('cart', 'uid-1'));
    expect(await askFor(port, argsOf('cart', 'uid-1'))).toEqual([]);
  });

  it('does not wait for members of a gang, which are asked about hypothetically, nor do they wait', async () => {
    const { port } = await start({}, { unseen: new UnseenPods(LONG_MS), view: () => EMPTY });
    const gang = { schedulingGroup: { podGroupName: 'gang' } };
    await askFor(port, argsOf('frontend', 'uid-1', gang));
    expect(await askFor(port, argsOf('cart', 'uid-2'))).toEqual([]);
    expect(await askFor(port, argsOf('frontend', 'uid-3', gang))).toEqual([]);
  });
});

describe('pods that no view shows yet', () => {
  const noted = (waitMs = 5): UnseenPods => {
    const unseen = new UnseenPods(waitMs);
    unseen.note('a', FRONTEND, 0);
    return unseen;
  };

  it('draw those that talk to them, for a second', () => {
    const unseen = noted();
    expect(unseen.drawing(EMPTY, cart, 'b', 500)).toEqual(['a']);
    expect(unseen.drawing(EMPTY, INDEX.get('shop/DaemonSet/agent')!, 'b', 500)).toEqual([]);
    expect(unseen.drawing(EMPTY, INDEX.get(FRONTEND)!, 'b', 500)).toEqual([]);
    expect(unseen.drawing(EMPTY, cart, 'b', 1_000)).toEqual([]);
  });

  it('draw nobody for whom they are less than a twentieth of the traffic', () => {
    const view = buildView({
      ...SHOP,
      edges: [
        { client: FRONTEND, server: CART, bytesPerSecond: 4e6 },
        { client: CART, server: 'shop/Pod/solo', bytesPerSecond: 96e6 },
      ],
    });
    expect(noted().drawing(view, cart, 'b', 0)).toEqual([]);
    expect(noted().drawing(view, INDEX.get(FRONTEND)!, 'b', 0)).toEqual([]);
  });

  it('are waited for in vain once', async () => {
    const unseen = noted();
    expect(await unseen.wait(['a'], 0)).toBe(false);
    expect(unseen.drawing(EMPTY, cart, 'b', 1)).toEqual([]);
  });

  it('are not waited for after three waits in vain, until one is seen', async () => {
    const unseen = noted();
    for (const uid of ['x', 'y', 'z']) expect(await unseen.wait([uid], 0)).toBe(false);
    expect(unseen.drawing(EMPTY, cart, 'b', 1)).toEqual([]);
    unseen.seen(['a']);
    unseen.note('c', FRONTEND, 2);
    expect(unseen.drawing(EMPTY, cart, 'b', 3)).toEqual(['c']);
  });

  it('draw nobody where one replica of many is only a little of the traffic', () => {
    const workloads = SHOP.workloads.map(({ key }) => ({ key, replicas: key === FRONTEND ? 40 : 1 }));
    expect(noted().drawing(buildView({ ...SHOP, workloads }), cart, 'b', 0)).toEqual([]);
  });

  it('hold kube-scheduler up for a small part of the time only, whatever arrives', async () => {
    const unseen = new UnseenPods(80);
    let waits = 0;
    // No time passes here but what is waited: the budget is used up, and does not fill again.
    for (let i = 0; i < 60; i++) {
      unseen.note(`uid-${i}`, FRONTEND, 0);
      const [uid] = unseen.drawing(EMPTY, cart, 'b', 0);
      if (uid === undefined) break;
      waits++;
      const wait = unseen.wait([uid], 0);
      setTimeout(() => unseen.seen([uid]), 30);
      await wait;
    }
    expect(waits).toBeGreaterThan(1);
    expect(waits).toBeLessThan(20);
    expect(unseen.drawing(EMPTY, cart, 'b', 0)).toEqual([]);
    unseen.note('later', FRONTEND, 10_000);
    expect(unseen.drawing(EMPTY, cart, 'b', 10_000)).toEqual(['later']);
  });

  it('are kept in a bounded number, and not at all where nobody waits', () => {
    const unseen = new UnseenPods(5);
    for (let i = 0; i < 5_000; i++) unseen.note(`uid-${i}`, FRONTEND, 0);
    expect(unseen.drawing(EMPTY, cart, 'b', 1)).toHaveLength(1_024);
    expect(noted(0).drawing(EMPTY, cart, 'b', 1)).toEqual([]);
  });
});
