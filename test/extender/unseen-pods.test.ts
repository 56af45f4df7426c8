import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { UnseenPods } from '../../scheduler/extender/index.ts';
import type { PodFacts } from '../../scheduler/extender/args.ts';
import type { PlacementView } from '../../scheduler/placement/index.ts';
import { buildView } from '../support/view-fixture.ts';
import { NODE_NAMES, podOf, post, SHOP, start } from './harness.ts';

const FRONTEND = 'shop/Deployment/frontend';
const CART = 'shop/Deployment/cart';
/** Nothing stands anywhere yet: the application is just being installed. */
const EMPTY = buildView({ ...SHOP, workloads: SHOP.workloads.map(({ key }) => ({ key, replicas: 1 })) });
const AGENT = 'shop/DaemonSet/agent';
/** Longer than the test waits for what must not wait. */
const LONG_MS = 60_000;

const factsOf = (name: string, uid: string, kind = 'Deployment'): PodFacts => ({
  uid,
  namespace: 'shop',
  name: 'some-pod',
  controller: { kind, name },
  labels: {},
  placementOff: false,
  mirror: false,
  inGroup: false,
});

const argsOf = (name: string, uid: string, spec: object = {}): object => {
  const pod = podOf('Deployment', name, { uid }) as { spec: object };
  return { Pod: { ...pod, spec: { ...pod.spec, ...spec } }, Nodes: null, NodeNames: NODE_NAMES };
};

/** Who was asked about more than a second ago is not waited for: no time passes, however long this process is stopped. */
function timeStandsStill(): void {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }));
  afterEach(() => void vi.useRealTimers());
}

async function askFor(port: number, args: object): Promise<unknown> {
  return JSON.parse((await post(port, '/prioritize', args)).text);
}

describe('an answer for a pod whose peer was asked about just before', () => {
  timeStandsStill();

  it('waits until a view shows the peer, and is drawn to it', async () => {
    const unseen = new UnseenPods(LONG_MS);
    let view = EMPTY;
    const { port } = await start({}, { unseen, view: () => view });
    expect(await askFor(port, argsOf('frontend', 'uid-1'))).toEqual([]);
    let answered = false;
    const answer = askFor(port, argsOf('cart', 'uid-2')).finally(() => (answered = true));
    // Other calls go on meanwhile.
    expect(await askFor(port, argsOf('frontend', 'uid-3'))).toEqual([]);
    expect(answered).toBe(false);
    view = buildView({
      ...SHOP,
      workloads: SHOP.workloads.map(({ key }) =>
        key === FRONTEND ? { key, placed: { n3: 1 } } : { key, replicas: 1 },
      ),
    });
    unseen.seen(view, ['uid-of-somebody', 'uid-1', 'uid-3'], performance.now());
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

describe('an application that is deleted and made again, of which the view has names only', () => {
  timeStandsStill();

  /** As the view builder makes them: who has no replicas is nobody's peer. */
  const viewOf = (...there: readonly { key: string; placed?: Record<string, number> }[]): PlacementView => {
    const isThere = (key: string): boolean => there.some((workload) => workload.key === key);
    const workloads = SHOP.workloads.map(({ key }) => ({ key, ...there.find((workload) => workload.key === key) }));
    const edges = SHOP.edges.filter(({ client, server }) => isThere(client) && isThere(server));
    const view = buildView({ ...SHOP, workloads, edges });
    for (const [w, { key }] of workloads.entries()) if (!isThere(key)) view.replicas[w] = view.toCome[w] = 0;
    return view;
  };
  const nothing = viewOf();
  const both = [{ key: CART }, { key: FRONTEND }];

  it('is drawn together although the view is behind kube-scheduler', async () => {
    const unseen = new UnseenPods(LONG_MS);
    let view = nothing;
    const show = (next: PlacementView, ...uids: string[]): void => unseen.seen((view = next), uids, performance.now());
    const { port, decisions } = await start({}, { unseen, view: () => view });
    const first = askFor(port, argsOf('frontend', 'uid-1'));
    await expect.poll(() => unseen.waiting).toBe(1);
    expect(decisions).toEqual([]);
    show(viewOf({ key: FRONTEND }));
    expect(await first).toEqual([]);
    const second = askFor(port, argsOf('cart', 'uid-2'));
    await expect.poll(() => unseen.waiting).toBe(1);
    // That the two talk is known once both are there; then where the first one went is yet to come.
    for (const next of [viewOf({ key: FRONTEND }), viewOf(...both)]) show(next);
    expect(unseen.waiting).toBe(1);
    show(viewOf({ key: CART }, { key: FRONTEND, placed: { n3: 1 } }), 'uid-1');
    expect(await second).toContainEqual({ Host: 'n3', Score: 80 });
    expect(decisions.map(({ silence }) => silence)).toEqual(['no-traffic', undefined]);
  });

  it.each([
    ['its own workload', nothing, 'Deployment', [], ['b']],
    ['the workload of one asked about before', viewOf({ key: CART }), 'Deployment', ['a'], ['a']],
    ['both', nothing, 'Deployment', ['a'], ['b', 'a']],
    ['nothing: it has placed pods', viewOf({ key: CART, placed: { n1: 1 } }), 'Deployment', [], []],
    ['nothing: it is of a DaemonSet', nothing, 'DaemonSet', ['a'], []],
  ] as const)('waits for %s', (_what, view, kind, noted, awaited) => {
    const unseen = new UnseenPods(LONG_MS);
    for (const uid of noted) unseen.note(uid, FRONTEND, 0);
    expect(unseen.awaited(view, factsOf('cart', 'b', kind), 0)).toEqual(awaited);
  });

  it('waits for a name that the view has never had, not for bare pods and what stands on every node', () => {
    const unseen = new UnseenPods(LONG_MS);
    for (const [i, key] of ['shop/Pod/x', AGENT, 'new/Deployment/web'].entries()) unseen.note(`uid-${i}`, key, 0);
    expect(unseen.awaited(EMPTY, factsOf('cart', 'b'), 0)).toEqual(['uid-2']);
    expect(new UnseenPods(LONG_MS).awaited(nothing, { ...factsOf('x', 'b'), controller: undefined }, 0)).toEqual([]);
    expect(new UnseenPods(LONG_MS).awaited(nothing, factsOf('never-seen', 'b'), 0)).toEqual(['b']);
  });
});

describe('pods that no view shows yet', () => {
  const CART_POD = factsOf('cart', 'b');
  const noted = (waitMs = 5): UnseenPods => {
    const unseen = new UnseenPods(waitMs);
    unseen.note('a', FRONTEND, 0);
    return unseen;
  };

  it('draw those that talk to them, for a second', () => {
    const unseen = noted();
    expect(unseen.awaited(EMPTY, CART_POD, 500)).toEqual(['a']);
    expect(unseen.awaited(EMPTY, factsOf('agent', 'b', 'DaemonSet'), 500)).toEqual([]);
    expect(unseen.awaited(EMPTY, factsOf('frontend', 'b'), 500)).toEqual([]);
    expect(unseen.awaited(EMPTY, CART_POD, 1_000)).toEqual([]);
  });

  it('draw nobody for whom they are less than a twentieth of the traffic', () => {
    const view = buildView({
      ...SHOP,
      edges: [
        { client: FRONTEND, server: CART, bytesPerSecond: 4e6 },
        { client: CART, server: 'shop/Pod/solo', bytesPerSecond: 96e6 },
      ],
    });
    expect(noted().awaited(view, CART_POD, 0)).toEqual([]);
    expect(noted().awaited(view, factsOf('frontend', 'b'), 0)).toEqual([]);
  });

  it('are waited for in vain once', async () => {
    const unseen = noted();
    expect(await unseen.wait(CART_POD, ['a'], 0)).toBe(false);
    expect(unseen.awaited(EMPTY, CART_POD, 1)).toEqual([]);
  });

  it('are not waited for after three waits in vain, until one is seen', async () => {
    const unseen = noted();
    for (const uid of ['x', 'y', 'z']) expect(await unseen.wait(CART_POD, [uid], 0)).toBe(false);
    expect(unseen.awaited(EMPTY, CART_POD, 1)).toEqual([]);
    unseen.seen(EMPTY, ['a'], 2);
    unseen.note('c', FRONTEND, 2);
    expect(unseen.awaited(EMPTY, CART_POD, 3)).toEqual(['c']);
  });

  it('draw nobody where one replica of many is only a little of the traffic', () => {
    const workloads = SHOP.workloads.map(({ key }) => ({ key, replicas: key === FRONTEND ? 40 : 1 }));
    expect(noted().awaited(buildView({ ...SHOP, workloads }), CART_POD, 0)).toEqual([]);
  });

  it('hold kube-scheduler up for a small part of the time only, whatever arrives', async () => {
    const unseen = new UnseenPods(80);
    let waits = 0;
    // No time passes here but what is waited: the budget is used up, and does not fill again.
    for (let i = 0; i < 60; i++) {
      unseen.note(`uid-${i}`, FRONTEND, 0);
      const [uid] = unseen.awaited(EMPTY, CART_POD, 0);
      if (uid === undefined) break;
      waits++;
      const wait = unseen.wait(CART_POD, [uid], 0);
      setTimeout(() => unseen.seen(EMPTY, [uid], 0), 30);
      await wait;
    }
    expect(waits).toBeGreaterThan(1);
    expect(waits).toBeLessThan(20);
    expect(unseen.awaited(EMPTY, CART_POD, 0)).toEqual([]);
    unseen.note('later', FRONTEND, 10_000);
    expect(unseen.awaited(EMPTY, CART_POD, 10_000)).toEqual(['later']);
  });

  it('are kept in a bounded number, and not at all where nobody waits', () => {
    const unseen = new UnseenPods(5);
    for (let i = 0; i < 5_000; i++) unseen.note(`uid-${i}`, FRONTEND, 0);
    expect(unseen.awaited(EMPTY, CART_POD, 1)).toHaveLength(1_024);
    expect(noted(0).awaited(EMPTY, CART_POD, 1)).toEqual([]);
  });
});
