import {
  LOSS_NAMES,
  NO_COST,
  NO_LOSSES,
  type Cost,
  type Losses,
  type Report,
  type SpeedSource,
} from '../../proto/report.ts';
import { SHORT_HALF_LIFE_MS, epochOf, estimate, shortShift, weightPerByte } from './decay.ts';

/** A node covers its pods' traffic for this many intervals after its agent's last report. */
export const COVERED_INTERVALS = 3;

/** Rows of a node's reports by what became of them, since the start. */
export interface RowCounts {
  booked: number;
  /** Client's view of what a covered server's node reports itself. */
  duplicateViews: number;
  /** Local address belongs to a pod or node elsewhere: an agent may report only for its own node. */
  refusedForeign: number;
  /** Both ends in one network namespace, over 127.0.0.0/8 or ::1. */
  loopback: number;
  /** Indices, role or length that do not fit together. */
  malformed: number;
  /** Local address that is no pod's and no node's; booked as Unknown. */
  unresolvedLocal: number;
  unresolvedRemote: number;
  /** Waiting rows that came to more than may wait, and their payload. */
  heldOverflow: number;
  heldOverflowBytes: number;
  /** Rows of an agent for a time that another agent of the same node had reported already, and their payload. */
  overlapping: number;
  overlappingBytes: number;
  /** Payload of a server's late report that its clients' view had booked already. */
  reconciledBytes: number;
}

export interface UplinkRate {
  readonly name: string;
  /** bits per second, 0: not known. */
  readonly speedBps: number;
  readonly speedSource: SpeedSource;
  /** Wire bytes since the graph's start. */
  readonly txBytes: number;
  readonly rxBytes: number;
  /** Over the last report's period, bytes per second. */
  readonly txBytesPerSecond: number;
  readonly rxBytesPerSecond: number;
  /** Half-life 10 min, bytes per second. */
  readonly txShortBytesPerSecond: number;
  readonly rxShortBytesPerSecond: number;
}

interface UplinkState {
  speedBps: number;
  speedSource: SpeedSource;
  txBytes: number;
  rxBytes: number;
  txLast: number;
  rxLast: number;
  txSum: number;
  rxSum: number;
  epoch: number;
  firstMs: number;
  lastMs: number;
}

/** What clients' nodes said of an edge while its server's node was silent. Payload and counts, as TrafficRows has them. */
export interface Provisional {
  untilMs: number;
  readonly figures: Map<string, Float64Array>;
}

const ROW_NAMES = [
  'booked',
  'duplicateViews',
  'refusedForeign',
  'loopback',
  'malformed',
  'unresolvedLocal',
  'unresolvedRemote',
  'heldOverflow',
  'heldOverflowBytes',
  'overlapping',
  'overlappingBytes',
  'reconciledBytes',
] as const satisfies readonly (keyof RowCounts)[];

const MAX_UPLINKS = 16;

/** A node as the graph knows it: with an agent, without one, or not any more. */
export class NodeState {
  readonly id: number;
  readonly name: string;
  /** A stream of its agent is open. */
  connected = false;
  /** Whether an agent was ever heard from this node. */
  heard = false;
  intervalMs = 10_000;
  version = '';
  mapId = '';
  seq = 0;
  /** Graph time when it was last heard of (hello, report, end of stream). */
  seenMs = Number.NEGATIVE_INFINITY;
  /** End of the latest period that it reported. */
  watermarkMs = Number.NEGATIVE_INFINITY;
  /** Map identity (hex) of the agent that reported that period; '': not known. */
  watermarkMapId = '';
  reports = 0;
  merged = 0;
  readonly losses: { -readonly [K in keyof Losses]: number };
  readonly rows: RowCounts = {
    booked: 0,
    duplicateViews: 0,
    refusedForeign: 0,
    loopback: 0,
    malformed: 0,
    unresolvedLocal: 0,
    unresolvedRemote: 0,
    heldOverflow: 0,
    heldOverflowBytes: 0,
    overlapping: 0,
    overlappingBytes: 0,
    reconciledBytes: 0,
  };
  /** Since the graph's start; rssBytes is the last gauge. */
  readonly cost: { -readonly [K in keyof Cost]: number } = { ...NO_COST };
  lastCost: Cost | undefined;
  lastPeriodMs = 0;
  provisional: Provisional | undefined;
  dirty = false;
  readonly #uplinks = new Map<string, UplinkState>();
  uplinksDropped = 0;
  #recentBytes = 0;
  #recentLostBytes = 0;
  #recentConnections = 0;
  #recentLostConnections = 0;

  constructor(id: number, name: string) {
    this.id = id;
    this.name = name;
    this.losses = { ...NO_LOSSES };
  }

  /** End of the time for which it counts as covered, while no stream is open. */
  get coveredUntilMs(): number {
    return this.seenMs + COVERED_INTERVALS * this.intervalMs;
  }

  /**
   * Whether another agent of this node has reported that time already: two that run at once see the same sockets.
   * Half a period of overlap is a restart and its clocks.
   */
  isOverlapping(mapId: string, startMs: number, endMs: number): boolean {
    const another = this.watermarkMapId !== '' && this.watermarkMapId !== mapId;
    return another && (startMs + endMs) / 2 < this.watermarkMs;
  }

  /** Counts a report that is left out. */
  noteOverlapping({ edges }: Report): void {
    this.rows.overlapping += edges.n;
    for (let r = 0; r < edges.n; r++) this.rows.overlappingBytes += edges.bytesSent[r]! + edges.bytesReceived[r]!;
    this.dirty = true;
  }

  isCovered(nowMs: number): boolean {
    return this.connected || nowMs <= this.coveredUntilMs;
  }

  /** 0..1: share of recent traffic that its agent could not measure, the worse of bytes and connections. */
  get lossShare(): number {
    const share = (lost: number, seen: number): number => (lost > 0 ? lost / (lost + seen) : 0);
    return Math.max(
      share(this.#recentLostBytes, this.#recentBytes),
      share(this.#recentLostConnections, this.#recentConnections),
    );
  }

  /** Notes all of a report but its edges. Times are graph time. */
  note(report: Report, startMs: number, endMs: number): void {
    this.reports++;
    if (report.merged > 1) this.merged += report.merged - 1;
    for (const name of LOSS_NAMES) this.losses[name] += report.losses[name];
    this.cost.bpfRuns += report.cost.bpfRuns;
    this.cost.bpfRunNs += report.cost.bpfRunNs;
    this.cost.cpuUs += report.cost.cpuUs;
    this.cost.rssBytes = report.cost.rssBytes;
    this.lastCost = report.cost;
    this.lastPeriodMs = endMs - startMs;
    const fade = 2 ** (-report.periodMs / SHORT_HALF_LIFE_MS);
    let bytes = 0;
    let connections = 0;
    const { edges } = report;
    for (let r = 0; r < edges.n; r++) {
      bytes += edges.bytesSent[r]! + edges.bytesReceived[r]!;
      connections += edges.connections[r]!;
    }
    const { losses } = report;
    this.#recentBytes = this.#recentBytes * fade + bytes;
    this.#recentLostBytes = this.#recentLostBytes * fade + losses.mapFullBytes + losses.droppedBytes;
    this.#recentConnections = this.#recentConnections * fade + connections;
    this.#recentLostConnections = this.#recentLostConnections * fade + losses.mapFullConnections + losses.storageFailed;
    for (const uplink of report.uplinks) this.#noteUplink(uplink, startMs, endMs);
    this.dirty = true;
  }

  #noteUplink(uplink: Report['uplinks'][number], startMs: number, endMs: number): void {
    const epoch = epochOf(endMs);
    let state = this.#uplinks.get(uplink.name);
    if (state === undefined) {
      if (this.#uplinks.size >= MAX_UPLINKS) {
        this.uplinksDropped++;
        return;
      }
      const zero = { txBytes: 0, rxBytes: 0, txLast: 0, rxLast: 0, txSum: 0, rxSum: 0 };
      state = { ...zero, speedBps: 0, speedSource: 'unknown', epoch, firstMs: startMs, lastMs: endMs };
      this.#uplinks.set(uplink.name, state);
    }
    if (epoch > state.epoch) {
      const shift = shortShift(epoch - state.epoch);
      state.txSum *= shift;
      state.rxSum *= shift;
      state.epoch = epoch;
    }
    const weight = weightPerByte(SHORT_HALF_LIFE_MS, state.epoch, startMs, endMs);
    state.speedBps = uplink.speedBps;
    state.speedSource = uplink.speedSource;
    state.txBytes += uplink.txBytes;
    state.rxBytes += uplink.rxBytes;
    state.txSum += uplink.txBytes * weight;
    state.rxSum += uplink.rxBytes * weight;
    const seconds = (endMs - startMs) / 1000;
    if (seconds > 0) {
      state.txLast = uplink.txBytes / seconds;
      state.rxLast = uplink.rxBytes / seconds;
    }
    state.lastMs = Math.max(state.lastMs, endMs);
    state.firstMs = Math.min(state.firstMs, startMs);
  }

  /** The fastest, of equals the busiest: what carries the pods' traffic. undefined: none was reported. */
  mainUplink(): UplinkRate | undefined {
    let main: [string, UplinkState] | undefined;
    for (const entry of this.#uplinks) {
      const more = main === undefined ? 1 : entry[1].speedBps - main[1].speedBps || entry[1].txBytes - main[1].txBytes;
      if (more > 0) main = entry;
    }
    return main === undefined ? undefined : rateOf(main[0], main[1]);
  }

  uplinks(): UplinkRate[] {
    return [...this.#uplinks].map(([name, state]) => rateOf(name, state));
  }
}

function rateOf(name: string, u: UplinkState): UplinkRate {
  return {
    name,
    speedBps: u.speedBps,
    speedSource: u.speedSource,
    txBytes: u.txBytes,
    rxBytes: u.rxBytes,
    txBytesPerSecond: u.txLast,
    rxBytesPerSecond: u.rxLast,
    txShortBytesPerSecond: estimate(SHORT_HALF_LIFE_MS, u.epoch, u.txSum, 0, u.firstMs, u.lastMs),
    rxShortBytesPerSecond: estimate(SHORT_HALF_LIFE_MS, u.epoch, u.rxSum, 0, u.firstMs, u.lastMs),
  };
}

/** Every node that an agent reported from or a pod was found on. An id is a node's until it is retired. */
export class NodeStates {
  readonly #byName = new Map<string, NodeState>();
  readonly #byId: (NodeState | undefined)[] = [];
  #free: number[] = [];
  readonly #max: number;
  refused = 0;
  /** Sums of those that were retired, so that no total ever falls. */
  readonly retired = new NodeState(-1, '');

  constructor(max: number) {
    this.#max = max;
  }

  /** undefined: the table is full (counted). */
  of(name: string): NodeState | undefined {
    const known = this.#byName.get(name);
    if (known !== undefined) return known;
    if (this.#byName.size >= this.#max) {
      this.refused++;
      return undefined;
    }
    const id = this.#free.pop() ?? this.#byId.length;
    const state = new NodeState(id, name);
    this.#byId[id] = state;
    this.#byName.set(name, state);
    return state;
  }

  /** Puts saved nodes at their saved ids, into an empty table. */
  restore(saved: Iterable<{ readonly id: number; readonly name: string }>): void {
    for (const { id, name } of saved) {
      if (id < 0 || this.#byName.size >= this.#max || this.#byId[id] !== undefined || this.#byName.has(name)) continue;
      const state = new NodeState(id, name);
      this.#byId[id] = state;
      this.#byName.set(name, state);
    }
    this.#free = [];
    for (let id = 0; id < this.#byId.length; id++) if (this.#byId[id] === undefined) this.#free.push(id);
  }

  /** Forgets nodes; whoever keeps their ids must forget them too. Their counts go to `retired`. */
  retire(ids: Iterable<number>): void {
    for (const id of ids) {
      const state = this.#byId[id];
      if (state === undefined) continue;
      for (const name of LOSS_NAMES) this.retired.losses[name] += state.losses[name];
      for (const name of ROW_NAMES) this.retired.rows[name] += state.rows[name];
      this.#byName.delete(state.name);
      this.#byId[id] = undefined;
      this.#free.push(id);
    }
  }

  get size(): number {
    return this.#byName.size;
  }

  find(name: string): NodeState | undefined {
    return this.#byName.get(name);
  }

  at(id: number): NodeState | undefined {
    return this.#byId[id];
  }

  get all(): NodeState[] {
    return [...this.#byName.values()];
  }
}
