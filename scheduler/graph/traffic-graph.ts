import { type EdgeColumns, type Report, ROLE_CLIENT, ROLE_SERVER } from '../../proto/report.ts';
import { type NodeState, NodeStates } from './agents.ts';
import { Attribution, BOOK, DUPLICATE, FOREIGN, HOLD, LOOPBACK, type Peer } from './attribution.ts';
import { CLASS_NODE, CLASS_POD, CLASS_UNKNOWN } from './endpoint-table.ts';
import { edgeCode } from './edge-code.ts';
import { Edges, type Period, periodOf } from './edges.ts';
import { FileTraffic, endpointKey } from './file-traffic.ts';
import { HeldRows, type HeldRow, gather } from './held-rows.ts';
import { MonotonicClock } from './monotonic-clock.ts';
import { DEFAULT_GRAPH_OPTIONS, type GraphOptions } from './options.ts';
import { reconcile, remember } from './provisional.ts';
import type { AddressResolver } from './resolver.ts';
import { BYTES_IN, BYTES_OUT, FIRST_MS, LAST_MS } from './traffic-rows.ts';

export type RecordResult =
  | { readonly ok: true; readonly edges: number }
  /** The same (mapId, seq) or a later one was recorded already: nothing was booked. */
  | { readonly ok: false; readonly reason: 'duplicate' | 'too-many-nodes' };

export interface AgentIdentity {
  readonly node: string;
  readonly mapId: Uint8Array;
  readonly intervalMs: number;
  readonly version: string;
}

/** Sequences are kept for this many kernel-map identities of a node (it changes when the maps are made anew). */
const MAX_MAP_IDS = 4;
const MIN_INTERVAL_MS = 100;
const MAX_INTERVAL_MS = 3_600_000;
/** Reports of one agent need not meet to the millisecond; a larger hole between them is time that nobody observed. */
const GAP_TOLERANCE = { ms: 2_000, intervals: 0.5 } as const;
const SWEEP_MS = 60_000;
const SWEEP_FULL_MS = 5_000;

/**
 * The traffic graph: reports in, edges between endpoints out. Pure: no clock, no IO; `nowMs` is the wall clock of the
 * caller, and may step back (see MonotonicClock).
 */
export class TrafficGraph {
  readonly options: GraphOptions;
  readonly clock = new MonotonicClock();
  readonly edges: Edges;
  readonly nodes: NodeStates;
  readonly file = new FileTraffic();
  /** Highest recorded sequence by node and map identity (hex). */
  readonly sequences = new Map<string, Map<string, number>>();
  /** Counts up with everything that may change what placement or people see. */
  version = 0;
  readonly held: HeldRows;
  heldDiscarded = 0;
  /** Sequences that an agent skipped: reports that never came. */
  missingReports = 0;
  duplicateReports = 0;
  /** Graph time since when workload edges and losses are counted (a saved graph goes on), and pod edges. */
  countedSinceMs: number | undefined;
  startedMs = 0;
  readonly #attribution: Attribution;
  #peers: Peer[] = [];
  #sweptMs = Number.NEGATIVE_INFINITY;
  #forgottenEndpoints: number[] = [];
  #retiredNodes: number[] = [];
  #heldSeen = { version: -1, coverage: -1, checkedMs: Number.NEGATIVE_INFINITY };
  #coverage = 0;

  constructor(resolver: AddressResolver, options: Partial<GraphOptions> = {}) {
    this.options = { ...DEFAULT_GRAPH_OPTIONS, ...options };
    this.edges = new Edges(this.options);
    this.nodes = new NodeStates(this.options.maxNodes);
    this.held = new HeldRows(this.options.maxHeldRows);
    this.#attribution = new Attribution(resolver, this.edges.endpoints, this.nodes, this.options);
  }

  /** Scheduler started: nodes whose agents do not appear within the grace period are taken to have none. */
  start(nowMs: number): void {
    this.startedMs = this.clock.at(nowMs);
    this.countedSinceMs ??= this.startedMs;
    this.#attribution.started(this.clock.at(nowMs));
  }

  /** An agent opened a stream. Returns its highest recorded sequence for this map identity, 0: none. */
  agentConnected(agent: AgentIdentity, nowMs: number): number {
    const now = this.#now(nowMs);
    const node = this.nodes.of(agent.node);
    if (node === undefined) return 0;
    // A new stream of a node replaces the one before; only the end of the last is told.
    node.connected = true;
    node.heard = true;
    node.intervalMs = Math.min(Math.max(agent.intervalMs, MIN_INTERVAL_MS), MAX_INTERVAL_MS);
    node.version = agent.version;
    node.mapId = hex(agent.mapId);
    node.seenMs = now;
    node.dirty = true;
    this.#coverage++;
    return this.sequences.get(agent.node)?.get(node.mapId) ?? 0;
  }

  agentDisconnected(name: string, nowMs: number): void {
    const now = this.#now(nowMs);
    const node = this.nodes.find(name);
    if (node?.connected !== true) return;
    node.connected = false;
    node.seenMs = now;
    this.#coverage++;
  }

  /** Books a report of a node's agent. Idempotent in (node, mapId, seq). */
  record(nodeName: string, report: Report, nowMs: number): RecordResult {
    const now = this.#now(nowMs);
    const node = this.nodes.of(nodeName);
    if (node === undefined) return { ok: false, reason: 'too-many-nodes' };
    const mapId = hex(report.mapId);
    if (!this.#acceptSequence(nodeName, mapId, report.seq)) {
      this.duplicateReports++;
      return { ok: false, reason: 'duplicate' };
    }
    if (!node.isCovered(now)) this.#coverage++;
    node.heard = true;
    node.seenMs = now;
    const endMs = now - report.ageMs;
    const startMs = endMs - report.periodMs;
    if (node.isOverlapping(mapId, startMs, endMs)) {
      node.noteOverlapping(report);
      return { ok: true, edges: 0 };
    }
    const toleranceMs = Math.max(GAP_TOLERANCE.ms, GAP_TOLERANCE.intervals * node.intervalMs);
    if (startMs - node.watermarkMs > toleranceMs && node.reports > 0)
      this.edges.gap(node.id, node.watermarkMs, startMs);
    node.note(report, startMs, endMs);
    if (endMs > node.watermarkMs) {
      node.watermarkMs = endMs;
      node.watermarkMapId = mapId;
    }
    if (node.provisional !== undefined && startMs >= node.provisional.untilMs) node.provisional = undefined;
    this.edges.makeRoom(report.edges.n, now);
    this.#bookAll(node, report.edges, periodOf(startMs, endMs), now);
    this.version++;
    return { ok: true, edges: report.edges.n };
  }

  /** To be called about once a second: decides on what is held, and tidies up. */
  tick(nowMs: number): void {
    const now = this.#now(nowMs);
    if (this.held.size > 0) this.#decideHeld(now);
    if (now - this.#sweptMs >= (this.edges.endpoints.full ? SWEEP_FULL_MS : SWEEP_MS)) this.#sweep(now);
  }

  /** Replaces what a traffic file said. */
  setFileTraffic(rows: Parameters<FileTraffic['replace']>[0]): void {
    this.file.replace(rows);
    this.version++;
  }

  /** End of the last period of the node that reported an edge last, graph time; -Infinity: it never did. */
  watermarkOf(reporter: number): number {
    return this.nodes.at(reporter)?.watermarkMs ?? Number.NEGATIVE_INFINITY;
  }

  /** Ids that are free again since the last call, of endpoints that the store knows. */
  takeForgottenEndpoints(): number[] {
    const ids = this.#forgottenEndpoints;
    this.#forgottenEndpoints = [];
    return ids;
  }

  /** Ids of nodes that were retired since the last call. */
  takeRetiredNodes(): number[] {
    const ids = this.#retiredNodes;
    this.#retiredNodes = [];
    return ids;
  }

  /** A save failed: what it should have removed is to be removed by the next. */
  returnForgotten(endpoints: readonly number[], nodes: readonly number[]): void {
    for (const id of endpoints) this.#forgottenEndpoints.push(id);
    for (const id of nodes) if (this.nodes.at(id)?.heard !== true) this.#retiredNodes.push(id);
  }

  #now(wallMs: number): number {
    const now = this.clock.at(wallMs);
    this.#attribution.skewMs = this.clock.skewMs;
    this.#attribution.started(now);
    return now;
  }

  #acceptSequence(node: string, mapId: string, seq: number): boolean {
    let known = this.sequences.get(node);
    if (known === undefined) {
      known = new Map<string, number>();
      this.sequences.set(node, known);
    }
    const last = known.get(mapId);
    if (last !== undefined) {
      if (seq <= last) return false;
      this.missingReports += seq - last - 1;
    } else if (known.size >= MAX_MAP_IDS) {
      const oldest = known.keys().next().value;
      if (oldest !== undefined) known.delete(oldest);
    }
    known.set(mapId, seq);
    return true;
  }

  #bookAll(node: NodeState, edges: EdgeColumns, period: Period, now: number): void {
    const count = edges.addresses.length >> 4;
    const peers = this.#peers;
    while (peers.length < count) peers.push(undefined as unknown as Peer);
    const { prefixLengths } = edges;
    this.#attribution.refresh();
    for (let a = 0; a < count; a++) {
      const prefix = prefixLengths.length > a ? prefixLengths[a]! : 128;
      peers[a] = this.#attribution.peer(edges.addresses, a * 16, prefix, period.startMs, period.endMs);
    }
    const { rows } = node;
    const late = node.provisional !== undefined && period.startMs < node.provisional.untilMs;
    const { n, local, remote, role, protocol } = edges;
    for (let r = 0; r < n; r++) {
      const l = local[r]!;
      const m = remote[r]!;
      const rowRole = role[r]!;
      if (l >= count || m >= count || (rowRole !== ROLE_SERVER && rowRole !== ROLE_CLIENT)) {
        rows.malformed++;
        continue;
      }
      const own = peers[l]!;
      const peer = peers[m]!;
      const verdict = this.#attribution.judge(own, peer, rowRole, node, now);
      const code = edgeCode(protocol[r]!, own.ipv6 && peer.ipv6);
      if (verdict === BOOK) {
        if (own.cls === CLASS_UNKNOWN) rows.unresolvedLocal++;
        if (peer.cls === CLASS_UNKNOWN) rows.unresolvedRemote++;
        rows.booked++;
        const fromServer = rowRole === ROLE_SERVER;
        const client = fromServer ? peer.endpoint : own.endpoint;
        const server = fromServer ? own.endpoint : peer.endpoint;
        if (late && fromServer) {
          const rest = reconcile(node, edges, r, this.#edgeKey(client, server, code), rows);
          if (rest !== undefined) {
            this.edges.book(rest, 0, client, server, code, fromServer, period, node.id);
            continue;
          }
        }
        this.edges.book(edges, r, client, server, code, fromServer, period, node.id);
        if (!fromServer && isSilentAgent(peer)) this.#rememberRow(peer.node!, edges, r, client, server, code, period);
      } else if (verdict === HOLD) {
        this.#hold(node, edges, r, l, m, code, period);
      } else if (verdict === DUPLICATE) {
        rows.duplicateViews++;
      } else if (verdict === FOREIGN) {
        rows.refusedForeign++;
      } else {
        rows.loopback++;
      }
    }
  }

  #rememberRow(
    node: NodeState,
    edges: EdgeColumns,
    r: number,
    client: number,
    server: number,
    code: number,
    period: Period,
  ): void {
    const figures = [
      edges.bytesSent[r]!,
      edges.bytesReceived[r]!,
      edges.segmentsSent[r]!,
      edges.segmentsReceived[r]!,
      edges.retransmits[r]!,
      edges.connections[r]!,
    ];
    remember(node, this.#edgeKey(client, server, code), figures, period.endMs);
  }

  /** By name: ids may be recycled between a client's view and a late report. */
  #edgeKey(client: number, server: number, code: number): string {
    const { endpoints } = this.edges;
    return `${endpointKey(endpoints.at(client))}>${endpointKey(endpoints.at(server))}>${String(code)}`;
  }

  #hold(node: NodeState, edges: EdgeColumns, r: number, l: number, m: number, code: number, period: Period): void {
    const prefix = (a: number): number => (edges.prefixLengths.length > a ? edges.prefixLengths[a]! : 128);
    const row = this.held.of(
      {
        reporter: node.id,
        local: edges.addresses.subarray(l * 16, l * 16 + 16),
        localPrefix: prefix(l),
        remote: edges.addresses.subarray(m * 16, m * 16 + 16),
        remotePrefix: prefix(m),
        role: edges.role[r]!,
        code,
        port: edges.serverPort[r]!,
      },
      period.epoch,
    );
    if (row === undefined) {
      node.rows.heldOverflow++;
      node.rows.heldOverflowBytes += edges.bytesSent[r]! + edges.bytesReceived[r]!;
      return;
    }
    gather(row, edges, r, period);
  }

  #decideHeld(now: number): void {
    const seen = this.#heldSeen;
    const version = this.#attribution.resolverVersion;
    const changed = seen.version !== version || seen.coverage !== this.#coverage;
    if (!changed && now - seen.checkedMs < 1_000) return;
    this.#heldSeen = { version, coverage: this.#coverage, checkedMs: now };
    this.#attribution.refresh();
    for (const row of this.held) {
      if (this.#decide(row, now)) this.held.delete(row);
    }
    this.version++;
  }

  /** false: it has to wait on. */
  #decide(row: HeldRow, now: number): boolean {
    const node = this.nodes.at(row.reporter);
    if (node === undefined) return true;
    const startMs = row.figures[FIRST_MS]!;
    const endMs = row.figures[LAST_MS]!;
    const own = this.#attribution.peer(row.local, 0, row.localPrefix, startMs, endMs);
    const peer = this.#attribution.peer(row.remote, 0, row.remotePrefix, startMs, endMs);
    switch (this.#attribution.judge(own, peer, row.role, node, now)) {
      case HOLD:
        return false;
      case DUPLICATE:
        node.rows.duplicateViews++;
        this.heldDiscarded++;
        return true;
      case FOREIGN:
        node.rows.refusedForeign++;
        return true;
      case LOOPBACK:
        node.rows.loopback++;
        return true;
      case BOOK:
        break;
    }
    if (own.cls === CLASS_UNKNOWN) node.rows.unresolvedLocal++;
    if (peer.cls === CLASS_UNKNOWN) node.rows.unresolvedRemote++;
    node.rows.booked++;
    const fromServer = row.role === ROLE_SERVER;
    const client = fromServer ? peer.endpoint : own.endpoint;
    const server = fromServer ? own.endpoint : peer.endpoint;
    this.edges.merge(row, client, server, row.code, fromServer, node.id);
    if (!fromServer && isSilentAgent(peer))
      remember(peer.node!, this.#edgeKey(client, server, row.code), row.figures, endMs);
    return true;
  }

  /** Held payload, bytes both ways. */
  heldBytes(): number {
    let bytes = 0;
    for (const row of this.held) bytes += row.figures[BYTES_OUT]! + row.figures[BYTES_IN]!;
    return bytes;
  }

  #sweep(now: number): void {
    this.#sweptMs = now;
    const { endpoints } = this.edges;
    const known = endpoints.size + this.nodes.size;
    this.#retireNodes(now);
    // Not spread into one call: a sweep may free more than an argument list holds.
    for (const id of endpoints.sweep()) this.#forgottenEndpoints.push(id);
    // What is remembered by address holds ids; resolving all of them again costs, so only where some are free now.
    if (endpoints.size + this.nodes.size < known) this.#attribution.forget();
    for (const node of this.nodes.all) {
      if (node.provisional !== undefined && now - node.provisional.untilMs > 60 * SWEEP_MS)
        node.provisional = undefined;
    }
  }

  /** Forgets nodes whose agent was silent for a day; and, where room gets scarce, those that never had one. */
  #retireNodes(now: number): void {
    const scarce = this.nodes.size > this.options.maxNodes / 2;
    const gone = this.nodes.all.filter((node) =>
      node.heard ? !node.connected && now - node.seenMs > this.options.forgetNodeMs : scarce,
    );
    if (gone.length === 0) return;
    const ids = new Set(gone.map((node) => node.id));
    this.edges.forgetReporters(ids);
    for (const row of this.held) if (ids.has(row.reporter)) this.held.delete(row);
    for (const node of gone) {
      this.sequences.delete(node.name);
      if (node.heard) this.#retiredNodes.push(node.id);
    }
    this.nodes.retire(ids);
  }
}

/** A pod or node whose agent was heard before: it may yet report what its client's view said. */
function isSilentAgent(peer: Peer): boolean {
  return (peer.cls === CLASS_POD || peer.cls === CLASS_NODE) && peer.node?.heard === true;
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}
