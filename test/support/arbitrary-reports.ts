import fc from 'fast-check';
import { allocateEdgeColumns } from '../../proto/edge-columns.ts';
import { ROLE_CLIENT, ROLE_SERVER, type EdgeColumns, type Report, type Uplink } from '../../proto/report.ts';

/** Figures as they occur: many small, some at the edges of the wire format. */
export const figure: fc.Arbitrary<number> = fc.oneof(
  fc.nat(300),
  fc.nat(),
  fc.maxSafeNat(),
  fc.constantFrom(0, 127, 128, 2 ** 28 - 1, 2 ** 28, 2 ** 31, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER),
);

const uint32 = fc.oneof(fc.nat(300), fc.nat(0xffffffff), fc.constantFrom(0, 0xffffffff));

export const edgeColumns = (maxEdges = 40): fc.Arbitrary<EdgeColumns> =>
  fc
    .record({ n: fc.nat(maxEdges), addressShare: fc.double({ min: 0, max: 1, noNaN: true }), prefixes: fc.boolean() })
    .chain(({ n, addressShare, prefixes }) => {
      const addressCount = n === 0 ? 0 : 1 + Math.floor(addressShare * (2 * n - 1));
      const column = (values: fc.Arbitrary<number>, length = n) =>
        fc.array(values, { minLength: length, maxLength: length });
      return fc
        .record({
          addresses: fc.uint8Array({ minLength: addressCount * 16, maxLength: addressCount * 16 }),
          prefixLengths: column(fc.nat(128), prefixes ? addressCount : 0),
          local: column(fc.nat(Math.max(0, addressCount - 1))),
          remote: column(fc.nat(Math.max(0, addressCount - 1))),
          serverPort: column(fc.nat(0xffff)),
          role: column(fc.constantFrom(ROLE_SERVER, ROLE_CLIENT)),
          protocol: column(fc.nat(255)),
          bytesSent: column(figure),
          bytesReceived: column(figure),
          segmentsSent: column(figure),
          segmentsReceived: column(figure),
          retransmits: column(figure),
          connections: column(figure),
          minRttUs: column(uint32),
          smoothedRttUs: column(uint32),
        })
        .map((columns) => {
          const edges = allocateEdgeColumns(n, addressCount, prefixes);
          for (const [name, values] of Object.entries(columns)) edges[name as 'local'].set(values);
          return edges;
        });
    });

const uplink: fc.Arbitrary<Uplink> = fc.record({
  name: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 4 }).filter((s) => Buffer.byteLength(s) <= 64),
  txBytes: figure,
  rxBytes: figure,
  speedBps: figure,
  speedSource: fc.constantFrom('unknown', 'device', 'configured'),
});

export const mapId = fc.uint8Array({ minLength: 16, maxLength: 16 });

export const report = (maxEdges = 40): fc.Arbitrary<Report> =>
  fc.record({
    seq: figure.map((seq) => Math.max(1, seq)),
    mapId,
    periodMs: uint32,
    ageMs: uint32,
    edges: edgeColumns(maxEdges),
    uplinks: fc.array(uplink, { maxLength: 3 }),
    losses: fc.record({
      mapFullConnections: figure,
      mapFullBytes: figure,
      storageFailed: figure,
      readFailed: figure,
      droppedEdges: figure,
      droppedBytes: figure,
    }),
    cost: fc.record({ bpfRuns: figure, bpfRunNs: figure, cpuUs: figure, rssBytes: figure }),
    merged: uint32,
  });
