import { availableParallelism } from 'node:os';
import { beforeAll, describe, expect, it } from 'vitest';
import { buildBpf } from '../support/bpf.ts';
import { floodBaseline, floodLimit } from './limit-support/flood.ts';

const RATE_BPS = 10_000_000_000n;
const RUNS = 500_000;
/** A full packet takes 1,211.2 ns: one clock charges 1,212, the other 1,211. */
const ROUNDING = 0.001;

beforeAll(buildBpf);

/**
 * Case 17. With a queue, what a clock was not moved for passes in excess of the limit, for good. This share, unlike a
 * rate, does not depend on how much of the two CPUs the test gets.
 */
describe.runIf(availableParallelism() > 1)('two CPUs through one limit of 10 Gbit/s', () => {
  it('pass nothing that is not charged', async () => {
    for (let round = 0; round < 3; round++) {
      const { chargeLost, overshoot } = await floodLimit(RATE_BPS, [0, 1], RUNS);
      expect(chargeLost).toBeLessThanOrEqual(0);
      expect(chargeLost).toBeGreaterThan(-ROUNDING);
      expect(overshoot).toBeLessThan(0.001);
    }
  });

  it('would, if the clock were read and written back: the test can fail', async () => {
    let most = 0;
    for (let round = 0; round < 20 && most <= ROUNDING; round++) {
      most = Math.max(most, (await floodBaseline(RATE_BPS, [0, 1], RUNS)).chargeLost);
    }
    expect(most).toBeGreaterThan(ROUNDING);
  });
});
