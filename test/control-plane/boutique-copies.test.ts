import { afterAll, beforeAll, expect, test } from 'vitest';
import { testAll } from '../../scripts/test-scope.ts';
import { compare, comparisonLine } from './arrival-orders.ts';
import { ShopCluster } from './shop-cluster.ts';

/** Each takes some 10 s. */
const ORDERS = testAll() ? 20 : 4;
/** Created and not bound yet: kube-scheduler always has the next. */
const IN_FLIGHT = 16;
const MINUTES = 60_000;

let cluster: ShopCluster;

beforeAll(async () => {
  cluster = await ShopCluster.start({ nodes: 100, copies: 30, periodMs: 2_000 });
  await cluster.learn();
  await cluster.stopControllers();
}, 10 * MINUTES);

afterAll(async () => {
  await cluster?.stop();
});

test(
  'thirty copies of Online Boutique on a hundred nodes stay near what they talk to, in whichever order pods arrive',
  { timeout: 25 * MINUTES },
  async () => {
    const runs = await cluster.compare(ORDERS, IN_FLIGHT);
    console.log(comparisonLine('100 nodes, 30 copies', runs));
    expect(cluster.writer.failures).toEqual([]);
    const node = compare(runs, 'node');
    expect(node.ratio).toBeGreaterThanOrEqual(2.5);
    expect(node.worse).toBe(0);
  },
);
