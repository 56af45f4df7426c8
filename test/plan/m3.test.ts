import { describe, expect, it } from 'vitest';
import { planPlacement } from '../../scheduler/plan/plan.ts';
import { exampleData } from '../support/example-data.ts';
import { denseCounts, naiveLocalShare, violations } from './support/naive-plan.ts';
import { m3Problem } from './support/known-clusters.ts';

const data = exampleData('M3.json');
if ('missing' in data) process.stderr.write(`test/plan/m3 is skipped: ${data.missing}\n`);

describe.skipIf('missing' in data)('planPlacement of M3', () => {
  const { folder } = data as { folder: string };

  it('reaches 80 % within 300,000 proposals, all pods placed, and what it says is true', async () => {
    const problem = await m3Problem(folder);
    const plan = planPlacement(problem, { seed: 1, iterations: 300_000 });
    const x = denseCounts(problem, plan);
    expect(violations(problem, x)).toEqual([]);
    expect(plan.unplaced).toEqual([]);
    expect(naiveLocalShare(problem, x)).toBeCloseTo(plan.localShare.node, 9);
    expect(plan.localShare.node).toBeGreaterThan(0.8);
  });

  it('reaches 65 % by communities alone', async () => {
    const plan = planPlacement(await m3Problem(folder), { seed: 1, iterations: 0 });
    expect(plan.localShare.node).toBeGreaterThan(0.65);
  });
});
