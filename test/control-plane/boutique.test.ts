import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { testAll } from '../../scripts/test-scope.ts';
import type { ExplainReply } from '../../scheduler/api/replies.ts';
import { compare, comparisonLine } from './arrival-orders.ts';
import { ShopCluster } from './shop-cluster.ts';

const ORDERS = 20;
const MINUTES = 60_000;

describe('Online Boutique on three nodes, by the real kube-scheduler without and with Netloom', () => {
  let cluster: ShopCluster;

  beforeAll(async () => {
    cluster = await ShopCluster.start({ nodes: 3, copies: 1, periodMs: 500 });
    await cluster.learn();
  });

  afterAll(async () => {
    await cluster?.stop();
  });

  test('keeps more traffic on the nodes, its pods arriving one after the other', { timeout: 5 * MINUTES }, async () => {
    const runs = await cluster.compare(ORDERS, 1);
    console.log(comparisonLine('3 nodes, pods arriving one after the other', runs));
    const { ratio, worse } = compare(runs, 'node');
    expect(cluster.writer.failures).toEqual([]);
    expect(ratio).toBeGreaterThanOrEqual(2);
    expect(worse).toBeLessThanOrEqual(4);
  });

  // As `kubectl apply` of a whole application: kube-scheduler asks about the next pod before the last one is bound.
  test('keeps more traffic on the nodes, its pods arriving all at once', { timeout: 5 * MINUTES }, async () => {
    const runs = await cluster.compare(testAll() ? ORDERS : 8, cluster.copies.pods.length);
    const waits = await cluster.netloom.metric('netloom_extender_peer_waits_total{result="seen"}');
    console.log(`${comparisonLine('3 nodes, pods arriving all at once', runs)}; ${waits} answers waited for a peer`);
    expect(cluster.writer.failures).toEqual([]);
    expect(waits).toBeGreaterThan(0);
    expect(compare(runs, 'node').ratio).toBeGreaterThan(1);
  });

  test('a pod that was really scheduled says why it is where it is', async () => {
    await cluster.scheduleWith('with', () => cluster.copies.arrive(cluster.copies.pods, 1));
    const { plane, netloom, processes, watch } = cluster;
    const [pod] = [...watch.state.workload('shop/Deployment/cartservice')!.pods];
    // Netloom hears of a binding later than this test may, and of its answer from another thread.
    await expect
      .poll(() => netloom.get<ExplainReply>('/v1/explain', { pod: `shop/${pod!.name}` }))
      .toMatchObject({ lastDecision: { podUid: pod!.uid }, pod: { node: pod!.node } });
    const replies: ExplainReply[] = [];
    for (const target of [`shop/${pod!.name}`, `pod shop/${pod!.name}`]) {
      const args = ['explain', '--api', netloom.api, '-o', 'json', ...target.split(' ')];
      const { stdout, status } = await processes.run(args);
      expect(status).toBe(0);
      replies.push(JSON.parse(stdout) as ExplainReply);
    }
    for (const { lastDecision, pod: explained } of replies) {
      expect(explained?.node).toBe(pod!.node);
      expect(lastDecision).toMatchObject({ podUid: pod!.uid, candidates: expect.any(Number) });
    }
    const events = async (): Promise<string[]> => {
      const { items } = await plane.api.call<{ items: { reason: string; message: string }[] }>(
        'GET',
        `/api/v1/namespaces/shop/events?fieldSelector=${encodeURIComponent('reason=NetworkAwarePlacement')}`,
      );
      return items.map(({ message }) => message);
    };
    // Not of the first pods, whose peers came later.
    await expect
      .poll(async () => (await events()).join('\n'))
      .toMatch(/Of its traffic, that with shop\/Deployment\/\w+.* stays on the node[.,]/);
    for (const message of await events())
      expect(message).toMatch(/^Netloom scored node-\d (best of \d nodes: )?\d+ of 80/);
    console.log((await events())[0]);
    await cluster.copies.leave();
  });
});
