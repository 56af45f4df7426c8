import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LIMIT_OWNER } from '../../bandwidth/bpf/layout.ts';
import { Slots, ownerOf } from '../../bandwidth/enforce/slots.ts';

describe('slots', () => {
  it('are each of one owner, never 0, and as many as there are', () => {
    const slots = new Slots(4);
    expect(['a', 'b', 'c', 'd', 'a'].map((owner) => slots.take(owner))).toEqual([1, 2, 3, undefined, 1]);
    expect([slots.used, slots.most]).toEqual([3, 3]);
    slots.release('b');
    expect([slots.take('d'), slots.take('b'), slots.of('d')]).toEqual([2, undefined, 2]);
    expect(new Slots(1).take('a')).toBeUndefined();
  });

  it('that an agent before left are kept, as far as they are there', () => {
    const slots = new Slots(4);
    slots.adopt(3, 'a');
    slots.adopt(3, 'b');
    slots.adopt(2, 'a');
    slots.adopt(4, 'c');
    slots.adopt(0, 'd');
    expect([slots.of('a'), slots.of('b'), slots.of('c'), slots.of('d'), slots.used]).toEqual([
      3,
      undefined,
      undefined,
      undefined,
      1,
    ]);
    expect([slots.take('b'), slots.take('c'), slots.take('d')]).toEqual([1, 2, undefined]);
  });

  it('that were given back and are left by an agent all the same are its owners’, and no others’', () => {
    const slots = new Slots(4);
    slots.take('a');
    slots.release('a');
    slots.adopt(1, 'left');
    expect([slots.take('b'), slots.take('c'), slots.of('left'), slots.take('d')]).toEqual([2, 3, 1, undefined]);
  });

  it('follow a plain model, whatever is taken, left and given back', () => {
    const owner = fc.integer({ min: 0, max: 9 }).map((n) => `o${n}`);
    const step = fc.oneof(
      fc.record({ op: fc.constant('take' as const), owner }),
      fc.record({ op: fc.constant('release' as const), owner }),
      fc.record({ op: fc.constant('adopt' as const), owner, slot: fc.integer({ min: -1, max: 8 }) }),
      fc.record({ op: fc.constant('others' as const), kept: fc.array(owner) }),
    );
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), fc.array(step, { maxLength: 60 }), (count, steps) => {
        const slots = new Slots(count);
        const model = new Map<string, number>();
        const isFree = (slot: number): boolean => ![...model.values()].includes(slot);
        for (const one of steps) {
          if (one.op === 'take') {
            const had = model.get(one.owner);
            const slot = slots.take(one.owner);
            if (had !== undefined) expect(slot).toBe(had);
            else if (model.size === count - 1) expect(slot).toBeUndefined();
            else {
              expect(slot).toBeGreaterThan(0);
              expect(slot).toBeLessThan(count);
              expect(isFree(slot!)).toBe(true);
              model.set(one.owner, slot!);
            }
          } else if (one.op === 'release') {
            slots.release(one.owner);
            model.delete(one.owner);
          } else if (one.op === 'adopt') {
            slots.adopt(one.slot, one.owner);
            const fits = one.slot > 0 && one.slot < count && isFree(one.slot) && !model.has(one.owner);
            if (fits) model.set(one.owner, one.slot);
          } else {
            const kept = new Set(one.kept);
            expect(new Map(slots.others(kept))).toEqual(new Map([...model].filter(([name]) => !kept.has(name))));
          }
          expect(slots.used).toBe(model.size);
          for (const [name, slot] of model) expect(slots.of(name)).toBe(slot);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('an owner', () => {
  it('is a value of the map of owners, of its uid and direction only', () => {
    const [egress, ingress] = [ownerOf('uid', 'egress'), ownerOf('uid', 'ingress')];
    expect(egress).toHaveLength(2 * LIMIT_OWNER.size);
    expect(egress).toMatch(/^[0-9a-f]{32}010{14}$/);
    expect(ingress).toBe(egress.replace(/010{14}$/, `02${'0'.repeat(14)}`));
    expect(ownerOf('uie', 'egress')).not.toBe(egress);
    expect(ownerOf('x'.repeat(10_000), 'egress')).toHaveLength(2 * LIMIT_OWNER.size);
  });
});
