import { type Confidence, type Observation, confidenceOf, confidenceValue } from './confidence.ts';
import { type Family, familyOf, protocolOf } from './edge-code.ts';
import type { Rates } from './edges.ts';
import { VIEW_CLIENT } from './edges.ts';
import type { Endpoint } from './endpoint-table.ts';
import type { TrafficGraph } from './traffic-graph.ts';
import {
  BYTES_IN,
  BYTES_OUT,
  CLIENT,
  CODE,
  CONNECTIONS,
  FIGURES,
  FIRST_MS,
  INTS,
  LAST_MS,
  MIN_RTT_US,
  PORTS,
  REPORTER,
  RETRANSMITS,
  SEGMENTS_IN,
  SEGMENTS_OUT,
  SERVER,
  SMOOTHED_RTT_US,
  STATE,
  type TrafficRows,
  VIEW,
} from './traffic-rows.ts';

export type Level = 'workload' | 'pod';
export type View = 'server' | 'client' | 'file';

/** Payload and counts since the graph's start; "out" is client -> server. */
export interface EdgeTotals {
  readonly bytesOut: number;
  readonly bytesIn: number;
  readonly segmentsOut: number;
  readonly segmentsIn: number;
  readonly retransmits: number;
  readonly connections: number;
}

/** An edge as people and programs outside see it. */
export interface EdgeView extends EdgeTotals {
  readonly client: Endpoint;
  readonly server: Endpoint;
  /** "TCP", "UDP"; "" for edges of a traffic file. */
  readonly proto: string;
  readonly family: Family | '';
  /** Up to 8 ports of the server, in the order they were seen. */
  readonly ports: readonly number[];
  /** Bytes per second, half-life 10 min. */
  readonly short: Rates;
  /** Bytes per second, half-life 24 h. */
  readonly long: Rates;
  /** Microseconds; undefined: not known. */
  readonly minRttUs: number | undefined;
  readonly smoothedRttUs: number | undefined;
  /** Wall-clock time; undefined: from a file. */
  readonly firstMs: number | undefined;
  readonly lastMs: number | undefined;
  readonly view: View;
  /** Node whose agent reported it last. */
  readonly reporter: string | undefined;
  readonly confidence: number;
  readonly reasons: readonly string[];
}

export function rowsOf(graph: TrafficGraph, level: Level): TrafficRows {
  return level === 'workload' ? graph.edges.workloads : graph.edges.pods;
}

/** Numbers of the rows in use. */
export function* rowNumbers(rows: TrafficRows): Generator<number> {
  for (let row = 0; row < rows.limit; row++) if (rows.ints[row * INTS + STATE] !== 0) yield row;
}

export function observationOf(graph: TrafficGraph, rows: TrafficRows, row: number): Observation {
  const reporter = graph.nodes.at(rows.ints[row * INTS + REPORTER]!);
  const watermarkMs = Math.max(
    reporter?.watermarkMs ?? Number.NEGATIVE_INFINITY,
    rows.figures[row * FIGURES + LAST_MS]!,
  );
  return {
    observedMs: watermarkMs - rows.figures[row * FIGURES + FIRST_MS]!,
    intervalMs: reporter?.intervalMs ?? 10_000,
    lossShare: reporter?.lossShare ?? 0,
    ageMs: graph.clock.lastMs - watermarkMs,
    view: rows.ints[row * INTS + VIEW] === VIEW_CLIENT ? 'client' : 'server',
  };
}

export function confidenceOfRow(graph: TrafficGraph, rows: TrafficRows, row: number): number {
  return confidenceValue(observationOf(graph, rows, row));
}

export function totalsOf(rows: TrafficRows, row: number): EdgeTotals {
  const f = row * FIGURES;
  const { figures } = rows;
  return {
    bytesOut: figures[f + BYTES_OUT]!,
    bytesIn: figures[f + BYTES_IN]!,
    segmentsOut: figures[f + SEGMENTS_OUT]!,
    segmentsIn: figures[f + SEGMENTS_IN]!,
    retransmits: figures[f + RETRANSMITS]!,
    connections: figures[f + CONNECTIONS]!,
  };
}

export function edgeView(graph: TrafficGraph, level: Level, row: number): EdgeView {
  const rows = rowsOf(graph, level);
  const { ints, figures } = rows;
  const f = row * FIGURES;
  const at = row * INTS;
  const { edges, nodes, clock } = graph;
  const watermarkMs = graph.watermarkOf(ints[at + REPORTER]!);
  const observation = observationOf(graph, rows, row);
  const confidence: Confidence = confidenceOf(observation);
  const known = (us: number): number | undefined => (us > 0 ? us : undefined);
  return {
    client: edges.endpoints.at(ints[at + CLIENT]!),
    server: edges.endpoints.at(ints[at + SERVER]!),
    proto: protocolOf(ints[at + CODE]!),
    family: familyOf(ints[at + CODE]!),
    ports: [...rows.ports.subarray(row * PORTS, (row + 1) * PORTS)].filter((port) => port !== 0),
    ...totalsOf(rows, row),
    short: edges.shortRates(rows, row, watermarkMs),
    long: edges.longRates(rows, row, watermarkMs),
    minRttUs: known(figures[f + MIN_RTT_US]!),
    smoothedRttUs: known(figures[f + SMOOTHED_RTT_US]!),
    firstMs: figures[f + FIRST_MS]! - clock.skewMs,
    lastMs: figures[f + LAST_MS]! - clock.skewMs,
    view: observation.view,
    reporter: nodes.at(ints[at + REPORTER]!)?.name,
    confidence: confidence.value,
    reasons: confidence.reasons,
  };
}

/** Measured edges of a level, and below 'workload' those of the traffic file. A generator: a caller may stop or pause. */
export function* edgeViews(graph: TrafficGraph, level: Level): Generator<EdgeView> {
  for (const row of rowNumbers(rowsOf(graph, level))) yield edgeView(graph, level, row);
  if (level === 'pod') return;
  for (const edge of graph.file.edges()) {
    const rates = { out: edge.bytesPerSecondOut, in: edge.bytesPerSecondIn };
    yield {
      client: edge.client,
      server: edge.server,
      proto: '',
      family: '',
      ports: [],
      bytesOut: 0,
      bytesIn: 0,
      segmentsOut: 0,
      segmentsIn: 0,
      retransmits: 0,
      connections: 0,
      short: rates,
      long: rates,
      minRttUs: undefined,
      smoothedRttUs: undefined,
      firstMs: undefined,
      lastMs: undefined,
      view: 'file',
      reporter: undefined,
      confidence: 1,
      reasons: [],
    };
  }
}
