import { describe, expect, test } from 'vitest';
import { kubeSchedulerConfig } from '../../scheduler/extender/kube-scheduler-config.ts';
import { placementSettings } from '../../scheduler/placement/index.ts';
import { buildView, type ViewSpec } from '../support/view-fixture.ts';
import { CART_ARGS, CART_POD, NODE_NAMES, podOf, post, SHOP, start } from './harness.ts';

const MBIT = 125_000;

/** Links of 1 Gbit/s, over which so many Mbit/s go already; cart sends 200 more to the outside. */
function linked(sent: readonly number[], tx = 200): ViewSpec {
  return {
    ...SHOP,
    nodes: SHOP.nodes.map((node, i) => ({ ...node, link: [1000 * MBIT, sent[i]! * MBIT, 0] })),
    workloads: SHOP.workloads.map((w) =>
      w.key === 'shop/Deployment/cart' ? { ...w, tx: tx * MBIT, otherBytesPerSecond: tx * MBIT } : w,
    ),
  };
}

async function filter(spec: ViewSpec, args: object = CART_ARGS, maxLinkUse: number | undefined = 0.9) {
  const running = await start({ placement: placementSettings({ maxLinkUse }) }, {}, buildView(spec));
  const reply: unknown = JSON.parse((await post(running.port, '/filter', args)).text);
  return { reply, metric: running.metric };
}

describe('/filter, told to refuse full links', () => {
  test('refuses nodes that the pod would take beyond the limit, and says why', async () => {
    const { reply, metric } = await filter(linked([0, 800, 650, 100]));
    expect(reply).toEqual({
      Nodes: null,
      NodeNames: ['n1', 'n3', 'n4'],
      FailedNodes: { n2: 'its link would be used to 100 %, more than 90 %' },
      FailedAndUnresolvableNodes: null,
      Error: '',
    });
    expect(await metric('netloom_extender_nodes_refused_total')).toBe(1);
  });

  test('answers Node objects with Node objects', async () => {
    const items = NODE_NAMES.map((name) => ({ metadata: { name } }));
    const { reply } = await filter(linked([0, 800, 650, 100]), { Pod: CART_POD, Nodes: { metadata: {}, items } });
    expect(reply).toMatchObject({
      NodeNames: null,
      Nodes: { metadata: {}, items: [items[0], items[2], items[3]] },
      FailedNodes: { n2: expect.any(String) as string },
    });
  });

  test.each([
    ['all links are full', linked([900, 900, 900, 900])],
    ['the pod sends nothing', linked([0, 990, 0, 0], 0)],
    ['no link is known', SHOP],
  ])('passes all where %s', async (_, spec) => {
    expect((await filter(spec)).reply).toMatchObject({ NodeNames: NODE_NAMES, FailedNodes: null });
  });

  test('passes all for a workload that is not known, without being told to refuse, and for a node that is not known', async () => {
    const unknown = { Pod: podOf('ReplicaSet', 'nobody-1'), NodeNames: NODE_NAMES };
    expect((await filter(linked([0, 990, 0, 0]), unknown)).reply).toMatchObject({ NodeNames: NODE_NAMES });
    const notTold = await start({}, {}, buildView(linked([0, 990, 0, 0])));
    expect(JSON.parse((await post(notTold.port, '/filter', CART_ARGS)).text)).toMatchObject({ NodeNames: NODE_NAMES });
    const elsewhere = { Pod: CART_POD, NodeNames: ['n2', 'new-node'] };
    expect((await filter(linked([0, 990, 0, 0]), elsewhere)).reply).toMatchObject({ NodeNames: ['new-node'] });
  });

  test('is only called if the configuration of kube-scheduler says so', () => {
    const options = { address: '10.0.0.1:9750', tls: false, clientCertificate: false, scoreRange: 80 };
    expect(kubeSchedulerConfig(options)).not.toContain('filterVerb');
    expect(kubeSchedulerConfig({ ...options, filters: true })).toContain('\n  filterVerb: filter\n');
  });
});
