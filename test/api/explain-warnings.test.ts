import { expect, test } from 'vitest';
import { ApiError } from '../../scheduler/api/listener.ts';
import { apiRoutes, type ApiState } from '../../scheduler/api/routes.ts';

test('what is not in the cluster state is refused with what is wrong with that state', () => {
  const missing = new ApiError(404, 'no pod shop/x is in the cluster state');
  const ask = (warnings: string[]) => {
    const explainer = {
      explain: () => {
        throw missing;
      },
    };
    const state = { explainer, warnings: () => warnings, nowMs: () => 0 } as unknown as ApiState;
    return () => apiRoutes(state)['/v1/explain']!(new URLSearchParams({ pod: 'shop/x' }));
  };
  expect(ask([])).toThrow(missing);
  expect(ask(['the scheduler has no opinions yet: 403'])).toThrow(
    'no pod shop/x is in the cluster state; the scheduler has no opinions yet: 403',
  );
});
