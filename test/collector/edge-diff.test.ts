import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EDGE_COUNTS, EDGE_KEY, REMOTE_FOLDED } from '../../collector/bpf/layout.ts';
import { EdgeDiff } from '../../collector/edges/edge-diff.ts';
import { formatAddress, parseAddress } from '../../lib/ip.ts';
import { IPPROTO_TCP, ROLE_CLIENT, ROLE_SERVER, type EdgeColumns } from '../../proto/report.ts';

interface Edge {
  local?: string;
  remote: string;
  port?: number;
  role?: number;
  netns?: number;
}

function keyOf(edge: Edge): Uint8Array {
  const bytes = new Uint8Array(EDGE_KEY.size);
  const at = EDGE_KEY.fields;
  bytes.set(parseAddress(edge.local ?? '10.0.0.1')!, at.local.offset);
  bytes.set(parseAddress(edge.remote)!, at.remote.offset);
  const view = new DataView(bytes.buffer);
  view.setUint32(at.netns.offset, edge.netns ?? 1, true);
  view.setUint16(at.server_port.offset, edge.port ?? 80, true);
  bytes[at.role.offset] = edge.role ?? ROLE_SERVER;
  bytes[at.protocol.offset] = IPPROTO_TCP;
  return bytes;
}

type Counts = Partial<Record<keyof typeof EDGE_COUNTS.fields, number | bigint>>;

function valueOf(counts: Counts): Uint8Array {
  const bytes = new Uint8Array(EDGE_COUNTS.size);
  const view = new DataView(bytes.buffer);
  for (const [name, figure] of Object.entries(counts)) {
    const { offset, size } = EDGE_COUNTS.fields[name as keyof Counts];
    if (size === 8) view.setBigUint64(offset, BigInt.asUintN(64, BigInt(figure)), true);
    else view.setUint32(offset, Number(figure), true);
  }
  return bytes;
}

function read(diff: EdgeDiff, entries: readonly (readonly [Edge, Counts])[], nowMs = 0): EdgeColumns {
  const keys = new Uint8Array(EDGE_KEY.size * entries.length);
  const values = new Uint8Array(EDGE_COUNTS.size * entries.length);
  entries.forEach(([edge, counts], i) => {
    keys.set(keyOf(edge), EDGE_KEY.size * i);
    values.set(valueOf(counts), EDGE_COUNTS.size * i);
  });
  diff.visit(new DataView(keys.buffer), new DataView(values.buffer), entries.length, nowMs);
  return diff.finish();
}

const A: Edge = { remote: '10.0.0.2' };
const B: Edge = { remote: '10.0.0.3', role: ROLE_CLIENT, port: 443 };

describe('EdgeDiff', () => {
  it('emits what was added, and nothing for edges that did not move', () => {
    const diff = new EdgeDiff();
    const first = read(diff, [
      [A, { bytes_sent: 100, connections: 1, min_rtt_us: 40, smoothed_rtt_us: 55 }],
      [B, { bytes_received: 7, segments_sent: 2, segments_received: 3, retransmits: 1 }],
    ]);
    expect(first.n).toBe(2);
    expect([...first.bytesSent]).toEqual([100, 0]);
    expect([...first.bytesReceived]).toEqual([0, 7]);
    expect([...first.segmentsSent]).toEqual([0, 2]);
    expect([...first.segmentsReceived]).toEqual([0, 3]);
    expect([...first.retransmits]).toEqual([0, 1]);
    expect([...first.connections]).toEqual([1, 0]);
    expect([...first.serverPort]).toEqual([80, 443]);
    expect([...first.role]).toEqual([ROLE_SERVER, ROLE_CLIENT]);
    expect([...first.protocol]).toEqual([IPPROTO_TCP, IPPROTO_TCP]);
    expect([...first.minRttUs]).toEqual([40, 0]);
    expect([...first.smoothedRttUs]).toEqual([55, 0]);
    const second = read(diff, [
      [A, { bytes_sent: 150, connections: 1 }],
      [B, { bytes_received: 7, segments_sent: 2, segments_received: 3, retransmits: 1 }],
    ]);
    expect(second.n).toBe(1);
    expect([...second.bytesSent]).toEqual([50]);
    expect(read(diff, []).n).toBe(0);
  });

  it('stores each address once, and tells the prefix length of folded ones', () => {
    const diff = new EdgeDiff();
    const plain = read(diff, [
      [A, { bytes_sent: 1 }],
      [{ ...A, port: 81 }, { bytes_sent: 1 }],
      [{ local: '10.0.0.2', remote: '10.0.0.1' }, { bytes_sent: 1 }],
    ]);
    expect(plain.addresses.length).toBe(32);
    expect(plain.prefixLengths.length).toBe(0);
    const folded = read(diff, [
      [{ remote: '203.0.113.0', role: ROLE_CLIENT | REMOTE_FOLDED }, { bytes_sent: 1 }],
      [{ remote: '203.0.113.0', role: ROLE_CLIENT }, { bytes_sent: 1 }],
      [{ remote: '2001:db8:1::', role: ROLE_SERVER | REMOTE_FOLDED }, { bytes_sent: 1 }],
    ]);
    const remotes = [...folded.remote].map(
      (id) => `${formatAddress(folded.addresses, 16 * id)}/${folded.prefixLengths[id]}`,
    );
    expect(remotes).toEqual(['203.0.113.0/120', '203.0.113.0/128', '2001:db8:1::/48']);
    expect([...folded.role]).toEqual([ROLE_CLIENT, ROLE_CLIENT, ROLE_SERVER]);
  });

  it('reads a counter that the kernel has briefly taken below zero as that, and repeats nothing', () => {
    const diff = new EdgeDiff();
    expect(read(diff, [[A, { bytes_sent: -1n, connections: 1 }]]).bytesSent[0]).toBe(0);
    expect(read(diff, [[A, { bytes_sent: 10, connections: 1 }]]).bytesSent[0]).toBe(10);
    expect(read(diff, [[A, { bytes_sent: 9, connections: 1 }]]).n).toBe(0);
    expect(read(diff, [[A, { bytes_sent: 12, connections: 1 }]]).bytesSent[0]).toBe(2);
  });

  it('is exact beyond 32 bits', () => {
    const diff = new EdgeDiff();
    read(diff, [[A, { bytes_sent: 2n ** 40n + 1n }]]);
    expect([...read(diff, [[A, { bytes_sent: 2n ** 45n + 3n }]]).bytesSent]).toEqual([2 ** 45 - 2 ** 40 + 2]);
  });

  it('what it emitted sums up to the highest reading, whatever the order of readings (property)', () => {
    const reading = fc.record({ edge: fc.integer({ min: 0, max: 300 }), bytes: fc.integer({ min: -2, max: 1000 }) });
    fc.assert(
      fc.property(fc.array(fc.array(reading, { maxLength: 40 }), { maxLength: 30 }), (passes) => {
        const diff = new EdgeDiff(4);
        const sums = new Map<string, number>();
        const highest = new Map<string, number>();
        for (const pass of passes) {
          const columns = read(
            diff,
            pass.map(({ edge, bytes }) => [
              { remote: `10.1.${edge >> 8}.${edge & 255}` },
              { bytes_sent: BigInt(bytes) },
            ]),
          );
          for (const { edge, bytes } of pass) {
            const name = `10.1.${edge >> 8}.${edge & 255}`;
            highest.set(name, Math.max(highest.get(name) ?? 0, bytes));
          }
          for (let row = 0; row < columns.n; row++) {
            const name = formatAddress(columns.addresses, 16 * columns.remote[row]!);
            sums.set(name, (sums.get(name) ?? 0) + columns.bytesSent[row]!);
          }
        }
        for (const [name, bytes] of highest) expect(sums.get(name) ?? 0).toBe(bytes);
      }),
    );
  });

  it('an edge that was forgotten starts at zero again, in a slot of its own', () => {
    const diff = new EdgeDiff();
    read(
      diff,
      [
        [A, { bytes_sent: 100 }],
        [B, { bytes_sent: 5 }],
      ],
      1000,
    );
    read(
      diff,
      [
        [A, { bytes_sent: 100 }],
        [B, { bytes_sent: 6 }],
      ],
      2000,
    );
    const idle: number[] = [];
    diff.idle(1500, (slot, key) => {
      expect(Buffer.from(key)).toEqual(Buffer.from(keyOf(A)));
      expect(diff.isEmitted(slot, new DataView(valueOf({ bytes_sent: 100 }).buffer))).toBe(true);
      expect(diff.isEmitted(slot, new DataView(valueOf({ bytes_sent: 101 }).buffer))).toBe(false);
      diff.forget(slot);
      idle.push(slot);
    });
    expect(idle.length).toBe(1);
    expect(diff.size).toBe(1);
    expect([
      ...read(
        diff,
        [
          [A, { bytes_sent: 30 }],
          [B, { bytes_sent: 6 }],
        ],
        3000,
      ).bytesSent,
    ]).toEqual([30]);
    diff.idle(0, () => expect.fail('nothing is idle'));
  });
});
