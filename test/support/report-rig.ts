import { Client, credentials, Metadata, Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js';
import { setTimeout as sleep } from 'node:timers/promises';
import { CODE_TRAILER, STREAM_METHOD } from '../../collector/report/connection.ts';
import type { MeasuredPeriod } from '../../collector/report/period.ts';
import {
  createReportStream,
  type ReportStream,
  type ReportStreamLimits,
  type ReportStreamOptions,
} from '../../collector/report/report-stream.ts';
import { silentLogger } from '../../lib/log.ts';
import { decodeSchedulerMessage, encodeAgentMessage } from '../../proto/codec.ts';
import { EdgeTable } from '../../proto/edge-table.ts';
import {
  IPPROTO_TCP,
  NO_COST,
  NO_LOSSES,
  PROTOCOL_VERSION,
  ROLE_SERVER,
  type AgentMessage,
  type Hello,
  type Report,
  type SchedulerMessage,
} from '../../proto/report.ts';
import type { ReportSink } from '../../scheduler/ingest/report-sink.ts';
import {
  startReportServer,
  type ReportServer,
  type ReportServerOptions,
} from '../../scheduler/ingest/report-server.ts';

/** Reconnects without the patience that production needs. */
export const quick: Partial<ReportStreamLimits> = { minBackoffMs: 5, maxBackoffMs: 40, mismatchRetryMs: 50 };

/** What a scheduler has on its disk: it survives the sinks that write to it. */
export class Disk {
  readonly committed = new Map<string, number>();
  readonly reports: { readonly node: string; readonly report: Report }[] = [];

  bytesOf(node: string): number {
    return this.#of(node).reduce((sum, report) => sum + payload(report), 0);
  }

  droppedBytesOf(node: string): number {
    return this.#of(node).reduce((sum, report) => sum + report.losses.droppedBytes, 0);
  }

  periodMsOf(node: string): number {
    return this.#of(node).reduce((sum, report) => sum + report.periodMs, 0);
  }

  seqsOf(node: string): number[] {
    return this.#of(node).map((report) => report.seq);
  }

  #of(node: string): Report[] {
    return this.reports.filter((entry) => entry.node === node).map((entry) => entry.report);
  }
}

export const payload = (report: Pick<Report, 'edges'>): number => report.edges.bytesSent.reduce((a, b) => a + b, 0);

/**
 * Commits to a Disk, report and number together, after a delay of its choice; `crash()` forgets what is under way,
 * as a killed scheduler would.
 */
export class DiskSink implements ReportSink {
  readonly disk: Disk;
  readonly #delay: () => Promise<unknown> | undefined;
  #tail: Promise<unknown> = Promise.resolve();
  #crashed = false;
  /** Reports given to this sink. */
  booked = 0;

  constructor(disk: Disk, delay: () => Promise<unknown> | undefined = () => undefined) {
    this.disk = disk;
    this.#delay = delay;
  }

  crash(): void {
    this.#crashed = true;
  }

  committedSeq(node: string, mapId: Uint8Array): number {
    return this.disk.committed.get(key(node, mapId)) ?? 0;
  }

  report(node: string, report: Report): void | Promise<void> {
    this.booked++;
    const delay = this.#delay();
    if (delay === undefined) {
      this.#commit(node, report);
      return;
    }
    // Commits happen in order, whatever their delays.
    const commit = Promise.all([this.#tail, delay]).then(() => this.#commit(node, report));
    this.#tail = commit.catch(() => undefined);
    return commit;
  }

  #commit(node: string, report: Report): void {
    if (this.#crashed) throw new Error('crashed');
    this.disk.committed.set(key(node, report.mapId), report.seq);
    this.disk.reports.push({ node, report });
  }
}

function key(node: string, mapId: Uint8Array): string {
  return `${node} ${Buffer.from(mapId).toString('hex')}`;
}

/** Everything a test starts, and its end. */
export class Rig {
  readonly #cleanups: (() => unknown)[] = [];

  onCleanup(cleanup: () => unknown): void {
    this.#cleanups.push(cleanup);
  }

  async cleanup(): Promise<void> {
    for (const cleanup of this.#cleanups.splice(0).reverse()) await cleanup();
  }

  async server(options: Partial<ReportServerOptions> & Pick<ReportServerOptions, 'sink'>): Promise<ReportServer> {
    const server = await startReportServer({
      listen: '127.0.0.1:0',
      logger: silentLogger,
      ranges: () => [],
      ...options,
    });
    this.onCleanup(() => server.close({ graceMs: 0 }));
    return server;
  }

  agent(
    target: string,
    node: string,
    options: Partial<Omit<ReportStreamOptions, 'hello'>> & { readonly mapId?: Uint8Array } = {},
  ): ReportStream {
    const { mapId, limits, ...rest } = options;
    const stream = createReportStream({
      target,
      hello: helloOf(node, mapId),
      logger: silentLogger,
      ...rest,
      limits: { ...quick, ...limits },
    });
    this.onCleanup(() => stream.close());
    return stream;
  }

  /** A client that says what it likes. */
  raw(target: string): RawAgent {
    const raw = new RawAgent(target);
    this.onCleanup(() => raw.hangUp());
    return raw;
  }

  /** A scheduler that says what it likes. */
  async fakeScheduler(onCall: (call: ServerDuplexStream<Buffer, Buffer>) => void): Promise<string> {
    const server = new Server();
    const same = (bytes: Buffer): Buffer => bytes;
    server.addService(
      {
        stream: {
          path: STREAM_METHOD,
          requestStream: true,
          responseStream: true,
          requestSerialize: same,
          requestDeserialize: same,
          responseSerialize: same,
          responseDeserialize: same,
        },
      },
      { stream: onCall },
    );
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => {
        if (error === null) resolve(bound);
        else reject(error);
      });
    });
    this.onCleanup(() => server.forceShutdown());
    return `127.0.0.1:${port}`;
  }
}

export class RawAgent {
  readonly #client: Client;
  readonly call;
  readonly messages: SchedulerMessage[] = [];
  readonly ended: Promise<{ code: number; details: string; error: string | undefined }>;

  constructor(target: string) {
    const same = (bytes: Buffer): Buffer => bytes;
    this.#client = new Client(target, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
    this.call = this.#client.makeBidiStreamRequest<Buffer, Buffer>(STREAM_METHOD, same, same, new Metadata());
    this.call.on('error', () => {});
    this.call.on('data', (bytes: Buffer) => this.messages.push(decodeSchedulerMessage(bytes)!));
    this.ended = new Promise((resolve) => {
      this.call.once('status', (status: { code: number; details: string; metadata: Metadata }) => {
        const error = status.metadata.get(CODE_TRAILER)[0]?.toString();
        resolve({ code: status.code, details: status.details, error });
      });
    });
  }

  say(message: AgentMessage): this {
    this.call.write(encodeAgentMessage(message));
    return this;
  }

  sayBytes(bytes: Uint8Array): this {
    this.call.write(Buffer.from(bytes));
    return this;
  }

  acks(): number[] {
    return this.messages.flatMap((message) => ('ack' in message ? [message.ack.seq] : []));
  }

  async welcomed(): Promise<this> {
    await until(() => this.messages.some((message) => 'welcome' in message));
    return this;
  }

  hangUp(): void {
    this.call.cancel();
    this.#client.close();
  }
}

export function helloOf(node: string, mapId: Uint8Array = mapIdOf(node)): Hello {
  return { protocol: PROTOCOL_VERSION, node, mapId, intervalMs: 10_000, version: 'test' };
}

export function mapIdOf(node: string): Uint8Array {
  const mapId = new Uint8Array(16);
  mapId.set(Buffer.from(node).subarray(0, 16));
  return mapId;
}

/** A period of `edges` edges of `bytes` bytes each; `firstPeer` says which, so that periods can share edges or not. */
export function periodOf(bytes: number, edges = 1, firstPeer = 0, periodMs = 1000): MeasuredPeriod {
  const table = new EdgeTable(edges);
  const local = ipv4(10, 0, 0, 1);
  for (let i = 0; i < edges; i++) {
    const peer = firstPeer + i;
    const row = table.row(
      table.address(local, 0),
      table.address(ipv4(10 + (peer >>> 24), (peer >>> 16) & 255, (peer >>> 8) & 255, peer & 255), 0),
      8080,
      ROLE_SERVER,
      IPPROTO_TCP,
    );
    table.add(row, bytes, 0, 1, 1, 0, 1);
  }
  return { edges: table.toColumns(), uplinks: [], losses: NO_LOSSES, cost: NO_COST, periodMs };
}

export function reportOf(node: string, seq: number, bytes = 1, edges = 1): Report {
  const period = periodOf(bytes, edges);
  return { seq, mapId: mapIdOf(node), ageMs: 0, merged: 0, ...period };
}

export function ipv4(a: number, b: number, c: number, d: number): Uint8Array {
  return Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, a, b, c, d);
}

/** Waits for a condition; the test's own time limit is the deadline. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(5);
}
