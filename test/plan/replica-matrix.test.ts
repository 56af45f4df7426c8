import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ReplicaMatrix } from '../../scheduler/plan/replica-matrix.ts';

it('is the matrix that a plain map is, whatever is added and removed', () => {
  const operation = fc.record({ n: fc.nat({ max: 3 }), c: fc.nat({ max: 199 }), k: fc.integer({ min: -4, max: 4 }) });
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 400 }), (operations) => {
      const matrix = new ReplicaMatrix(4, new Int32Array(200).fill(1_000));
      const twin = new Map<string, number>();
      for (const { n, c, k } of operations) {
        const before = twin.get(`${n},${c}`) ?? 0;
        const change = Math.max(k, -before);
        if (change > 0) matrix.add(n, c, change);
        if (change < 0) matrix.remove(n, c, -change);
        if (before + change > 0) twin.set(`${n},${c}`, before + change);
        else twin.delete(`${n},${c}`);
      }
      for (let n = 0; n < 4; n++) {
        const own = [];
        for (let c = 0; c < 200; c++) {
          expect(matrix.get(n, c)).toBe(twin.get(`${n},${c}`) ?? 0);
          if (twin.has(`${n},${c}`)) own.push(c);
        }
        expect([...matrix.workloadsOn(n)]).toEqual(own);
      }
      for (let c = 0; c < 200; c++) {
        const first = matrix.hostStart[c]!;
        const hosts = [...matrix.hosts.subarray(first, first + matrix.hostCount[c]!)].sort((a, b) => a - b);
        expect(hosts).toEqual([0, 1, 2, 3].filter((n) => twin.has(`${n},${c}`)));
      }
    }),
    { numRuns: 200, seed: 1 },
  );
});
