import { test } from 'vitest';
import { churn } from './churn.ts';

test('3,000 pods that come and go are known as the API server has them, without a list beyond the first', async () => {
  await churn({ pods: 3_000, nodes: 30, settleMs: 120_000, slackBytes: 120e6 });
}, 600_000);
