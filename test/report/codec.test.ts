import fc from 'fast-check';
import protobuf from 'protobufjs/minimal.js';
import { describe, expect, test } from 'vitest';
import { NetloomError } from '../../lib/errors.ts';
import {
  decodeAgentMessage,
  decodeSchedulerMessage,
  DEFAULT_CODEC_LIMITS,
  encodeAgentMessage,
  encodeSchedulerMessage,
} from '../../proto/codec.ts';
import { MAX_EDGE_WIRE_BYTES } from '../../proto/edge-codec.ts';
import { allocateEdgeColumns } from '../../proto/edge-columns.ts';
import {
  NO_COST,
  NO_LOSSES,
  type AgentMessage,
  type EdgeColumns,
  type Report,
  type SchedulerMessage,
} from '../../proto/report.ts';
import { figure, mapId, report } from '../support/arbitrary-reports.ts';
import {
  plain,
  reflectAgentMessage,
  reflectedAgentMessage,
  reflectedSchedulerMessage,
  reflectSchedulerMessage,
} from '../support/reflected-contract.ts';

const hello = fc.record({
  protocol: fc.nat(0xffffffff),
  node: fc.string({ minLength: 1, maxLength: 60, unit: 'grapheme' }),
  mapId,
  intervalMs: fc.nat(0xffffffff),
  version: fc.string({ maxLength: 20 }),
});

const agentMessage: fc.Arbitrary<AgentMessage> = fc.oneof(
  report().map((r) => ({ report: r })),
  hello.map((h) => ({ hello: h })),
);

const ranges = fc.array(fc.record({ address: mapId, prefixLength: fc.nat(128) }), { maxLength: 5 });

const schedulerMessage: fc.Arbitrary<SchedulerMessage> = fc.oneof(
  fc
    .record({ protocol: fc.nat(9), committedSeq: figure, ranges, maxEdges: fc.nat(0xffffffff) })
    .map((welcome) => ({ welcome })),
  figure.map((seq) => ({ ack: { seq } })),
  ranges.map((list) => ({ ranges: list })),
);

const reflected = (message: AgentMessage) =>
  reflectedAgentMessage.encode(reflectedAgentMessage.fromObject(reflectAgentMessage(message))).finish();

describe('the hand-written codec and protobufjs agree', () => {
  test('on what an agent says', () => {
    fc.assert(
      fc.property(agentMessage, (message) => {
        const bytes = encodeAgentMessage(message);
        expect(plain(reflectedAgentMessage, bytes)).toEqual(plain(reflectedAgentMessage, reflected(message)));
        expect(decodeAgentMessage(bytes)).toEqual(message);
        expect(decodeAgentMessage(reflected(message))).toEqual(message);
      }),
      { numRuns: 300 },
    );
  });

  test('on what the scheduler says', () => {
    fc.assert(
      fc.property(schedulerMessage, (message) => {
        const slow = reflectedSchedulerMessage
          .encode(reflectedSchedulerMessage.fromObject(reflectSchedulerMessage(message)))
          .finish();
        const bytes = encodeSchedulerMessage(message);
        expect(plain(reflectedSchedulerMessage, bytes)).toEqual(plain(reflectedSchedulerMessage, slow));
        expect(decodeSchedulerMessage(bytes)).toEqual(message);
        expect(decodeSchedulerMessage(slow)).toEqual(message);
      }),
      { numRuns: 300 },
    );
  });
});

describe('what the wire format allows besides', () => {
  test('unknown fields are skipped, wherever they stand', () => {
    const unknown = (field: number) =>
      protobuf.Writer.create()
        .uint32((field << 3) | 0)
        .uint32(7)
        .uint32(((field + 1) << 3) | 1)
        .fixed64(5)
        .uint32(((field + 2) << 3) | 2)
        .bytes(Buffer.from('later'))
        .uint32(((field + 3) << 3) | 3)
        .uint32((1 << 3) | 0)
        .uint32(1)
        .uint32(((field + 3) << 3) | 4)
        .uint32(((field + 4) << 3) | 5)
        .fixed32(9)
        .finish();
    fc.assert(
      fc.property(report(), (r) => {
        const inner = reportBody(encodeAgentMessage({ report: r }));
        const body = Buffer.concat([unknown(100), inner, unknown(20)]);
        const bytes = Buffer.concat([unknown(30), tagged(2, body), unknown(2000)]);
        expect(decodeAgentMessage(bytes)).toEqual({ report: r });
      }),
    );
  });

  test('a message of which nothing is known is nothing, and no error', () => {
    expect(decodeAgentMessage(Buffer.alloc(0))).toBeUndefined();
    expect(decodeAgentMessage(tagged(9, Buffer.from('a later kind')))).toBeUndefined();
    expect(decodeSchedulerMessage(tagged(9, Buffer.alloc(0)))).toBeUndefined();
  });

  test('columns in several chunks and as single values', () => {
    const edges = sampleEdges(3);
    const writer = protobuf.Writer.create();
    writer.uint32((1 << 3) | 2).bytes(edges.addresses);
    for (const [index, name] of COLUMN_FIELDS.entries()) {
      const field = index + 3;
      const values = edges[name];
      const packed = protobuf.Writer.create().uint32(values[0]!).uint32(values[1]!).finish();
      writer.uint32((field << 3) | 2).bytes(packed);
      writer.uint32((field << 3) | 0).uint32(values[2]!);
      writer.uint32((field << 3) | 2).bytes(Buffer.alloc(0));
    }
    const empty = Buffer.alloc(0);
    const bytes = reportMessage(Buffer.from(writer.finish()), tagged(7, empty), tagged(8, empty));
    const message = decodeAgentMessage(bytes) as { report: Report };
    expect(message.report.edges).toEqual(edges);
    expect(plain(reflectedAgentMessage, bytes)).toEqual(plain(reflectedAgentMessage, encodeAgentMessage(message)));
  });

  test('a report shares no memory with the bytes it came in', () => {
    const bytes = encodeAgentMessage({ report: sampleReport(sampleEdges(3)) });
    const message = decodeAgentMessage(bytes) as { report: Report };
    bytes.fill(0xff);
    expect(message.report).toEqual(sampleReport(sampleEdges(3)));
    expect(new Set(Object.values(message.report.edges).map((c) => (c as Uint8Array).buffer)).size).toBe(2); // one, and n
  });
});

describe('messages that cannot be used', () => {
  test('every truncation is an error with a code', () => {
    fc.assert(
      fc.property(agentMessage, (message) => {
        const bytes = encodeAgentMessage(message);
        for (let length = 1; length < bytes.length; length += 1 + Math.floor(bytes.length / 200)) {
          expect(() => decodeAgentMessage(bytes.subarray(0, length))).toThrow(NetloomError);
        }
      }),
      { numRuns: 60 },
    );
  });

  test('garbled bytes are an error with a code or a message, never anything else', () => {
    fc.assert(
      fc.property(
        agentMessage,
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 8 }),
        (message, changes) => {
          const bytes = encodeAgentMessage(message);
          for (const [position, value] of changes) bytes[position % bytes.length] = value;
          decodesOrRefuses(() => decodeAgentMessage(bytes));
          decodesOrRefuses(() => decodeSchedulerMessage(bytes));
        },
      ),
      { numRuns: 3000 },
    );
  });

  test('so are random bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        decodesOrRefuses(() => decodeAgentMessage(bytes));
        decodesOrRefuses(() => decodeAgentMessage(tagged(2, Buffer.from(bytes))));
        decodesOrRefuses(() => decodeSchedulerMessage(bytes));
      }),
      { numRuns: 3000 },
    );
  });

  const cases: [string, Buffer, RegExp][] = [
    ['a column that is shorter', edgesWithout('retransmits'), /retransmits.*3 values.*found: +2/s],
    ['a column that is missing', edgesWithout('role', 0), /role.*3 values.*found: +0/s],
    ['a column that is longer', edgesWith('bytesSent', [1, 2, 3, 4]), /bytesSent.*3 values.*too many/s],
    ['a local index behind the table', edgesWith('local', [0, 1, 2]), /local.*0\.\.1.*2 at index 2/s],
    ['a remote index behind the table', edgesWith('remote', [9, 0, 0]), /remote.*0\.\.1/s],
    ['a role of 0', edgesWith('role', [1, 2, 0]), /role.*1\.\.2.*0 at index 2/s],
    ['a role of 3', edgesWith('role', [1, 3, 2]), /role.*1\.\.2/s],
    ['a port above 65535', edgesWith('serverPort', [1, 2, 65536]), /serverPort.*65535/s],
    ['a protocol above 255', edgesWith('protocol', [256, 6, 6]), /protocol.*255/s],
    ['an RTT above 2^32 - 1', edgesWith('minRttUs', [2 ** 32, 0, 0]), /minRttUs/],
    ['bytes of 2^53', edgesWith('bytesReceived', [2 ** 53, 0, 0]), /bytesReceived.*9007199254740991/s],
    ['bytes of 2^63', edgesWith('bytesReceived', [0, 0, 2 ** 63]), /bytesReceived/],
    ['addresses that are no multiple of 16', edgesWithAddresses(33), /addresses.*multiple of 16/s],
    ['more addresses than edges can name', edgesWithAddresses(16 * 7), /addresses.*at most 6 for 3/s],
    ['edges without addresses', edgesWithAddresses(0), /local/],
    ['no map id', tagged(2, Buffer.from([8, 1])), /map_id.*16 bytes/s],
    ['no sequence number', tagged(2, Buffer.concat([tagged(2, Buffer.alloc(16))])), /seq/],
    ['an uplink without a name', reportMessage(undefined, tagged(6, Buffer.from([16, 1]))), /uplinks\.name/],
    ['a length of 4 GiB', Buffer.from([18, 0xff, 0xff, 0xff, 0xff, 0x0f]), /at most 0 bytes more/],
    ['an endless varint', tagged(2, Buffer.from([8, ...Array<number>(11).fill(0x80)])), /varint/],
    ['hello without a node', tagged(1, Buffer.concat([tagged(3, Buffer.alloc(16))])), /hello\.node/],
    [
      'hello with a short map id',
      tagged(1, Buffer.concat([tagged(2, Buffer.from('n')), tagged(3, Buffer.alloc(15))])),
      /map_id/,
    ],
    ['hello with broken UTF-8', tagged(1, tagged(2, Buffer.from([0xc3, 0x28]))), /UTF-8/],
  ];
  test.each(cases)('%s', (_name, bytes, pattern) => {
    const error = refusal(() => decodeAgentMessage(bytes));
    expect(error.code).toBe('REPORT_MALFORMED');
    expect(error.describe()).toMatch(pattern);
  });

  test('more edges than the limit are refused before anything is allocated for them', () => {
    const bytes = encodeAgentMessage({ report: sampleReport(sampleEdges(100)) });
    const limits = { ...DEFAULT_CODEC_LIMITS, maxEdges: 99 };
    expect(refusal(() => decodeAgentMessage(bytes, limits)).describe()).toMatch(/at most 99 edges.*found: +100/s);
    const single = Buffer.concat(Array.from({ length: 1000 }, () => Buffer.from([3 << 3, 0])));
    expect(refusal(() => decodeAgentMessage(reportMessage(single), limits)).describe()).toMatch(/at most 99 edges/);
  });

  test('more ranges or uplinks than the limit', () => {
    const limits = { ...DEFAULT_CODEC_LIMITS, maxRanges: 1, maxUplinks: 1 };
    const range = { address: new Uint8Array(16), prefixLength: 96 };
    const bytes = encodeSchedulerMessage({ ranges: [range, range] });
    expect(refusal(() => decodeSchedulerMessage(bytes, limits)).message).toMatch(/ranges/);
    const uplink = tagged(6, tagged(1, Buffer.from('eth0')));
    expect(refusal(() => decodeAgentMessage(reportMessage(undefined, uplink, uplink), limits)).message).toMatch(
      /uplinks/,
    );
  });

  test('the encoder refuses what the decoder would', () => {
    const bad: [string, (edges: EdgeColumns) => EdgeColumns][] = [
      ['negative bytes', (e) => set(e, 'bytesSent', -1)],
      ['half a byte', (e) => set(e, 'bytesSent', 0.5)],
      ['NaN', (e) => set(e, 'bytesReceived', NaN)],
      ['2^53', (e) => set(e, 'connections', 2 ** 53)],
      ['role 0', (e) => set(e, 'role', 0)],
      ['index', (e) => set(e, 'local', 2)],
      ['length', (e) => ({ ...e, role: e.role.subarray(1) })],
      ['addresses', (e) => ({ ...e, addresses: e.addresses.subarray(1) })],
    ];
    for (const [name, spoil] of bad) {
      const edges = spoil(sampleEdges(3));
      expect(refusal(() => encodeAgentMessage({ report: sampleReport(edges) })).code, name).toBe('REPORT_MALFORMED');
    }
    expect(
      refusal(() => encodeAgentMessage({ report: { ...sampleReport(sampleEdges(1)), periodMs: 1.5 } })).message,
    ).toMatch(/period_ms/);
  });
});

test('no edge takes more on the wire than is said', () => {
  const n = 1000;
  const edges = allocateEdgeColumns(n, 2 * n, true);
  edges.prefixLengths.fill(128);
  for (const name of COLUMN_FIELDS) edges[name].fill(Number.MAX_SAFE_INTEGER);
  edges.serverPort.fill(0xffff);
  edges.role.fill(2);
  edges.protocol.fill(255);
  edges.minRttUs.fill(0xffffffff);
  edges.smoothedRttUs.fill(0xffffffff);
  edges.local.fill(2 * n - 1);
  edges.remote.fill(2 * n - 1);
  expect(encodeAgentMessage({ report: sampleReport(edges) }).length).toBeLessThan(n * MAX_EDGE_WIRE_BYTES + 200);
});

// ---- helpers

const COLUMN_FIELDS = [
  'local',
  'remote',
  'serverPort',
  'role',
  'protocol',
  'bytesSent',
  'bytesReceived',
  'segmentsSent',
  'segmentsReceived',
  'retransmits',
  'connections',
  'minRttUs',
  'smoothedRttUs',
] as const;

type ColumnField = (typeof COLUMN_FIELDS)[number];

function sampleEdges(n: number): EdgeColumns {
  const edges = allocateEdgeColumns(n, Math.min(2, 2 * n), false);
  edges.addresses.set([1, 2, 3]);
  for (let i = 0; i < n; i++) {
    edges.remote[i] = 1;
    edges.serverPort[i] = 443 + i;
    edges.role[i] = 1 + (i % 2);
    edges.protocol[i] = 6;
    edges.bytesSent[i] = 1000 * i;
    edges.connections[i] = i;
  }
  return edges;
}

function sampleReport(edges: EdgeColumns): Report {
  return {
    seq: 1,
    mapId: new Uint8Array(16),
    periodMs: 10_000,
    ageMs: 5,
    edges,
    uplinks: [],
    losses: NO_LOSSES,
    cost: NO_COST,
    merged: 0,
  };
}

function set(edges: EdgeColumns, name: ColumnField, value: number): EdgeColumns {
  edges[name][0] = value;
  return edges;
}

function tagged(field: number, body: Uint8Array): Buffer {
  return Buffer.from(
    protobuf.Writer.create()
      .uint32((field << 3) | 2)
      .bytes(body)
      .finish(),
  );
}

function reportMessage(edges: Buffer | undefined, ...more: Buffer[]): Buffer {
  const head = Buffer.concat([Buffer.from([8, 1]), tagged(2, Buffer.alloc(16))]);
  return tagged(2, Buffer.concat([head, ...(edges === undefined ? [] : [tagged(5, edges)]), ...more]));
}

function reportBody(message: Buffer): Buffer {
  const reader = protobuf.Reader.create(message);
  reader.uint32();
  return Buffer.from(reader.bytes());
}

function edgesBody(columns: Record<ColumnField, readonly number[]>, addressBytes = 32): Buffer {
  const writer = protobuf.Writer.create();
  if (addressBytes > 0) writer.uint32((1 << 3) | 2).bytes(Buffer.alloc(addressBytes));
  for (const [index, name] of COLUMN_FIELDS.entries()) {
    if (columns[name].length === 0) continue;
    writer.uint32(((index + 3) << 3) | 2).fork();
    for (const value of columns[name]) writer.uint64(value);
    writer.ldelim();
  }
  return Buffer.from(writer.finish());
}

function threeEdges(): Record<ColumnField, readonly number[]> {
  const edges = sampleEdges(3);
  return Object.fromEntries(COLUMN_FIELDS.map((name) => [name, [...edges[name]]])) as Record<ColumnField, number[]>;
}

function edgesWith(name: ColumnField, values: readonly number[]): Buffer {
  return reportMessage(edgesBody({ ...threeEdges(), [name]: values }));
}

function edgesWithout(name: ColumnField, keep = 2): Buffer {
  return edgesWith(name, threeEdges()[name].slice(0, keep));
}

function edgesWithAddresses(bytes: number): Buffer {
  return reportMessage(edgesBody(threeEdges(), bytes));
}

function refusal(decode: () => unknown): NetloomError {
  try {
    decode();
  } catch (error) {
    if (error instanceof NetloomError) return error;
    throw error;
  }
  throw new Error('it was taken');
}

function decodesOrRefuses(decode: () => unknown): void {
  try {
    decode();
  } catch (error) {
    if (!(error instanceof NetloomError) || error.code !== 'REPORT_MALFORMED') throw error;
  }
}
