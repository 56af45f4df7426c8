import { crc32 } from 'node:zlib';
import { allocateEdgeColumns } from '../../proto/edge-columns.ts';
import type { Cost, EdgeColumns, Losses, Uplink } from '../../proto/report.ts';
import type { CollectorState } from '../collector.ts';
import { BASELINE_ROW_BYTES } from '../edges/edge-diff.ts';
import { stored, type StoredPeriod } from '../report/period.ts';
import type { SavedQueue } from '../report/report-queue.ts';

/**
 * What one agent leaves to the next on the same pinned maps. Times are CLOCK_MONOTONIC, ms, which all processes of a
 * boot share; the maps do not outlive it either.
 *
 * Invariant: what the collector has told of an edge is in reports that the scheduler committed, in the queue, or
 * counted in a loss that is. It is saved as one, so it holds at every moment, and whoever starts from it tells each
 * byte once: what moved since is what the kernel's counters are above the baseline. It is saved before a report is
 * sent for the first time; so no number can have been committed for something else than what stands here.
 */
export interface AgentState {
  /** 16 bytes: the maps that it belongs to. */
  readonly mapId: Uint8Array;
  readonly collector: CollectorState;
  readonly queue: SavedQueue;
}

/** `baseline` of a state that was read: rows of BASELINE_ROW_BYTES. */
export type LoadedState = Omit<AgentState, 'collector'> & {
  readonly collector: Omit<CollectorState, 'edges'>;
  readonly baseline: Uint8Array;
};

/*
 * File: magic (8 B), length of the body (u32), of the JSON in it (u32); body: JSON, baseline rows, the columns of each
 * period; CRC-32 of the body (u32). Then a row of NUMBER_ROW_BYTES for each number given since: seq (f64), edges (u32),
 * CRC-32 of both (u32). Little-endian.
 */
const MAGIC = Buffer.from('NLAGENT1');
const HEAD_BYTES = 16;
const NUMBER_ROW_BYTES = 16;
const MAX_JSON_BYTES = 64 << 20;

/** Widest first, as allocateEdgeColumns lays them. */
const COLUMNS = [
  'bytesSent',
  'bytesReceived',
  'segmentsSent',
  'segmentsReceived',
  'retransmits',
  'connections',
  'local',
  'remote',
  'minRttUs',
  'smoothedRttUs',
  'serverPort',
  'role',
  'protocol',
  'addresses',
  'prefixLengths',
] as const satisfies readonly (keyof EdgeColumns)[];

interface PeriodHead {
  readonly seq?: number;
  readonly startMs: number;
  readonly endMs: number;
  readonly uplinks: readonly Uplink[];
  readonly losses: Losses;
  readonly cost: Cost;
  readonly merged: number;
  readonly edges: number;
  readonly addresses: number;
  readonly withPrefixLengths: boolean;
}

interface Head {
  readonly mapId: string;
  readonly rows: number;
  readonly collector: Omit<CollectorState, 'edges'>;
  readonly carried: Losses;
  readonly nextSeq: number;
  readonly sent: readonly PeriodHead[];
  readonly waiting: readonly PeriodHead[];
}

/** The file's bytes, in pieces; each may be reused for the next. */
export function* encodeState({ mapId, collector, queue }: AgentState): Generator<Uint8Array> {
  const { edges, ...rest } = collector;
  const head: Head = {
    mapId: Buffer.from(mapId).toString('hex'),
    rows: edges.rows,
    collector: rest,
    carried: queue.carried,
    nextSeq: queue.nextSeq,
    sent: queue.sent.map(({ seq, period }) => ({ seq, ...headOf(period) })),
    waiting: queue.waiting.map(headOf),
  };
  const json = Buffer.from(JSON.stringify(head));
  const periods = [...queue.sent.map(({ period }) => period), ...queue.waiting];
  const columns = periods.flatMap((period) => COLUMNS.map((name) => bytesOf(period.edges[name])));
  const length =
    json.length + edges.rows * BASELINE_ROW_BYTES + columns.reduce((sum, { byteLength }) => sum + byteLength, 0);

  const start = Buffer.alloc(HEAD_BYTES);
  MAGIC.copy(start);
  start.writeUInt32LE(length, 8);
  start.writeUInt32LE(json.length, 12);
  yield start;
  let crc = 0;
  const checked = (bytes: Uint8Array): Uint8Array => {
    crc = crc32(bytes, crc);
    return bytes;
  };
  yield checked(json);
  for (const rows of edges.chunks()) yield checked(rows);
  for (const column of columns) yield checked(column);
  const end = Buffer.alloc(4);
  end.writeUInt32LE(crc, 0);
  yield end;
}

/** To be put behind the file: `seq` was given to the oldest waiting period, of which it took `edges`. */
export function encodeNumber(seq: number, edges: number): Uint8Array {
  const row = Buffer.alloc(NUMBER_ROW_BYTES);
  row.writeDoubleLE(seq, 0);
  row.writeUInt32LE(edges, 8);
  row.writeUInt32LE(crc32(row.subarray(0, 12)), 12);
  return row;
}

/** undefined: not a whole file of this version. The result shares the memory of `bytes` in `baseline`. */
export function decodeState(bytes: Uint8Array): LoadedState | undefined {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (file.length < HEAD_BYTES || !file.subarray(0, MAGIC.length).equals(MAGIC)) return undefined;
  const end = HEAD_BYTES + file.readUInt32LE(8);
  const jsonEnd = HEAD_BYTES + file.readUInt32LE(12);
  if (jsonEnd > end || jsonEnd > MAX_JSON_BYTES || file.length < end + 4) return undefined;
  const body = file.subarray(HEAD_BYTES, end);
  if (crc32(body) !== file.readUInt32LE(end)) return undefined;

  const head = JSON.parse(file.toString('utf8', HEAD_BYTES, jsonEnd)) as Head;
  let at = jsonEnd + head.rows * BASELINE_ROW_BYTES;
  const baseline = file.subarray(jsonEnd, at);
  const period = (from: PeriodHead): StoredPeriod => {
    const edges = allocateEdgeColumns(from.edges, from.addresses, from.withPrefixLengths);
    for (const name of COLUMNS) {
      const column = bytesOf(edges[name]);
      column.set(file.subarray(at, at + column.length));
      at += column.length;
    }
    const { startMs, endMs, uplinks, losses, cost, merged } = from;
    return stored({ startMs, endMs, uplinks, losses, cost, merged, edges });
  };
  const sent = head.sent.map((from) => ({ seq: from.seq!, period: period(from) }));
  const waiting = head.waiting.map(period);
  const { carried, nextSeq, collector } = head;
  const queue = { sent, waiting, carried, nextSeq, numbered: readNumbers(file.subarray(end + 4)) };
  return { mapId: new Uint8Array(Buffer.from(head.mapId, 'hex')), collector, queue, baseline };
}

/** Up to the first row that is not whole: its report was never sent. */
function readNumbers(rows: Buffer): SavedQueue['numbered'] {
  const numbered: { seq: number; edges: number }[] = [];
  for (let at = 0; at + NUMBER_ROW_BYTES <= rows.length; at += NUMBER_ROW_BYTES) {
    if (crc32(rows.subarray(at, at + 12)) !== rows.readUInt32LE(at + 12)) break;
    numbered.push({ seq: rows.readDoubleLE(at), edges: rows.readUInt32LE(at + 8) });
  }
  return numbered;
}

function headOf({ startMs, endMs, uplinks, losses, cost, merged, edges }: StoredPeriod): PeriodHead {
  const addresses = edges.addresses.length / 16;
  const withPrefixLengths = edges.prefixLengths.length > 0;
  return { startMs, endMs, uplinks, losses, cost, merged, edges: edges.n, addresses, withPrefixLengths };
}

function bytesOf(view: ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}
