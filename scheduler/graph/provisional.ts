import type { EdgeColumns } from '../../proto/report.ts';
import { allocateEdgeColumns } from '../../proto/edge-columns.ts';
import type { NodeState, RowCounts } from './agents.ts';

/**
 * A node that had an agent falls silent; after the grace its clients' views are booked in its place. If the agent comes
 * back with a late report of the same time, those bytes would count twice: so what was booked from clients is
 * remembered here, and taken off the late rows.
 */
const COLUMNS = 6;
const MAX_EDGES = 10_000;

/** figures: bytesOut, bytesIn, segmentsOut, segmentsIn, retransmits, connections (client -> server is "out"). */
export function remember(node: NodeState, edgeKey: string, figures: ArrayLike<number>, untilMs: number): void {
  node.provisional ??= { untilMs, figures: new Map() };
  const { provisional } = node;
  provisional.untilMs = Math.max(provisional.untilMs, untilMs);
  let sums = provisional.figures.get(edgeKey);
  if (sums === undefined) {
    if (provisional.figures.size >= MAX_EDGES) return;
    sums = new Float64Array(COLUMNS);
    provisional.figures.set(edgeKey, sums);
  }
  for (let i = 0; i < COLUMNS; i++) sums[i]! += figures[i]!;
}

/** Row `r` of a server's late report without what was booked already, as a report of one row; undefined: nothing to take off. */
export function reconcile(
  node: NodeState,
  columns: EdgeColumns,
  r: number,
  edgeKey: string,
  counts: RowCounts,
): EdgeColumns | undefined {
  const sums = node.provisional?.figures.get(edgeKey);
  if (sums === undefined) return undefined;
  const rest = allocateEdgeColumns(1, 0, false);
  const take = (column: number, value: number): number => {
    const taken = Math.min(sums[column]!, value);
    sums[column]! -= taken;
    if (column < 2) counts.reconciledBytes += taken;
    return value - taken;
  };
  rest.bytesReceived[0] = take(0, columns.bytesReceived[r]!);
  rest.bytesSent[0] = take(1, columns.bytesSent[r]!);
  rest.segmentsReceived[0] = take(2, columns.segmentsReceived[r]!);
  rest.segmentsSent[0] = take(3, columns.segmentsSent[r]!);
  // Retransmits are each end's own: nothing to take off.
  rest.retransmits[0] = columns.retransmits[r]!;
  rest.connections[0] = take(5, columns.connections[r]!);
  rest.serverPort[0] = columns.serverPort[r]!;
  rest.minRttUs[0] = columns.minRttUs[r]!;
  rest.smoothedRttUs[0] = columns.smoothedRttUs[r]!;
  return rest;
}
