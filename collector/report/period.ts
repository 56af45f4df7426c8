import { encodeAgentMessage, MAP_ID_BYTES } from '../../proto/codec.ts';
import {
  ADDRESS_BYTES,
  checkEdgeColumns,
  EDGE_BYTES,
  edgeColumnsBytes,
  NO_EDGES,
  pickEdges,
  sliceEdgeColumns,
} from '../../proto/edge-columns.ts';
import { EdgeTable } from '../../proto/edge-table.ts';
import { NO_COST, NO_LOSSES, type Cost, type EdgeColumns, type Losses, type Uplink } from '../../proto/report.ts';

/** What the collector measured in one period: figures that were added, gauges as they are at its end. */
export interface MeasuredPeriod {
  readonly edges: EdgeColumns;
  readonly uplinks: readonly Uplink[];
  readonly losses: Losses;
  readonly cost: Cost;
  readonly periodMs: number;
}

/** A period, or several merged, on the agent's monotonic clock. */
export interface StoredPeriod {
  readonly startMs: number;
  readonly endMs: number;
  readonly edges: EdgeColumns;
  readonly uplinks: readonly Uplink[];
  readonly losses: Losses;
  readonly cost: Cost;
  /** How many periods this one holds; 0: the rest of one that was split. */
  readonly merged: number;
  /** Memory, approximately. */
  readonly bytes: number;
}

/** Throws REPORT_MALFORMED for what the scheduler would refuse: here a person can still see where it came from. */
export function checkPeriod({ edges, uplinks, losses, cost, periodMs }: MeasuredPeriod): void {
  checkEdgeColumns(edges);
  const mapId = new Uint8Array(MAP_ID_BYTES);
  const wholeMs = Math.round(periodMs);
  encodeAgentMessage({
    report: { seq: 1, mapId, periodMs: wholeMs, ageMs: 0, edges: NO_EDGES, uplinks, losses, cost, merged: 0 },
  });
}

/** Objects and views around the columns: measured 2.6 kB for an empty report, most of it typed array views. */
const OVERHEAD_BYTES = 2_600;
const UPLINK_BYTES = 200;

type Parts = Omit<StoredPeriod, 'bytes'>;

/** With what it takes in memory. */
export function stored(parts: Parts): StoredPeriod {
  const bytes = OVERHEAD_BYTES + parts.uplinks.length * UPLINK_BYTES + edgeColumnsBytes(parts.edges);
  return { ...parts, bytes };
}

export function storePeriod(period: MeasuredPeriod, endMs: number): StoredPeriod {
  const { edges, uplinks, losses, cost, periodMs } = period;
  return stored({ startMs: endMs - periodMs, endMs, edges, uplinks, losses, cost, merged: 1 });
}

/** Most edges that fit into `bytes`, each with two addresses of its own. */
export function edgesWithin(bytes: number): number {
  return Math.max(1, Math.floor((bytes - OVERHEAD_BYTES) / (EDGE_BYTES + 2 * ADDRESS_BYTES)));
}

/**
 * All as one, given oldest first: figures added, gauges from the newest, the length from the start of the first to
 * the end of the last.
 */
export function mergePeriods(periods: readonly [StoredPeriod, ...StoredPeriod[]]): StoredPeriod {
  const [first, ...rest] = periods;
  // The largest is mostly what the others are added to.
  const table = new EdgeTable(1 + Math.max(...periods.map(({ edges }) => edges.n)));
  for (const { edges } of periods) table.addColumns(edges);
  const merged = rest.reduce<Parts>(
    (older, newer) => ({
      startMs: Math.min(older.startMs, newer.startMs),
      endMs: Math.max(older.endMs, newer.endMs),
      edges: NO_EDGES,
      uplinks: mergeUplinks(older.uplinks, newer.uplinks),
      losses: addLosses(older.losses, newer.losses),
      cost: mergeCosts(older.cost, newer.cost),
      merged: older.merged + newer.merged,
    }),
    first,
  );
  return stored({ ...merged, edges: table.toColumns() });
}

function mergeCosts(older: Cost, newer: Cost): Cost {
  return {
    bpfRuns: sum(older.bpfRuns, newer.bpfRuns),
    bpfRunNs: sum(older.bpfRunNs, newer.bpfRunNs),
    cpuUs: sum(older.cpuUs, newer.cpuUs),
    rssBytes: newer.rssBytes === 0 ? older.rssBytes : newer.rssBytes,
  };
}

/** The `keep` edges that moved the most bytes; what goes is counted in the period's losses. */
export function keepHeaviest(period: StoredPeriod, keep: number): StoredPeriod {
  const { edges } = period;
  if (edges.n <= keep) return period;
  const weight = (row: number): number => edges.bytesSent[row]! + edges.bytesReceived[row]!;
  const rows = Uint32Array.from({ length: edges.n }, (_, i) => i).sort((a, b) => weight(b) - weight(a) || a - b);
  let droppedBytes = 0;
  for (const row of rows.subarray(keep)) droppedBytes = sum(droppedBytes, weight(row));
  return stored({
    ...period,
    edges: pickEdges(edges, rows.subarray(0, keep)),
    losses: withDropped(period.losses, edges.n - keep, droppedBytes),
  });
}

/**
 * The first `maxEdges` edges, and the rest, which cover the same time. Uplinks, losses and cost travel with the first,
 * so that nothing is counted twice.
 */
export function splitPeriod(period: StoredPeriod, maxEdges: number): [head: StoredPeriod, rest: StoredPeriod] {
  const { edges, cost } = period;
  const rest = {
    ...period,
    uplinks: [],
    losses: NO_LOSSES,
    cost: { ...NO_COST, rssBytes: cost.rssBytes },
    merged: 0,
    edges: sliceEdgeColumns(edges, maxEdges, edges.n),
  };
  return [stored({ ...period, edges: sliceEdgeColumns(edges, 0, maxEdges) }), stored(rest)];
}

/** What is lost with a whole period that is given up. */
export function lossesOfDropping(period: StoredPeriod): Losses {
  const { edges } = period;
  let bytes = 0;
  for (let i = 0; i < edges.n; i++) bytes = sum(bytes, edges.bytesSent[i]! + edges.bytesReceived[i]!);
  return withDropped(period.losses, edges.n, bytes);
}

export function addLosses(a: Losses, b: Losses): Losses {
  return {
    mapFullConnections: sum(a.mapFullConnections, b.mapFullConnections),
    mapFullBytes: sum(a.mapFullBytes, b.mapFullBytes),
    storageFailed: sum(a.storageFailed, b.storageFailed),
    readFailed: sum(a.readFailed, b.readFailed),
    droppedEdges: sum(a.droppedEdges, b.droppedEdges),
    droppedBytes: sum(a.droppedBytes, b.droppedBytes),
  };
}

export function withLosses(period: StoredPeriod, losses: Losses): StoredPeriod {
  return { ...period, losses: addLosses(period.losses, losses) };
}

function withDropped(losses: Losses, edges: number, bytes: number): Losses {
  return addLosses(losses, { ...NO_LOSSES, droppedEdges: edges, droppedBytes: bytes });
}

/** Devices come and go; a day of them must not grow the report beyond what the scheduler takes. */
const MAX_UPLINKS = 64;

function mergeUplinks(older: readonly Uplink[], newer: readonly Uplink[]): readonly Uplink[] {
  const byName = new Map(newer.map((uplink) => [uplink.name, uplink]));
  for (const uplink of older) {
    const later = byName.get(uplink.name);
    if (later === undefined) {
      if (byName.size < MAX_UPLINKS) byName.set(uplink.name, uplink);
      continue;
    }
    const txBytes = sum(uplink.txBytes, later.txBytes);
    const rxBytes = sum(uplink.rxBytes, later.rxBytes);
    byName.set(uplink.name, { ...later, txBytes, rxBytes });
  }
  return [...byName.values()];
}

function sum(a: number, b: number): number {
  return Math.min(Number.MAX_SAFE_INTEGER, a + b);
}
