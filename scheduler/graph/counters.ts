import type { LOSS_NAMES } from '../../proto/report.ts';
import type { NodeState, RowCounts } from './agents.ts';
import { type EdgeTotals, type Level, rowNumbers, rowsOf, totalsOf } from './edge-views.ts';
import { type Family, familyOf, protocolOf } from './edge-code.ts';
import type { Endpoint } from './endpoint-table.ts';
import type { TrafficGraph } from './traffic-graph.ts';
import { CLIENT, CODE, INTS, SERVER } from './traffic-rows.ts';

/** What `netloom graph --counters -o json` prints: payload since the start, and what is not in it. */
export interface Counters {
  readonly by: Level;
  /** ISO times since when edges and losses are counted: with a store workload edges and losses go on over a restart. */
  readonly since: string;
  readonly lostSince: string;
  readonly edges: readonly CounterEdge[];
  readonly lost: LostCounts;
}

export interface CounterEdge extends EdgeTotals {
  readonly client: Endpoint;
  readonly server: Endpoint;
  readonly proto: string;
  readonly family: Family;
}

type NodeLosses = Readonly<Record<(typeof LOSS_NAMES)[number], number>>;
/** Rows that were not booked, by reason. Duplicate views are no loss: the server's node counted the same bytes. */
type RefusedRows = Readonly<
  Pick<
    RowCounts,
    | 'duplicateViews'
    | 'refusedForeign'
    | 'loopback'
    | 'malformed'
    | 'heldOverflow'
    | 'heldOverflowBytes'
    | 'overlapping'
    | 'overlappingBytes'
    | 'reconciledBytes'
  >
>;

export interface LostCounts extends NodeLosses, RefusedRows {
  /** Rows whose addresses were nobody's: booked, against Unknown. */
  readonly unresolvedLocal: number;
  readonly unresolvedRemote: number;
  /** Rows that wait for an agent or for an address to become known: not in the edges yet. */
  readonly heldRows: number;
  readonly heldBytes: number;
  readonly heldDiscarded: number;
  readonly missingReports: number;
  readonly duplicateReports: number;
  /** Pod edges dropped or never made for want of room; their traffic is in the workload edges. */
  readonly podEdgesDropped: number;
  readonly podEdgesRefused: number;
  /** Workload edges whose traffic is in Unknown "other" for want of room. */
  readonly workloadEdgesFolded: number;
  readonly outsidePeersFolded: number;
  readonly nodesRefused: number;
  readonly clockStepsBack: number;
  /** The same by node, where any of them is not zero. */
  readonly byNode: Readonly<Record<string, NodeLosses & RefusedRows>>;
}

export function counters(graph: TrafficGraph, by: Level): Counters {
  const rows = rowsOf(graph, by);
  const { endpoints } = graph.edges;
  const edges: CounterEdge[] = [];
  for (const row of rowNumbers(rows)) {
    const at = row * INTS;
    const code = rows.ints[at + CODE]!;
    edges.push({
      client: endpoints.at(rows.ints[at + CLIENT]!),
      server: endpoints.at(rows.ints[at + SERVER]!),
      proto: protocolOf(code),
      family: familyOf(code),
      ...totalsOf(rows, row),
    });
  }
  const { startedMs, countedSinceMs = startedMs } = graph;
  return {
    by,
    since: iso(by === 'pod' ? startedMs : countedSinceMs),
    lostSince: iso(countedSinceMs),
    edges,
    lost: lostCounts(graph),
  };
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}

export function lostCounts(graph: TrafficGraph): LostCounts {
  const { nodes, edges, clock } = graph;
  const all = nodes.all;
  const sum = (of: (node: NodeState) => number): number =>
    all.reduce((total, node) => total + of(node), of(nodes.retired));
  const byNode: Record<string, NodeLosses & RefusedRows> = {};
  for (const node of all) {
    const counts = nodeCounts((of) => of(node));
    if (Object.values(counts).some((count) => count !== 0)) byNode[node.name] = counts;
  }
  return {
    ...nodeCounts(sum),
    unresolvedLocal: sum((node) => node.rows.unresolvedLocal),
    unresolvedRemote: sum((node) => node.rows.unresolvedRemote),
    heldRows: graph.held.size,
    heldBytes: graph.heldBytes(),
    heldDiscarded: graph.heldDiscarded,
    missingReports: graph.missingReports,
    duplicateReports: graph.duplicateReports,
    podEdgesDropped: edges.podEdgesDropped,
    podEdgesRefused: edges.podEdgesRefused,
    workloadEdgesFolded: edges.workloadEdgesFolded,
    outsidePeersFolded: edges.outsidePeersFolded,
    nodesRefused: nodes.refused,
    clockStepsBack: clock.stepsBack,
    byNode,
  };
}

function nodeCounts(of: (count: (node: NodeState) => number) => number): NodeLosses & RefusedRows {
  return {
    mapFullConnections: of((node) => node.losses.mapFullConnections),
    mapFullBytes: of((node) => node.losses.mapFullBytes),
    storageFailed: of((node) => node.losses.storageFailed),
    readFailed: of((node) => node.losses.readFailed),
    droppedEdges: of((node) => node.losses.droppedEdges),
    droppedBytes: of((node) => node.losses.droppedBytes),
    duplicateViews: of((node) => node.rows.duplicateViews),
    refusedForeign: of((node) => node.rows.refusedForeign),
    loopback: of((node) => node.rows.loopback),
    malformed: of((node) => node.rows.malformed),
    heldOverflow: of((node) => node.rows.heldOverflow),
    heldOverflowBytes: of((node) => node.rows.heldOverflowBytes),
    overlapping: of((node) => node.rows.overlapping),
    overlappingBytes: of((node) => node.rows.overlappingBytes),
    reconciledBytes: of((node) => node.rows.reconciledBytes),
  };
}
