import fc from 'fast-check';
import { expect, test } from 'vitest';
import { checkEdgeColumns, pickEdges, sliceEdgeColumns } from '../../proto/edge-columns.ts';
import { EdgeTable } from '../../proto/edge-table.ts';
import type { EdgeColumns } from '../../proto/report.ts';
import { edgeColumns } from '../support/arbitrary-reports.ts';

interface Sums {
  figures: number[];
  minRttUs: number;
  smoothedRttUs: number;
}

/** The naive twin: edges by a text key. */
function byKey(list: readonly EdgeColumns[]): Map<string, Sums> {
  const sums = new Map<string, Sums>();
  for (const edges of list) {
    for (let i = 0; i < edges.n; i++) {
      const address = (at: number) =>
        `${Buffer.from(edges.addresses.subarray(at * 16, at * 16 + 16)).toString('hex')}/${edges.prefixLengths[at] ?? 128}`;
      const key = [
        address(edges.local[i]!),
        address(edges.remote[i]!),
        edges.serverPort[i],
        edges.role[i],
        edges.protocol[i],
      ].join();
      const sum = sums.get(key) ?? { figures: [0, 0, 0, 0, 0, 0], minRttUs: 0, smoothedRttUs: 0 };
      const added = [
        edges.bytesSent[i]!,
        edges.bytesReceived[i]!,
        edges.segmentsSent[i]!,
        edges.segmentsReceived[i]!,
        edges.retransmits[i]!,
        edges.connections[i]!,
      ];
      sum.figures = sum.figures.map((f, k) => Math.min(Number.MAX_SAFE_INTEGER, f + added[k]!));
      const min = edges.minRttUs[i]!;
      if (min !== 0 && (sum.minRttUs === 0 || min < sum.minRttUs)) sum.minRttUs = min;
      if (edges.smoothedRttUs[i] !== 0) sum.smoothedRttUs = edges.smoothedRttUs[i]!;
      sums.set(key, sum);
    }
  }
  return sums;
}

/** Few different keys, so that many edges fall together. */
const colliding = edgeColumns(60).map((edges) => {
  edges.addresses.forEach((_, i) => (edges.addresses[i] = i % 16 === 15 ? edges.addresses[i]! % 3 : 0));
  edges.serverPort.forEach((port, i) => (edges.serverPort[i] = port % 2));
  edges.protocol.fill(6);
  return edges;
});

test('merging edges gives the same sums as adding them one by one by their keys', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(edgeColumns(60), colliding), { maxLength: 6 }), (list) => {
      const table = new EdgeTable(1);
      for (const edges of list) table.addColumns(edges);
      const merged = table.toColumns();
      checkEdgeColumns(merged);
      expect(merged.n).toBe(table.size);
      const expected = byKey(list);
      expect(merged.n).toBe(expected.size);
      expect(byKey([merged])).toEqual(expected);
    }),
    { numRuns: 200 },
  );
});

test('a slice holds its edges and only the addresses they name', () => {
  fc.assert(
    fc.property(edgeColumns(60), fc.nat(60), (edges, cut) => {
      const at = Math.min(cut, edges.n);
      const first = sliceEdgeColumns(edges, 0, at);
      const second = sliceEdgeColumns(edges, at, edges.n);
      checkEdgeColumns(first);
      checkEdgeColumns(second);
      expect(first.n + second.n).toBe(edges.n);
      expect(byKey([first, second])).toEqual(byKey([edges]));
      const none = pickEdges(edges, new Uint32Array(0));
      expect(none.n + none.addresses.length).toBe(0);
    }),
  );
});
