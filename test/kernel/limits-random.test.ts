import { beforeAll, expect, it } from 'vitest';
import { buildBpf } from '../support/bpf.ts';
import { randomRun } from './limit-support/random-run.ts';

beforeAll(buildBpf);

it('after each of 60 random operations the kernel is as it should be, and nothing of others changed', async () => {
  const seed = Number(process.env['NETLOOM_SEED'] ?? 20_260_101);
  const { seconds, counts, agents, settleMs } = await randomRun({ operations: 60, seed });
  console.log(
    `seed ${seed}: ${seconds.toFixed(1)} s, ${agents} agents, settled in ${settleMs.mean.toFixed(0)} ms ` +
      `(most ${settleMs.most.toFixed(0)}); ${JSON.stringify(counts)}`,
  );
  expect(agents).toBeGreaterThan(2);
}, 300_000);
