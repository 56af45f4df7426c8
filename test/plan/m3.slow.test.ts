import { describe, expect, it } from 'vitest';
import { worthwhileIterations } from '../../scheduler/plan/iterations.ts';
import { planPlacement } from '../../scheduler/plan/plan.ts';
import { exampleData } from '../support/example-data.ts';
import { denseCounts, violations } from './support/naive-plan.ts';
import { m3Problem } from './support/known-clusters.ts';

const data = exampleData('M3.json');
if ('missing' in data) process.stderr.write(`test/plan/m3.slow is skipped: ${data.missing}\n`);

describe.skipIf('missing' in data)('planPlacement of M3', () => {
  it(
    'reaches 81.5 % on the mean of five seeds with the budget that it is given by itself',
    { timeout: 600_000 },
    async () => {
      const problem = await m3Problem((data as { folder: string }).folder);
      const shares: number[] = [];
      for (let seed = 1; seed <= 5; seed++) {
        const plan = planPlacement(problem, { seed, iterations: worthwhileIterations(problem) });
        expect(violations(problem, denseCounts(problem, plan))).toEqual([]);
        expect(plan.unplaced).toEqual([]);
        shares.push(plan.localShare.node);
      }
      // Never above what is proven to be the most (placement-study.md §3).
      expect(Math.max(...shares)).toBeLessThan(0.868);
      expect(shares.reduce((sum, share) => sum + share, 0) / shares.length).toBeGreaterThanOrEqual(0.815);
    },
  );
});
