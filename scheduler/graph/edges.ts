import type { EdgeColumns } from '../../proto/report.ts';
import {
  EPOCH_MS,
  LONG_HALF_LIFE_MS,
  SHORT_HALF_LIFE_MS,
  epochOf,
  estimate,
  longShift,
  shortShift,
  weightOf,
  weightPerByte,
} from './decay.ts';
import { EXTERNAL_OTHER, EndpointTable, UNKNOWN_OTHER } from './endpoint-table.ts';
import {
  BYTES_IN,
  BYTES_OUT,
  CLIENT,
  CODE,
  CONNECTIONS,
  EPOCH,
  FIGURES,
  FIRST_MS,
  INTS,
  LAST_MS,
  LONG_GAP,
  LONG_IN,
  LONG_OUT,
  MIN_RTT_US,
  PARENT,
  PORTS,
  REPORTER,
  RETRANSMITS,
  SEGMENTS_IN,
  SEGMENTS_OUT,
  SERVER,
  SHORT_GAP,
  SHORT_IN,
  SHORT_OUT,
  SMOOTHED_RTT_US,
  STATE,
  STATE_DIRTY,
  STATE_USED,
  TrafficRows,
  VIEW,
} from './traffic-rows.ts';

export const VIEW_SERVER = 1;
export const VIEW_CLIENT = 2;

export interface EdgeLimits {
  readonly maxEndpoints: number;
  readonly maxWorkloadEdges: number;
  readonly maxPodEdges: number;
  /** External and unknown peers that one workload may have by name; further ones are folded into External "other". */
  readonly maxOutsidePeers: number;
}

/** Graph time that a delivery covers, and what one byte of it weighs. */
export interface Period {
  readonly startMs: number;
  readonly endMs: number;
  readonly epoch: number;
  readonly shortPerByte: number;
  readonly longPerByte: number;
}

export function periodOf(startMs: number, endMs: number): Period {
  const epoch = epochOf(endMs);
  return {
    startMs,
    endMs,
    epoch,
    shortPerByte: weightPerByte(SHORT_HALF_LIFE_MS, epoch, startMs, endMs),
    longPerByte: weightPerByte(LONG_HALF_LIFE_MS, epoch, startMs, endMs),
  };
}

/** 16 doubles as in TrafficRows, at the landmark of `epoch`, and a server port. */
export interface Gathered {
  readonly figures: Float64Array;
  readonly epoch: number;
  readonly port: number;
}

/** Bytes per second. */
export interface Rates {
  readonly out: number;
  readonly in: number;
}

/** Rows beyond the fold's own, so that there is always a place to fold into. */
const RESERVE = 64;
/** Share of a full table that is dropped at once: sorting by age costs as much for one. */
const EVICT_SHARE = 1 / 50;
/** Not booked for so long, an edge is idle. */
const POD_IDLE_MS = 60_000;
const WORKLOAD_IDLE_MS = 10 * 60_000;
/** Looking for idle edges costs a pass over the table. */
const SEARCH_PAUSE_MS = 5_000;

/**
 * The edges of both levels. Workload edges keep every byte: what must make room is folded into one edge from Unknown
 * "other" to itself. Pod edges below are dropped, oldest first. Both are counted.
 */
export class Edges {
  readonly endpoints: EndpointTable;
  readonly workloads: TrafficRows;
  readonly pods: TrafficRows;
  /** What locate() found: rows, podRow -1 where there is no room. */
  podRow = -1;
  workloadRow = -1;
  podEdgesDropped = 0;
  podEdgesRefused = 0;
  workloadEdgesFolded = 0;
  /** Bookings that went to External "other" instead of a peer of their own. */
  outsidePeersFolded = 0;
  #dirty: number[] = [];
  /** Client, server, code of saved edges that were removed. */
  #removed: number[] = [];
  #podsSearchedMs = Number.NEGATIVE_INFINITY;
  #workloadsSearchedMs = Number.NEGATIVE_INFINITY;
  #firstFoldCode: number | undefined;
  readonly #limits: EdgeLimits;

  constructor(limits: EdgeLimits) {
    this.#limits = limits;
    this.endpoints = new EndpointTable(limits.maxEndpoints);
    this.workloads = new TrafficRows(limits.maxWorkloadEdges + RESERVE);
    this.pods = new TrafficRows(limits.maxPodEdges);
  }

  /**
   * Makes room for a report of `rows` edges: call before booking it, so that nothing moves while it is booked. Only
   * edges that were idle for a while make room; where all are busy, new ones are refused (pods) or folded (workloads),
   * for dropping what the next report brings again would be work without end.
   */
  makeRoom(rows: number, nowMs: number): void {
    const { maxPodEdges, maxWorkloadEdges } = this.#limits;
    const overPods = this.pods.size + rows - maxPodEdges;
    if (overPods > 0 && nowMs - this.#podsSearchedMs >= SEARCH_PAUSE_MS) {
      this.#podsSearchedMs = nowMs;
      const idle = this.#idle(this.pods, nowMs - POD_IDLE_MS);
      const drop = this.pods.oldest(Math.max(overPods, Math.ceil(maxPodEdges * EVICT_SHARE)), idle);
      for (const row of drop) this.#removePod(row);
      this.podEdgesDropped += drop.length;
    }
    const overWorkloads = this.workloads.size + rows - maxWorkloadEdges;
    if (overWorkloads > 0 && nowMs - this.#workloadsSearchedMs >= SEARCH_PAUSE_MS) {
      this.#workloadsSearchedMs = nowMs;
      const count = Math.max(overWorkloads, Math.ceil(maxWorkloadEdges * EVICT_SHARE));
      this.#fold(count, this.#idle(this.workloads, nowMs - WORKLOAD_IDLE_MS));
    }
    this.pods.makeRoom(rows);
    this.workloads.makeRoom(rows + RESERVE);
  }

  #idle(rows: TrafficRows, sinceMs: number): (row: number) => boolean {
    return (row) => rows.figures[row * FIGURES + LAST_MS]! <= sinceMs;
  }

  /** Finds or makes the rows of an edge between two endpoints; they stand in podRow and workloadRow. */
  locate(client: number, server: number, code: number): void {
    const pod = this.pods.find(client, server, code);
    if (pod >= 0) {
      this.podRow = pod;
      this.workloadRow = this.pods.ints[pod * INTS + PARENT]!;
      return;
    }
    this.#make(client, server, code);
  }

  /** Books row `r` of a report. `fromServer`: its local end is the server. */
  book(
    columns: EdgeColumns,
    r: number,
    client: number,
    server: number,
    code: number,
    fromServer: boolean,
    period: Period,
    reporter: number,
  ): void {
    this.locate(client, server, code);
    if (this.podRow >= 0) add(this.pods, this.podRow, columns, r, fromServer, period, reporter);
    add(this.workloads, this.workloadRow, columns, r, fromServer, period, reporter);
    this.#touch(this.workloadRow);
  }

  /** Books figures that were gathered elsewhere. */
  merge(from: Gathered, client: number, server: number, code: number, fromServer: boolean, reporter: number): void {
    this.pods.makeRoom(1);
    this.workloads.makeRoom(1 + RESERVE);
    this.locate(client, server, code);
    const view = fromServer ? VIEW_SERVER : VIEW_CLIENT;
    if (this.podRow >= 0) mergeInto(this.pods, this.podRow, from.figures, from.epoch, from.port, reporter, view);
    mergeInto(this.workloads, this.workloadRow, from.figures, from.epoch, from.port, reporter, view);
    this.#touch(this.workloadRow);
  }

  /** Nobody observed [fromMs, toMs] on the node of this reporter: that time says nothing of the edges it reported last. */
  gap(reporter: number, fromMs: number, toMs: number): void {
    const epoch = epochOf(toMs);
    const short = weightOf(SHORT_HALF_LIFE_MS, epoch, fromMs, toMs);
    const long = weightOf(LONG_HALF_LIFE_MS, epoch, fromMs, toMs);
    for (const rows of [this.workloads, this.pods]) {
      for (let row = 0; row < rows.limit; row++) {
        if (rows.ints[row * INTS + STATE] === 0 || rows.ints[row * INTS + REPORTER] !== reporter) continue;
        const behind = rebase(rows, row, epoch);
        rows.figures[row * FIGURES + SHORT_GAP]! += short * shortShift(behind);
        rows.figures[row * FIGURES + LONG_GAP]! += long * longShift(behind);
        if (rows === this.workloads) this.#touch(row);
      }
    }
  }

  /** Ids of these reporters are going to mean others. What they told stands still from now on. */
  forgetReporters(ids: ReadonlySet<number>): void {
    for (const rows of [this.workloads, this.pods]) {
      for (let row = 0; row < rows.limit; row++) {
        if (rows.ints[row * INTS + STATE] === 0 || !ids.has(rows.ints[row * INTS + REPORTER]!)) continue;
        rows.ints[row * INTS + REPORTER] = -1;
        if (rows === this.workloads) this.#touch(row);
      }
    }
  }

  shortRates(rows: TrafficRows, row: number, watermarkMs: number): Rates {
    return rates(rows, row, SHORT_HALF_LIFE_MS, SHORT_OUT, SHORT_IN, SHORT_GAP, watermarkMs);
  }

  longRates(rows: TrafficRows, row: number, watermarkMs: number): Rates {
    return rates(rows, row, LONG_HALF_LIFE_MS, LONG_OUT, LONG_IN, LONG_GAP, watermarkMs);
  }

  /** Rows of workload edges that changed since the last call, and the keys of those that went. */
  takeChanges(): { readonly dirty: number[]; readonly removed: number[] } {
    const { ints } = this.workloads;
    const dirty = this.#dirty.filter((row) => (ints[row * INTS + STATE]! & STATE_DIRTY) !== 0);
    for (const row of dirty) ints[row * INTS + STATE] = STATE_USED;
    const removed = this.#removed;
    this.#dirty = [];
    this.#removed = [];
    return { dirty, removed };
  }

  /** A save failed: its rows count as changed again. */
  returnChanges(keys: Int32Array, removed: Int32Array): void {
    for (let i = 0; i + 2 < keys.length; i += 3) {
      const row = this.workloads.find(keys[i]!, keys[i + 1]!, keys[i + 2]!);
      if (row >= 0) this.#touch(row);
    }
    for (let i = 0; i + 2 < removed.length; i += 3) {
      const key = [removed[i]!, removed[i + 1]!, removed[i + 2]!] as const;
      if (this.workloads.find(...key) < 0) this.#removed.push(...key);
    }
  }

  /** Puts back a saved workload edge. */
  restore(client: number, server: number, code: number, epoch: number, reporter: number, view: number): number {
    const row = this.#insertWorkload(client, server, code);
    const at = row * INTS;
    this.workloads.ints[at + EPOCH] = epoch;
    this.workloads.ints[at + REPORTER] = reporter;
    this.workloads.ints[at + VIEW] = view;
    return row;
  }

  #touch(row: number): void {
    const at = row * INTS + STATE;
    if ((this.workloads.ints[at]! & STATE_DIRTY) !== 0) return;
    this.workloads.ints[at]! |= STATE_DIRTY;
    this.#dirty.push(row);
  }

  #make(client: number, server: number, code: number): void {
    const { endpoints, workloads, pods } = this;
    let c = client;
    let s = server;
    let row = workloads.find(endpoints.parents[c]!, endpoints.parents[s]!, code);
    if (row < 0) {
      if (this.#beyondPeers(c, s)) s = EXTERNAL_OTHER;
      else if (this.#beyondPeers(s, c)) c = EXTERNAL_OTHER;
      if (c !== client || s !== server) {
        this.outsidePeersFolded++;
        const pod = pods.find(c, s, code);
        if (pod >= 0) {
          this.podRow = pod;
          this.workloadRow = pods.ints[pod * INTS + PARENT]!;
          return;
        }
        row = workloads.find(endpoints.parents[c]!, endpoints.parents[s]!, code);
      }
      if (row < 0) row = this.#insertWorkload(endpoints.parents[c]!, endpoints.parents[s]!, code);
    }
    this.workloadRow = row;
    this.podRow = pods.insert(c, s, code);
    if (this.podRow < 0) {
      this.podEdgesRefused++;
      return;
    }
    pods.ints[this.podRow * INTS + PARENT] = row;
    endpoints.retain(c);
    endpoints.retain(s);
  }

  #beyondPeers(own: number, peer: number): boolean {
    const { endpoints } = this;
    if (!endpoints.isOutside(peer) || endpoints.isOutside(own) || peer === EXTERNAL_OTHER) return false;
    return endpoints.outsidePeers[endpoints.parents[own]!]! >= this.#limits.maxOutsidePeers;
  }

  #insertWorkload(client: number, server: number, code: number): number {
    // The reserve is for edges to fold into.
    const full = this.workloads.size >= this.#limits.maxWorkloadEdges;
    const row = full ? -1 : this.workloads.insert(client, server, code);
    if (row < 0) {
      this.workloadEdgesFolded++;
      return this.#foldRow(code);
    }
    this.endpoints.retain(client);
    this.endpoints.retain(server);
    this.#countOutside(client, server, 1);
    return row;
  }

  #countOutside(client: number, server: number, step: number): void {
    if (this.endpoints.isOutside(server)) this.endpoints.outsidePeers[client]! += step;
    if (this.endpoints.isOutside(client)) this.endpoints.outsidePeers[server]! += step;
  }

  /** The edge that keeps the totals of those folded away; of the first protocol met where even the reserve is used up. */
  #foldRow(code: number): number {
    for (const wanted of [code, this.#firstFoldCode ?? code]) {
      const known = this.workloads.find(UNKNOWN_OTHER, UNKNOWN_OTHER, wanted);
      const row = known >= 0 ? known : this.workloads.insert(UNKNOWN_OTHER, UNKNOWN_OTHER, wanted);
      if (row < 0) continue;
      this.#firstFoldCode ??= wanted;
      return row;
    }
    throw new RangeError('no row left to fold into');
  }

  #fold(count: number, idle: (row: number) => boolean): void {
    const { workloads, pods } = this;
    const { ints } = workloads;
    const isFold = (row: number): boolean =>
      workloads.ints[row * INTS + CLIENT] === UNKNOWN_OTHER && workloads.ints[row * INTS + SERVER] === UNKNOWN_OTHER;
    const gone = new Set(workloads.oldest(count, (row) => idle(row) && !isFold(row)));
    for (let row = 0; row < pods.limit; row++) {
      if (pods.ints[row * INTS + STATE] === 0 || !gone.has(pods.ints[row * INTS + PARENT]!)) continue;
      this.#removePod(row);
      this.podEdgesDropped++;
    }
    for (const row of gone) {
      const at = row * INTS;
      const key = [ints[at + CLIENT]!, ints[at + SERVER]!, ints[at + CODE]!] as const;
      const figures = workloads.figures.slice(row * FIGURES, (row + 1) * FIGURES);
      const [epoch, reporter, view] = [ints[at + EPOCH]!, ints[at + REPORTER]!, ints[at + VIEW]!];
      workloads.remove(row);
      this.endpoints.release(key[0]);
      this.endpoints.release(key[1]);
      this.#countOutside(key[0], key[1], -1);
      this.#removed.push(...key);
      const into = this.#foldRow(key[2]);
      mergeInto(workloads, into, figures, epoch, 0, reporter, view);
      this.#touch(into);
      this.workloadEdgesFolded++;
    }
  }

  #removePod(row: number): void {
    this.endpoints.release(this.pods.ints[row * INTS + CLIENT]!);
    this.endpoints.release(this.pods.ints[row * INTS + SERVER]!);
    this.pods.remove(row);
  }
}

/** Moves a row's sums to the landmark of `epoch` if that is later; returns how many epochs the row is ahead of it. */
function rebase(rows: TrafficRows, row: number, epoch: number): number {
  const at = row * INTS + EPOCH;
  const own = rows.ints[at]!;
  if (own === epoch) return 0;
  if (own > epoch) return own - epoch;
  rows.ints[at] = epoch;
  const { figures } = rows;
  const f = row * FIGURES;
  const short = shortShift(epoch - own);
  const long = longShift(epoch - own);
  figures[f + SHORT_OUT]! *= short;
  figures[f + SHORT_IN]! *= short;
  figures[f + SHORT_GAP]! *= short;
  figures[f + LONG_OUT]! *= long;
  figures[f + LONG_IN]! *= long;
  figures[f + LONG_GAP]! *= long;
  return 0;
}

function add(
  rows: TrafficRows,
  row: number,
  columns: EdgeColumns,
  r: number,
  fromServer: boolean,
  period: Period,
  reporter: number,
): void {
  const { figures, ints } = rows;
  const f = row * FIGURES;
  const at = row * INTS;
  const sent = columns.bytesSent[r]!;
  const received = columns.bytesReceived[r]!;
  const out = fromServer ? received : sent;
  const into = fromServer ? sent : received;
  let short = period.shortPerByte;
  let long = period.longPerByte;
  if (ints[at + VIEW] === 0) {
    ints[at + EPOCH] = period.epoch;
    figures[f + FIRST_MS] = period.startMs;
    figures[f + LAST_MS] = period.endMs;
    ints[at + REPORTER] = reporter;
  } else {
    if (ints[at + EPOCH] !== period.epoch) {
      const ahead = rebase(rows, row, period.epoch);
      short *= shortShift(ahead);
      long *= longShift(ahead);
    }
    if (period.startMs < figures[f + FIRST_MS]!) figures[f + FIRST_MS] = period.startMs;
    noteLast(rows, row, period.endMs, reporter);
  }
  ints[at + VIEW] = fromServer ? VIEW_SERVER : VIEW_CLIENT;
  figures[f + BYTES_OUT]! += out;
  figures[f + BYTES_IN]! += into;
  figures[f + SEGMENTS_OUT]! += fromServer ? columns.segmentsReceived[r]! : columns.segmentsSent[r]!;
  figures[f + SEGMENTS_IN]! += fromServer ? columns.segmentsSent[r]! : columns.segmentsReceived[r]!;
  figures[f + RETRANSMITS]! += columns.retransmits[r]!;
  figures[f + CONNECTIONS]! += columns.connections[r]!;
  figures[f + SHORT_OUT]! += out * short;
  figures[f + SHORT_IN]! += into * short;
  figures[f + LONG_OUT]! += out * long;
  figures[f + LONG_IN]! += into * long;
  noteRtt(figures, f, columns.minRttUs[r]!, columns.smoothedRttUs[r]!);
  const port = columns.serverPort[r]!;
  if (rows.ports[row * PORTS] !== port) notePort(rows, row, port);
}

function mergeInto(
  rows: TrafficRows,
  row: number,
  from: Float64Array,
  epoch: number,
  port: number,
  reporter: number,
  view: number,
): void {
  const { figures, ints } = rows;
  const f = row * FIGURES;
  if (ints[row * INTS + VIEW] === 0) {
    ints[row * INTS + EPOCH] = epoch;
    figures[f + FIRST_MS] = from[FIRST_MS]!;
    figures[f + LAST_MS] = from[LAST_MS]!;
    ints[row * INTS + REPORTER] = reporter;
  } else {
    figures[f + FIRST_MS] = Math.min(figures[f + FIRST_MS]!, from[FIRST_MS]!);
    noteLast(rows, row, from[LAST_MS]!, reporter);
  }
  ints[row * INTS + VIEW] = view;
  const ahead = rebase(rows, row, epoch);
  const short = shortShift(ahead);
  const long = longShift(ahead);
  for (let i = BYTES_OUT; i <= CONNECTIONS; i++) figures[f + i]! += from[i]!;
  figures[f + SHORT_OUT]! += from[SHORT_OUT]! * short;
  figures[f + SHORT_IN]! += from[SHORT_IN]! * short;
  figures[f + LONG_OUT]! += from[LONG_OUT]! * long;
  figures[f + LONG_IN]! += from[LONG_IN]! * long;
  noteRtt(figures, f, from[MIN_RTT_US]!, from[SMOOTHED_RTT_US]!);
  notePort(rows, row, port);
}

/** The reporter whose period ended last; of several the smallest id, so that the order of arrival does not matter. */
function noteLast(rows: TrafficRows, row: number, endMs: number, reporter: number): void {
  const last = rows.figures[row * FIGURES + LAST_MS]!;
  const known = rows.ints[row * INTS + REPORTER]!;
  if (endMs > last) {
    rows.figures[row * FIGURES + LAST_MS] = endMs;
    rows.ints[row * INTS + REPORTER] = reporter;
  } else if (endMs === last && (known < 0 || reporter < known)) {
    rows.ints[row * INTS + REPORTER] = reporter;
  }
}

function noteRtt(figures: Float64Array, f: number, minUs: number, smoothedUs: number): void {
  if (minUs > 0) {
    const known = figures[f + MIN_RTT_US]!;
    if (known === 0 || minUs < known) figures[f + MIN_RTT_US] = minUs;
  }
  if (smoothedUs > 0) figures[f + SMOOTHED_RTT_US] = smoothedUs;
}

function notePort(rows: TrafficRows, row: number, port: number): void {
  if (port === 0) return;
  const start = row * PORTS;
  for (let i = start; i < start + PORTS; i++) {
    if (rows.ports[i] === port) return;
    if (rows.ports[i] === 0) {
      rows.ports[i] = port;
      return;
    }
  }
}

function rates(
  rows: TrafficRows,
  row: number,
  halfLifeMs: number,
  out: number,
  into: number,
  gap: number,
  watermarkMs: number,
): Rates {
  const { figures } = rows;
  const f = row * FIGURES;
  const epoch = rows.ints[row * INTS + EPOCH]!;
  const endMs = Math.max(watermarkMs, figures[f + LAST_MS]!);
  // Far behind the watermark weights overflow to Infinity, where the estimate is 0 as it should be.
  const args = [figures[f + gap]!, figures[f + FIRST_MS]!, Math.min(endMs, (epoch + 1_000) * EPOCH_MS)] as const;
  return {
    out: estimate(halfLifeMs, epoch, figures[f + out]!, ...args),
    in: estimate(halfLifeMs, epoch, figures[f + into]!, ...args),
  };
}
