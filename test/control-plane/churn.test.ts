import { test } from 'vitest';
import { churn } from './churn.ts';

test('1,500 pods that come and go are known as the API server has them, without a list beyond the first', async () => {
  await churn({ pods: 1_500, nodes: 30, settleMs: 120_000, slackBytes: 120e6 });
}, 600_000);
