import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadCluster } from '../../scheduler/simulate/load.ts';
import type { Order } from '../../scheduler/simulate/arrivals.ts';
import type { PolicyName } from '../../scheduler/simulate/policies/index.ts';
import { simulate } from '../../scheduler/simulate/simulate.ts';
import { temporaryDir } from '../support/bpf.ts';
import { exampleData } from '../support/example-data.ts';
import { disturb, worth } from '../support/noisy-traffic.ts';

const data = exampleData('M3.json');
const SIGMA = 0.5;

describe.skipIf('missing' in data)('M3 placed by rates that are off by a log-normal factor of sigma 0.5', () => {
  it.each<[PolicyName, Order, number]>([
    ['netloom', 'random', 20],
    ['netloom', 'rollout', 20],
    ['netloom-plan', 'random', 5],
  ])(
    '%s, %s order: of %d draws, it loses at most two points on the mean',
    { timeout: 900_000 },
    async (policy, order, draws) => {
      const snapshot = join((data as { folder: string }).folder, 'M3.json');
      const dir = temporaryDir();
      try {
        const exact = await loadCluster({ snapshot, traffic: undefined }, { maxReplicaShare: 0.5 });
        let lost = 0;
        for (let draw = 0; draw < draws; draw++) {
          const off = join(dir.path, `${draw}.json`);
          disturb(snapshot, off, SIGMA, draw);
          const noisy = await loadCluster({ snapshot: off, traffic: undefined }, { maxReplicaShare: 0.5 });
          const options = {
            policy,
            order,
            firstSeed: draw,
            seeds: 1,
            defaultModel: 'kube',
            routing: 'balanced',
          } as const;
          const [known, guessed] = [exact, noisy].map((cluster) => worth(exact, simulate(cluster, options).nodeOf));
          lost += known! - guessed!;
        }
        console.log(`${policy} ${order}: ${(lost / draws).toFixed(2)} points lost`);
        expect(lost / draws).toBeLessThan(2);
      } finally {
        dir.remove();
      }
    },
  );
});
