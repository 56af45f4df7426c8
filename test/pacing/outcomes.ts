import { afterAll, beforeAll, expect, it } from 'vitest';
import { judge, type Case } from './cases/case.ts';
import type { GuestPlan } from './plan.ts';
import { runPlans, type Result } from './results.ts';

/** Each guest may take this long on a busy machine. */
const TIMEOUT_MS = 25 * 60_000;

/**
 * A test for each case of each guest. The guests run beside the tests, which only wait for their case: all begin before the
 * first, and what is left is ended after the last.
 */
export function testGuests(plans: readonly GuestPlan[]): void {
  const results = new Map<string, PromiseWithResolvers<Result>>();
  for (const plan of plans) for (const entry of plan.cases) results.set(keyOf(plan, entry), Promise.withResolvers());
  const ending = new AbortController();
  let running: Promise<void> | undefined;

  beforeAll(() => {
    const told = (result: Result): void => results.get(keyOf(result, result.of))!.resolve(result);
    running = runPlans(plans, told, ending.signal);
    // Whoever waits for a case hears of it; nobody does for the run as a whole.
    running.catch((error: unknown) => results.forEach(({ reject }) => reject(error)));
    for (const { promise } of results.values()) void promise.catch(() => undefined);
  });
  afterAll(async () => {
    ending.abort();
    await running?.catch(() => undefined);
  });

  const tests = plans.flatMap((plan) => plan.cases.map((entry) => ({ plan, entry, key: keyOf(plan, entry) })));
  for (const { plan, entry, key } of tests) {
    it(
      `${plan.kernel}, case ${entry.number}: ${entry.what} (${entry.id})`,
      async () => {
        const { outcome } = await results.get(key)!.promise;
        if ('error' in outcome) throw new Error(outcome.error);
        expect(judge(entry, outcome.figures), JSON.stringify(outcome.figures)).toEqual([]);
      },
      TIMEOUT_MS,
    );
  }
}

function keyOf({ kernel }: Pick<GuestPlan, 'kernel'>, entry: Case): string {
  return `${kernel} ${entry.id}`;
}
