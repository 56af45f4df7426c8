import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KeyTable } from '../../collector/edges/key-table.ts';

const BYTES = 8;

function view(key: number): DataView {
  const bytes = new DataView(new ArrayBuffer(BYTES));
  bytes.setUint32(0, key, true);
  // Few distinct second words, so that hashes meet.
  bytes.setUint32(4, key % 3, true);
  return bytes;
}

describe('KeyTable', () => {
  it('behaves like a Map from key to slot under any sequence of additions and removals', () => {
    const step = fc.record({ remove: fc.boolean(), key: fc.integer({ min: 0, max: 60 }) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
        const table = new KeyTable(BYTES, 4);
        const twin = new Map<number, number>();
        for (const { remove, key } of steps) {
          const known = twin.get(key);
          if (remove) {
            if (known !== undefined) table.remove(known);
            twin.delete(key);
          } else {
            const slot = table.add(view(key), 0);
            if (known !== undefined) expect(slot).toBe(known);
            else expect([...twin.values()]).not.toContain(slot);
            twin.set(key, slot);
          }
        }
        expect(table.size).toBe(twin.size);
        for (let key = 0; key <= 60; key++) expect(table.find(view(key), 0)).toBe(twin.get(key) ?? -1);
        const copy = new DataView(new ArrayBuffer(BYTES));
        for (const [key, slot] of twin) {
          expect(slot).toBeLessThan(table.slotEnd);
          expect(table.slotEnd).toBeLessThanOrEqual(table.capacity);
          table.copyKey(slot, copy);
          expect(copy.getUint32(0, true)).toBe(key);
        }
      }),
    );
  });

  it('keeps slots while it grows', () => {
    const table = new KeyTable(BYTES, 4);
    const slots = Array.from({ length: 5000 }, (_, key) => table.add(view(key), 0));
    expect(new Set(slots).size).toBe(5000);
    expect(slots.map((_, key) => table.find(view(key), 0))).toEqual(slots);
  });
});
