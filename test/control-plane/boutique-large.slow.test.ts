import { afterAll, beforeAll, expect, test } from 'vitest';
import { compare, comparisonLine } from './arrival-orders.ts';
import { ShopCluster } from './shop-cluster.ts';

const ORDERS = 20;
const IN_FLIGHT = 32;
const MINUTES = 60_000;

let cluster: ShopCluster;

beforeAll(async () => {
  cluster = await ShopCluster.start({ nodes: 1_000, copies: 100, periodMs: 10_000 });
  await cluster.learn();
  await cluster.stopControllers();
}, 20 * MINUTES);

afterAll(async () => {
  await cluster?.stop();
});

/** By itself kube-scheduler looks at 42 % of the nodes only: where a peer stands may not be among them. */
test(
  'a hundred copies of Online Boutique on a thousand nodes stay nearer to what they talk to',
  { timeout: 60 * MINUTES },
  async () => {
    for (const { percentageOfNodesToScore, orders } of [
      { percentageOfNodesToScore: 0, orders: ORDERS },
      { percentageOfNodesToScore: 100, orders: 3 },
    ]) {
      const runs = await cluster.compare(orders, IN_FLIGHT, { percentageOfNodesToScore });
      const scored = percentageOfNodesToScore === 0 ? "kube-scheduler's own choice of" : 'all';
      console.log(comparisonLine(`1,000 nodes, 100 copies, ${scored} nodes scored`, runs));
      const node = compare(runs, 'node');
      expect(node.ratio).toBeGreaterThanOrEqual(2.5);
      expect(node.worse).toBe(0);
    }
    expect(cluster.writer.failures).toEqual([]);
  },
);
