import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AliasTable } from '../../scheduler/plan/alias-table.ts';
import { MaxHeap } from '../../scheduler/plan/heap.ts';
import { Random } from '../../scheduler/plan/random.ts';

describe('Random', () => {
  it('gives known numbers: a plan must not change with the machine', () => {
    const random = new Random(42);
    expect([random.bits(), random.bits(), random.bits()]).toMatchInlineSnapshot(`
      [
        1251167922,
        656401615,
        478193053,
      ]
    `);
    expect(new Random(2 ** 40 + 1).bits()).not.toBe(new Random(1).bits());
    expect(new Random(1, 1).bits()).not.toBe(new Random(1).bits());
  });

  it('is even over a small range', () => {
    const random = new Random(7);
    const counts = new Array<number>(10).fill(0);
    for (let i = 0; i < 100_000; i++) counts[random.below(10)]!++;
    for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(400);
  });
});

it('AliasTable draws as often as the weights say', () => {
  const weights = [0, 1, 2, 3, 0.5, 100];
  const table = new AliasTable(weights);
  const random = new Random(3);
  const counts = new Array<number>(weights.length).fill(0);
  for (let i = 0; i < 200_000; i++) counts[table.draw(random)]!++;
  const sum = weights.reduce((a, b) => a + b);
  for (const [i, weight] of weights.entries()) {
    expect(Math.abs(counts[i]! / 200_000 - weight / sum)).toBeLessThan(0.003);
  }
  expect(counts[0]).toBe(0);
});

it('MaxHeap gives items by key, of equal keys the lower first', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 60 }), (keys) => {
      const heap = new MaxHeap();
      for (const [item, key] of keys.entries()) heap.push(item, key);
      const order = [...keys.keys()].sort((a, b) => keys[b]! - keys[a]! || a - b);
      expect(keys.map(() => heap.pop())).toEqual(order);
      expect(heap.pop()).toBeUndefined();
    }),
    { seed: 1 },
  );
});
