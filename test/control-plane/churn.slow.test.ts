import { test } from 'vitest';
import { churn } from './churn.ts';

test('50,000 pods that come and go are known as the API server has them, without a list beyond the first', async () => {
  await churn({ pods: 50_000, nodes: 500, settleMs: 600_000, slackBytes: 50e6 });
}, 3_600_000);
