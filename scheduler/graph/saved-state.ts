import type { NodeState } from './agents.ts';
import type { Endpoint, EndpointClass } from './endpoint-table.ts';
import type { TrafficGraph } from './traffic-graph.ts';
import { CLIENT, CODE, EPOCH, FIGURES, INTS, PORTS, REPORTER, SERVER, VIEW } from './traffic-rows.ts';

/** Columns of `keys` of saved edges. */
export const KEY_CLIENT = 0;
export const KEY_SERVER = 1;
export const KEY_CODE = 2;
export const KEY_EPOCH = 3;
export const KEY_REPORTER = 4;
export const KEY_VIEW = 5;
export const KEYS = 6;

export interface SavedEndpoint extends Endpoint {
  readonly id: number;
  readonly cls: EndpointClass;
}

export interface SavedNode {
  readonly id: number;
  readonly name: string;
  readonly intervalMs: number;
  readonly version: string;
  /** Graph time. */
  readonly seenMs: number;
  readonly watermarkMs: number;
  /** Highest sequence by map identity (hex), oldest first. */
  readonly sequences: readonly (readonly [mapId: string, seq: number])[];
  readonly reports: number;
  readonly merged: number;
  readonly losses: NodeState['losses'];
  readonly rows: NodeState['rows'];
  readonly cost: NodeState['cost'];
}

/** Saved as it stands: values, not increments, so that saving twice does no harm. */
export interface SavedTotals {
  /** Graph time. */
  readonly clockMs: number;
  /** Graph time since when is counted; undefined: saved by a version that did not know. */
  readonly countedSinceMs: number | undefined;
  readonly missingReports: number;
  readonly duplicateReports: number;
  readonly heldDiscarded: number;
  readonly workloadEdgesFolded: number;
  readonly outsidePeersFolded: number;
}

export interface SavedEdges {
  readonly n: number;
  /** n * KEYS */
  readonly keys: Int32Array;
  /** n * FIGURES, as in TrafficRows */
  readonly figures: Float64Array;
  /** n * PORTS */
  readonly ports: Uint16Array;
}

/** What changed since the save before; one transaction. */
export interface GraphDelta {
  readonly endpoints: readonly SavedEndpoint[];
  readonly removedEndpoints: readonly number[];
  readonly edges: SavedEdges;
  /** client, server, code of each */
  readonly removedEdges: Int32Array;
  readonly nodes: readonly SavedNode[];
  readonly removedNodes: readonly number[];
  readonly totals: SavedTotals;
}

/** All that was saved. */
export type SavedState = Omit<GraphDelta, 'removedEndpoints' | 'removedEdges' | 'removedNodes'>;

/** undefined: nothing changed. */
export function takeDelta(graph: TrafficGraph): GraphDelta | undefined {
  const { edges, nodes } = graph;
  const { workloads, endpoints } = edges;
  const { dirty, removed } = edges.takeChanges();
  const removedEndpoints = graph.takeForgottenEndpoints();
  const removedNodes = graph.takeRetiredNodes();
  const changedNodes = nodes.all.filter((node) => node.dirty);
  const n = dirty.length;
  if (n + removed.length + removedEndpoints.length + changedNodes.length + removedNodes.length === 0) return undefined;
  const keys = new Int32Array(n * KEYS);
  const figures = new Float64Array(n * FIGURES);
  const ports = new Uint16Array(n * PORTS);
  const added: SavedEndpoint[] = [];
  const note = (id: number): number => {
    if (!endpoints.testAndSetSaved(id))
      added.push({ id, cls: endpoints.classes[id] as EndpointClass, ...endpoints.at(id) });
    return id;
  };
  for (const [i, row] of dirty.entries()) {
    const at = row * INTS;
    const to = i * KEYS;
    keys[to + KEY_CLIENT] = note(workloads.ints[at + CLIENT]!);
    keys[to + KEY_SERVER] = note(workloads.ints[at + SERVER]!);
    keys[to + KEY_CODE] = workloads.ints[at + CODE]!;
    keys[to + KEY_EPOCH] = workloads.ints[at + EPOCH]!;
    keys[to + KEY_REPORTER] = workloads.ints[at + REPORTER]!;
    keys[to + KEY_VIEW] = workloads.ints[at + VIEW]!;
    figures.set(workloads.figures.subarray(row * FIGURES, (row + 1) * FIGURES), i * FIGURES);
    ports.set(workloads.ports.subarray(row * PORTS, (row + 1) * PORTS), i * PORTS);
  }
  const savedNodes = changedNodes.map((node) => savedNode(graph, node));
  for (const node of changedNodes) node.dirty = false;
  return {
    endpoints: added,
    removedEndpoints,
    edges: { n, keys, figures, ports },
    removedEdges: Int32Array.from(removed),
    nodes: savedNodes,
    removedNodes,
    totals: {
      clockMs: graph.clock.lastMs,
      countedSinceMs: graph.countedSinceMs,
      missingReports: graph.missingReports,
      duplicateReports: graph.duplicateReports,
      heldDiscarded: graph.heldDiscarded,
      workloadEdgesFolded: edges.workloadEdgesFolded,
      outsidePeersFolded: edges.outsidePeersFolded,
    },
  };
}

/** What is needed of a delta to take it back, once its arrays are on their way to another thread. */
export interface DeltaKeys {
  readonly endpoints: readonly number[];
  readonly removedEndpoints: readonly number[];
  readonly edges: Int32Array;
  readonly removedEdges: Int32Array;
  readonly nodes: readonly number[];
  readonly removedNodes: readonly number[];
}

export function keysOf(delta: GraphDelta): DeltaKeys {
  const edges = new Int32Array(delta.edges.n * 3);
  for (let i = 0; i < delta.edges.n; i++) {
    edges.set(delta.edges.keys.subarray(i * KEYS + KEY_CLIENT, i * KEYS + KEY_CODE + 1), i * 3);
  }
  return {
    endpoints: delta.endpoints.map((endpoint) => endpoint.id),
    removedEndpoints: delta.removedEndpoints,
    edges,
    removedEdges: delta.removedEdges.slice(),
    nodes: delta.nodes.map((node) => node.id),
    removedNodes: delta.removedNodes,
  };
}

/** The save failed: all of it belongs to the next delta. */
export function returnDelta(graph: TrafficGraph, keys: DeltaKeys): void {
  for (const id of keys.endpoints) graph.edges.endpoints.clearSaved(id);
  graph.returnForgotten(keys.removedEndpoints, keys.removedNodes);
  graph.edges.returnChanges(keys.edges, keys.removedEdges);
  for (const id of keys.nodes) {
    const node = graph.nodes.at(id);
    if (node !== undefined) node.dirty = true;
  }
}

/** Puts saved state into a new graph. Rows that refer to what was not saved are left out; returns how many. */
export function restore(graph: TrafficGraph, state: SavedState): number {
  const { edges, nodes } = graph;
  let left = 0;
  nodes.restore(state.nodes);
  for (const saved of state.nodes) {
    const node = nodes.find(saved.name);
    if (node?.id !== saved.id) continue;
    node.heard = true;
    node.intervalMs = saved.intervalMs;
    node.version = saved.version;
    node.seenMs = saved.seenMs;
    node.watermarkMs = saved.watermarkMs;
    node.reports = saved.reports;
    node.merged = saved.merged;
    Object.assign(node.losses, saved.losses);
    Object.assign(node.rows, saved.rows);
    Object.assign(node.cost, saved.cost);
    graph.sequences.set(saved.name, new Map(saved.sequences));
  }
  const known = new Set<number>([0, 1]);
  for (const { id, cls, kind, namespace, name } of [...state.endpoints].sort((a, b) => a.id - b.id)) {
    edges.endpoints.restore(id, cls, { kind, namespace, name });
    known.add(id);
  }
  const { n, keys, figures, ports } = state.edges;
  for (let i = 0; i < n; i++) {
    const key = keys.subarray(i * KEYS, (i + 1) * KEYS);
    if (!known.has(key[KEY_CLIENT]!) || !known.has(key[KEY_SERVER]!)) {
      left++;
      continue;
    }
    edges.workloads.makeRoom(1);
    const row = edges.restore(
      key[KEY_CLIENT]!,
      key[KEY_SERVER]!,
      key[KEY_CODE]!,
      key[KEY_EPOCH]!,
      key[KEY_REPORTER]!,
      key[KEY_VIEW]!,
    );
    edges.workloads.figures.set(figures.subarray(i * FIGURES, (i + 1) * FIGURES), row * FIGURES);
    edges.workloads.ports.set(ports.subarray(i * PORTS, (i + 1) * PORTS), row * PORTS);
  }
  const { totals } = state;
  graph.clock.advanceTo(totals.clockMs);
  graph.countedSinceMs = totals.countedSinceMs;
  graph.missingReports = totals.missingReports;
  graph.duplicateReports = totals.duplicateReports;
  graph.heldDiscarded = totals.heldDiscarded;
  edges.workloadEdgesFolded = totals.workloadEdgesFolded;
  edges.outsidePeersFolded = totals.outsidePeersFolded;
  graph.version++;
  return left;
}

function savedNode(graph: TrafficGraph, node: NodeState): SavedNode {
  return {
    id: node.id,
    name: node.name,
    intervalMs: node.intervalMs,
    version: node.version,
    seenMs: node.seenMs,
    watermarkMs: node.watermarkMs,
    sequences: [...(graph.sequences.get(node.name) ?? [])],
    reports: node.reports,
    merged: node.merged,
    losses: { ...node.losses },
    rows: { ...node.rows },
    cost: { ...node.cost },
  };
}
