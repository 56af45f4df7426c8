import { Server, ServerCredentials, status, type Metadata, type ServiceDefinition } from '@grpc/grpc-js';
import type { PeerCertificate } from 'node:tls';
import { messageOf, NetloomError } from '../../lib/errors.ts';
import type { Logger } from '../../lib/log.ts';
import { DEFAULT_CODEC_LIMITS, encodeSchedulerMessage } from '../../proto/codec.ts';
import { edgeColumnsBytes } from '../../proto/edge-columns.ts';
import { PROTOCOL_VERSION, type AddressRange, type Hello, type Report } from '../../proto/report.ts';
import type { TlsMaterial } from '../tls/material.ts';
import { AgentCredentials } from './agent-credentials.ts';
import { AgentStream, type AgentCall, type AgentStreamOwner } from './agent-stream.ts';
import { ingestLimits, type IngestLimits } from './ingest-limits.ts';
import { hostOf, isLoopback, withPort } from './listen-address.ts';
import { NodeLedger } from './node-ledger.ts';
import { isNodeName } from './node-name.ts';
import { gateInterceptor } from './read-gate.ts';
import type { ReportSink } from './report-sink.ts';

export interface Peer {
  /** ADDRESS:PORT */
  readonly address: string;
  readonly certificate: PeerCertificate | undefined;
}

/** Who a caller is. `node`: the only node it may speak for; absent: any. */
export interface AgentIdentity {
  readonly node?: string;
}

export interface ReportServerOptions {
  /** HOST:PORT, [V6]:PORT or unix:PATH; port 0: any free one. */
  readonly listen: string;
  /** With `ca`, agents must show a certificate that this authority signed. */
  readonly tls?: TlsMaterial;
  /** Allows reports without TLS on an address that other machines can reach. Default false. */
  readonly allowPlaintext?: boolean;
  readonly sink: ReportSink;
  readonly logger: Logger;
  readonly limits?: Partial<IngestLimits>;
  /** The cluster's ranges as they are now. */
  readonly ranges: () => readonly AddressRange[];
  /** Milliseconds, monotonic. */
  readonly now?: () => number;
  /** Says who the caller is, or throws to refuse it. Default: anybody may speak for any node. */
  readonly authenticate?: (metadata: Metadata, peer: Peer) => AgentIdentity | Promise<AgentIdentity>;
}

/** Counted since the start. */
export interface ReportServerStats {
  readonly agents: number;
  readonly reports: number;
  readonly edges: number;
  /** Reports that came again and were not booked again. */
  readonly duplicates: number;
  /** Sequence numbers that never came. */
  readonly missing: number;
  readonly malformed: number;
  readonly replacedStreams: number;
  /** Hellos that were refused. */
  readonly refused: number;
  readonly failedCommits: number;
}

export interface AgentStatus {
  readonly node: string;
  readonly version: string;
  readonly peer: string;
  readonly intervalMs: number;
  readonly connectedMs: number;
  readonly lastReportMs: number;
  readonly committedSeq: number;
}

export interface ReportServer {
  /** As it was really bound. */
  readonly address: string;
  readonly port: number;
  /** New certificates, for connections from now on. Nothing without TLS at the start. */
  changeTls(tls: TlsMaterial): void;
  /** Tells every agent the ranges, if they are others than the last. */
  rangesChanged(): void;
  stats(): ReportServerStats;
  agents(): AgentStatus[];
  /** Reads no more, waits up to `graceMs` (default 1 s) for commits and their acknowledgements, then ends all. */
  close(options?: { readonly graceMs?: number }): Promise<void>;
}

/** Throws REPORT_TLS_REQUIRED or REPORT_LISTEN_FAILED. */
export async function startReportServer(options: ReportServerOptions): Promise<ReportServer> {
  if (options.tls === undefined && options.allowPlaintext !== true && !isLoopback(options.listen)) {
    throw new NetloomError('REPORT_TLS_REQUIRED', 'reports would be taken without TLS from other machines', {
      place: options.listen,
      expected: 'a certificate, or a loopback address',
    });
  }
  const server = new GrpcReportServer(options);
  await server.listen();
  return server;
}

interface Agent {
  readonly stream: AgentStream;
  /** Known from the moment it is welcomed. */
  ledger: NodeLedger | undefined;
}

const same = (bytes: Buffer): Buffer => bytes;

/** Bytes pass through: decoding belongs where an error can be answered with its reason. */
const SERVICE: ServiceDefinition = {
  stream: {
    path: '/netloom.report.v1.Reports/Stream',
    requestStream: true,
    responseStream: true,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  },
};

/** A day: whoever reports more seldom has a wrong unit in its configuration. */
const MAX_INTERVAL_MS = 86_400_000;

class GrpcReportServer implements ReportServer, AgentStreamOwner {
  readonly limits: IngestLimits;
  readonly #options: ReportServerOptions;
  readonly #sink: ReportSink;
  readonly #log: Logger;
  readonly #now: () => number;
  readonly #server: Server;
  readonly #credentials: AgentCredentials | undefined;
  readonly #streams = new Set<AgentStream>();
  readonly #agents = new Map<string, Agent>();
  /** Of connected nodes, and of those whose commits are under way. */
  readonly #ledgers = new Map<string, NodeLedger>();
  #sweep: NodeJS.Timeout | undefined;
  #port = 0;
  #closing = false;
  #lastRanges: Buffer | undefined;
  readonly #counts = {
    reports: 0,
    edges: 0,
    duplicates: 0,
    missing: 0,
    malformed: 0,
    replacedStreams: 0,
    refused: 0,
    failedCommits: 0,
  };

  constructor(options: ReportServerOptions) {
    this.#options = options;
    this.limits = ingestLimits(options.limits);
    this.#sink = options.sink;
    this.#log = options.logger;
    this.#now = options.now ?? (() => performance.now());
    this.#credentials = options.tls === undefined ? undefined : new AgentCredentials(options.tls);
    this.#server = new Server({
      'grpc.max_receive_message_length': this.limits.maxMessageBytes,
      'grpc.max_concurrent_streams': 4,
      'grpc.keepalive_time_ms': this.limits.keepaliveMs,
      'grpc.keepalive_timeout_ms': this.limits.keepaliveTimeoutMs,
      // A connection without a call is nobody we know.
      'grpc.max_connection_idle_ms': 60_000,
      interceptors: [gateInterceptor],
    });
    this.#server.addService(SERVICE, { stream: (call: AgentCall) => this.#onCall(call) });
  }

  async listen(): Promise<void> {
    const { listen } = this.#options;
    const address = hostOf(listen) === '' && !listen.startsWith('unix:') ? `[::]${listen}` : listen;
    try {
      this.#port = await new Promise<number>((resolve, reject) => {
        this.#server.bindAsync(
          address,
          this.#credentials?.credentials() ?? ServerCredentials.createInsecure(),
          (error, port) => {
            if (error === null) resolve(port);
            else reject(error);
          },
        );
      });
    } catch (error) {
      this.#server.forceShutdown();
      throw new NetloomError('REPORT_LISTEN_FAILED', `cannot listen for agents: ${messageOf(error)}`, {
        place: listen,
        cause: error,
      });
    }
    const { helloTimeoutMs, idleTimeoutMs, slowReaderTimeoutMs } = this.limits;
    const shortest = Math.min(helloTimeoutMs, idleTimeoutMs, slowReaderTimeoutMs);
    this.#sweep = setInterval(() => this.#checkTimes(), Math.min(1000, Math.max(10, shortest / 4)));
    this.#sweep.unref();
  }

  changeTls(tls: TlsMaterial): void {
    this.#credentials?.change(tls);
  }

  get address(): string {
    return withPort(this.#options.listen, this.#port);
  }

  get port(): number {
    return this.#port;
  }

  now(): number {
    return this.#now();
  }

  rangesChanged(): void {
    const message = this.#rangesMessage();
    if (this.#lastRanges?.equals(message) === true) return;
    this.#lastRanges = message;
    for (const { stream } of this.#agents.values()) stream.sendRanges(message);
  }

  stats(): ReportServerStats {
    return { agents: this.#agents.size, ...this.#counts };
  }

  agents(): AgentStatus[] {
    const list: AgentStatus[] = [];
    for (const [node, { stream, ledger }] of this.#agents) {
      if (stream.state.kind !== 'streaming') continue;
      const { version, intervalMs } = stream.state.hello;
      list.push({
        node,
        version,
        intervalMs,
        peer: stream.peer,
        connectedMs: stream.openedMs,
        lastReportMs: stream.lastReportMs,
        committedSeq: ledger?.committedSeq ?? 0,
      });
    }
    return list;
  }

  async close({ graceMs = 1000 }: { readonly graceMs?: number } = {}): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    clearInterval(this.#sweep);
    for (const stream of this.#streams) stream.hold();
    const deadline = performance.now() + graceMs;
    const underway = (): boolean => [...this.#ledgers.values()].some((ledger) => ledger.underway > 0);
    while (underway() && performance.now() < deadline) await pause(10);
    for (const stream of [...this.#streams]) {
      stream.end(status.UNAVAILABLE, 'REPORT_UNAVAILABLE', 'the scheduler is stopping');
    }
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => this.#server.forceShutdown(), Math.max(100, graceMs));
      this.#server.tryShutdown(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  // ---- AgentStreamOwner

  async admit(stream: AgentStream, hello: Hello): Promise<void> {
    const { node } = hello;
    if (hello.protocol !== PROTOCOL_VERSION) {
      const details = `this scheduler speaks version ${PROTOCOL_VERSION} of the contract, the agent ${hello.protocol}`;
      this.#refuse(stream, status.FAILED_PRECONDITION, 'REPORT_PROTOCOL_MISMATCH', details, hello);
      return;
    }
    if (!isNodeName(node)) {
      const details = 'the node name must be a DNS-1123 subdomain: lower-case letters, digits, "-" and "."';
      this.#refuse(stream, status.INVALID_ARGUMENT, 'REPORT_NODE_REFUSED', details, hello);
      return;
    }
    if (hello.intervalMs < 1 || hello.intervalMs > MAX_INTERVAL_MS) {
      const details = `interval_ms must be 1..${MAX_INTERVAL_MS}, not ${hello.intervalMs}`;
      this.#refuse(stream, status.INVALID_ARGUMENT, 'REPORT_MALFORMED', details, hello);
      return;
    }
    if (!(await this.#maySpeakFor(stream, hello)) || stream.state.kind !== 'welcoming') return;

    const previous = this.#agents.get(node);
    if (previous === undefined && this.#agents.size >= this.limits.maxAgents) {
      const details = `${this.limits.maxAgents} agents are connected already`;
      this.#refuse(stream, status.RESOURCE_EXHAUSTED, 'REPORT_LIMIT_REACHED', details, hello);
      return;
    }
    // From here on the old stream books nothing more, so what the sink says stays true until we have heard it.
    const agent: Agent = { stream, ledger: undefined };
    this.#agents.set(node, agent);
    if (previous !== undefined) {
      this.#counts.replacedStreams++;
      const details = `another agent said hello as ${node} from ${stream.peer}`;
      this.#log.warn("a newer stream replaces an agent's", { node, old: previous.stream.peer, new: stream.peer });
      previous.stream.end(status.ABORTED, 'REPORT_STREAM_REPLACED', details);
    }
    const ledger = await this.#ledgerOf(hello);
    if (this.#agents.get(node) !== agent) return;
    agent.ledger = ledger;
    this.#ledgers.set(node, ledger);
    stream.welcome(
      encodeSchedulerMessage({
        welcome: {
          protocol: PROTOCOL_VERSION,
          committedSeq: ledger.committedSeq,
          ranges: this.#currentRanges(),
          maxEdges: this.limits.maxEdges,
        },
      }),
    );
    // Commits of its last stream are still under way.
    if (this.#isBusy(ledger)) stream.hold();
    this.#log.info('agent connected', { node, peer: stream.peer, version: hello.version, seq: ledger.committedSeq });
    this.#guard(() => this.#sink.agentConnected?.({ node, hello, peer: stream.peer, connectedMs: stream.openedMs }));
  }

  report(stream: AgentStream, report: Report): void {
    if (stream.state.kind !== 'streaming') return;
    const { node } = stream.state.hello;
    const agent = this.#agents.get(node);
    const ledger = agent?.ledger;
    if (agent?.stream !== stream || ledger === undefined) return;
    this.#counts.reports++;
    const verdict = ledger.judge(report.seq);
    if (verdict.kind !== 'book') {
      this.#counts.duplicates++;
      if (verdict.kind === 'committed') stream.acknowledge(ledger.committedSeq);
      return;
    }
    if (verdict.missing > 0) {
      this.#counts.missing += verdict.missing;
      this.#log.warn('reports of an agent are missing', { node, seq: report.seq, missing: verdict.missing });
    }
    this.#book(node, ledger, report);
  }

  malformed(stream: AgentStream, error: NetloomError): void {
    this.#counts.malformed++;
    const { node, peer } = stream;
    this.#log.warn('a message of an agent cannot be used', { node, peer, reason: error.describe() });
  }

  isSettled(stream: AgentStream): boolean {
    if (stream.state.kind !== 'streaming') return true;
    return (this.#agents.get(stream.state.hello.node)?.ledger?.underway ?? 0) === 0;
  }

  ended(stream: AgentStream): void {
    this.#streams.delete(stream);
    const { node, peer } = stream;
    if (node === undefined || this.#agents.get(node)?.stream !== stream) return;
    this.#agents.delete(node);
    this.#forgetIfSettled(node);
    this.#log.info('agent gone', { node, peer });
    this.#guard(() => this.#sink.agentGone?.(node, this.#now()));
  }

  // ---- inside

  #onCall(call: AgentCall): void {
    const stream = new AgentStream(call, this);
    this.#streams.add(stream);
    if (this.#closing) stream.end(status.UNAVAILABLE, 'REPORT_UNAVAILABLE', 'the scheduler is stopping');
    // Twice: while they reconnect, agents may be here twice for a moment.
    else if (this.#streams.size > 2 * this.limits.maxAgents) {
      stream.end(status.RESOURCE_EXHAUSTED, 'REPORT_LIMIT_REACHED', 'too many streams');
    }
  }

  #refuse(
    stream: AgentStream,
    code: status,
    error: 'REPORT_PROTOCOL_MISMATCH' | 'REPORT_NODE_REFUSED' | 'REPORT_MALFORMED' | 'REPORT_LIMIT_REACHED',
    details: string,
    hello: Hello,
  ): void {
    this.#counts.refused++;
    this.#log.warn('an agent is refused', { code: error, reason: details, node: hello.node, peer: stream.peer });
    stream.end(code, error, details);
  }

  async #maySpeakFor(stream: AgentStream, hello: Hello): Promise<boolean> {
    const { authenticate } = this.#options;
    if (authenticate === undefined) return true;
    const certificate = stream.call.getAuthContext().sslPeerCertificate;
    let identity: AgentIdentity;
    try {
      identity = await authenticate(stream.metadata, { address: stream.peer, certificate });
    } catch (error) {
      this.#refuse(stream, status.UNAUTHENTICATED, 'REPORT_NODE_REFUSED', messageOf(error), hello);
      return false;
    }
    if (identity.node === undefined || identity.node === hello.node) return true;
    const details = `it may speak for node ${identity.node} only`;
    this.#refuse(stream, status.PERMISSION_DENIED, 'REPORT_NODE_REFUSED', details, hello);
    return false;
  }

  async #ledgerOf(hello: Hello): Promise<NodeLedger> {
    const mapId = Buffer.from(hello.mapId).toString('hex');
    const known = this.#ledgers.get(hello.node);
    if (known !== undefined && known.mapId === mapId && known.underway > 0) return known;
    return new NodeLedger(mapId, await this.#sink.committedSeq(hello.node, hello.mapId));
  }

  #book(node: string, ledger: NodeLedger, report: Report): void {
    this.#counts.edges += report.edges.n;
    const { seq } = report;
    const ticket = ledger.book(seq, edgeColumnsBytes(report.edges));
    const succeed = (): void => this.#onCommit(node, ledger, ticket.succeed());
    const fail = (error: unknown): void => {
      ticket.fail();
      this.#onCommitFailed(node, ledger, seq, error);
    };
    let commit: void | Promise<void>;
    try {
      commit = this.#sink.report(node, report, this.#now());
    } catch (error) {
      fail(error);
      return;
    }
    if (commit === undefined) {
      succeed();
      return;
    }
    if (this.#isBusy(ledger)) this.#agents.get(node)?.stream.hold();
    commit.then(succeed, fail);
  }

  #isBusy(ledger: NodeLedger): boolean {
    const { maxUncommitted, maxUncommittedBytes } = this.limits;
    return ledger.underway >= maxUncommitted || ledger.underwayBytes >= maxUncommittedBytes;
  }

  #onCommit(node: string, ledger: NodeLedger, counts: boolean): void {
    const agent = this.#agents.get(node);
    if (agent?.ledger === ledger && agent.stream.state.kind === 'streaming') {
      if (counts) agent.stream.acknowledge(ledger.committedSeq);
      if (!this.#closing && !this.#isBusy(ledger)) agent.stream.resume();
    }
    this.#forgetIfSettled(node);
  }

  #onCommitFailed(node: string, ledger: NodeLedger, seq: number, error: unknown): void {
    this.#counts.failedCommits++;
    this.#log.error('a report could not be committed; the agent sends it again', { node, seq, error });
    const agent = this.#agents.get(node);
    if (agent?.ledger === ledger) {
      agent.stream.end(status.UNAVAILABLE, 'REPORT_NOT_COMMITTED', `report ${seq} could not be committed`);
    }
    this.#forgetIfSettled(node);
  }

  #forgetIfSettled(node: string): void {
    if (!this.#agents.has(node) && this.#ledgers.get(node)?.underway === 0) this.#ledgers.delete(node);
  }

  #checkTimes(): void {
    const nowMs = this.#now();
    for (const stream of [...this.#streams]) stream.checkTime(nowMs);
  }

  #currentRanges(): readonly AddressRange[] {
    const ranges = this.#options.ranges();
    const { maxRanges } = DEFAULT_CODEC_LIMITS;
    if (ranges.length <= maxRanges) return ranges;
    this.#log.error('more address ranges than agents take; pods in the rest are shown as outside', {
      ranges: ranges.length,
      maxRanges,
    });
    return ranges.slice(0, maxRanges);
  }

  #rangesMessage(): Buffer {
    return encodeSchedulerMessage({ ranges: this.#currentRanges() });
  }

  #guard(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#log.error('the sink failed', { error });
    }
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
