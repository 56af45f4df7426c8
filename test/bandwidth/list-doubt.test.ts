import fc from 'fast-check';
import { expect, it } from 'vitest';
import { DOUBT_MS, ListDoubt } from '../../bandwidth/enforce/list-doubt.ts';

const facts = { listed: 0, inForce: 2, someListed: false, someThere: true };

it('a list without pods is not believed while limits are in force, for a minute', () => {
  const doubt = new ListDoubt();
  expect(doubt.believes({ ...facts, listed: 1, someListed: true }, 0)).toBe(true);
  expect([5, DOUBT_MS, DOUBT_MS + 4, DOUBT_MS + 5].map((ms) => doubt.believes(facts, ms))).toEqual([
    false,
    false,
    false,
    true,
  ]);
  // One that may be believed ends the doubt.
  expect(doubt.believes(facts, DOUBT_MS + 6)).toBe(false);
  expect(doubt.believes({ ...facts, listed: 3 }, DOUBT_MS + 7)).toBe(true);
  expect(doubt.believes(facts, 2 * DOUBT_MS)).toBe(false);
});

it('the first list must know some of the pods that have limits, later ones need not', () => {
  const doubt = new ListDoubt();
  const others = { ...facts, listed: 7 };
  expect(doubt.believes(others, 0)).toBe(false);
  expect(doubt.believes({ ...others, someListed: true }, 1)).toBe(true);
  expect(doubt.believes(others, 2)).toBe(true);
});

it('only what would take limits away from interfaces that are there is doubted, and never for longer than it is said', () => {
  const one = fc.record({
    listed: fc.integer({ min: 0, max: 3 }),
    inForce: fc.integer({ min: 0, max: 3 }),
    someListed: fc.boolean(),
    someThere: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(fc.tuple(one, fc.integer({ min: 0, max: DOUBT_MS / 2 })), { maxLength: 30 }), (history) => {
      const doubt = new ListDoubt();
      let [nowMs, believedMs] = [0, 0];
      for (const [now, laterMs] of history) {
        nowMs += laterMs;
        const isBelieved = doubt.believes(now, nowMs);
        const isHarmless = now.inForce === 0 || !now.someThere || (now.listed > 0 && now.someListed);
        if (isHarmless) expect(isBelieved).toBe(true);
        if (isBelieved) believedMs = nowMs;
        // Each look comes within half of that time after the one before.
        expect(nowMs - believedMs).toBeLessThan(1.5 * DOUBT_MS);
      }
    }),
  );
});
