import { beforeAll, expect, it } from 'vitest';
import { buildBpf } from '../support/bpf.ts';
import { randomRun } from './limit-support/random-run.ts';

beforeAll(buildBpf);

it('after each of 1,000 random operations the kernel is as it should be, and nothing of others changed', async () => {
  const seed = Number(process.env['NETLOOM_SEED'] ?? Date.now() % 1_000_000);
  const operations = Number(process.env['NETLOOM_OPERATIONS'] ?? 1000);
  const { seconds, counts, agents, settleMs } = await randomRun({ operations, seed });
  console.log(
    `seed ${seed}: ${seconds.toFixed(1)} s, ${agents} agents, settled in ${settleMs.mean.toFixed(0)} ms ` +
      `(most ${settleMs.most.toFixed(0)}); ${JSON.stringify(counts)}`,
  );
  expect(agents).toBeGreaterThan(20);
}, 3_600_000);
