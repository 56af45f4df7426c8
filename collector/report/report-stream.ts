import { fullJitterMs } from '../../lib/backoff.ts';
import { messageOf } from '../../lib/errors.ts';
import type { Logger } from '../../lib/log.ts';
import { decodeSchedulerMessage, encodeAgentMessage } from '../../proto/codec.ts';
import {
  PROTOCOL_VERSION,
  type AddressRange,
  type Hello,
  type SchedulerMessage,
  type Welcome,
} from '../../proto/report.ts';
import { monotonicClock, type Clock } from './clock.ts';
import { hangUp, openConnection, type ClientTls } from './connection.ts';
import { checkPeriod, type MeasuredPeriod } from './period.ts';
import { ReportQueue, type NumberedPeriod, type ReportQueueStats, type SavedQueue } from './report-queue.ts';
import type { Ending, StreamState } from './stream-state.ts';

export interface ReportStreamLimits {
  /** Memory for periods that are not committed yet. Default 8 MiB: 10,000 edges a period for a minute and a half. */
  readonly maxBufferedBytes: number;
  /** Default 10 s. */
  readonly connectTimeoutMs: number;
  /** From the connection until the scheduler's Welcome. Default 10 s. */
  readonly welcomeTimeoutMs: number;
  /** The longest that a sent report may stay unacknowledged before the stream is given up. Default 2 min. */
  readonly ackTimeoutMs: number;
  /** Full-jitter exponential backoff: a wait is 0..min(max, min * 2^attempt). Defaults 0.5 s and 30 s. */
  readonly minBackoffMs: number;
  readonly maxBackoffMs: number;
  /** Wait after a version mismatch, which only a person can end. Default 1 min. */
  readonly mismatchRetryMs: number;
  /** A ping after so much silence, and how long its answer may take. Defaults 20 s and 10 s. */
  readonly keepaliveMs: number;
  readonly keepaliveTimeoutMs: number;
}

export const DEFAULT_REPORT_STREAM_LIMITS: ReportStreamLimits = {
  maxBufferedBytes: 8 * 1024 * 1024,
  connectTimeoutMs: 10_000,
  welcomeTimeoutMs: 10_000,
  ackTimeoutMs: 120_000,
  minBackoffMs: 500,
  maxBackoffMs: 30_000,
  mismatchRetryMs: 60_000,
  keepaliveMs: 20_000,
  keepaliveTimeoutMs: 10_000,
};

export interface ReportStreamOptions {
  /** HOST:PORT of the scheduler's address for agents. */
  readonly target: string;
  readonly hello: Omit<Hello, 'protocol'>;
  /** Absent: plaintext. */
  readonly tls?: ClientTls;
  readonly logger: Logger;
  readonly clock?: Clock;
  /** 0 <= x < 1 */
  readonly random?: () => number;
  /** The cluster's address ranges, at every welcome and whenever they change. */
  readonly onRanges?: (ranges: readonly AddressRange[]) => void;
  readonly onWelcome?: (welcome: Welcome) => void;
  readonly limits?: Partial<ReportStreamLimits>;
  /** What another stream had left to do. Throws RangeError if it does not fit together. */
  readonly resume?: SavedQueue;
  /**
   * A report got its number and is sent for the first time when this returns. What `save` gives now tells it: whoever
   * keeps that can go on after any end of this process, without a byte lost or told twice. Must not throw.
   */
  readonly onNumbered?: (report: NumberedPeriod) => void;
  /** Sent with every call, such as a token. */
  readonly headers?: () => Readonly<Record<string, string>>;
}

export interface ReportStreamStats extends ReportQueueStats {
  readonly state: StreamState['kind'];
  /** Reports written to a stream, repetitions included. */
  readonly sentReports: number;
  readonly sentBytes: number;
  /** Welcomes, so one more than there were interruptions. */
  readonly welcomes: number;
  readonly failedAttempts: number;
  readonly lastError: string | undefined;
}

export interface ReportStream {
  /**
   * Takes what was measured in the period that ends now. Never waits; the arrays belong to the stream afterwards.
   * Throws REPORT_MALFORMED for figures that the scheduler would refuse.
   */
  offer(period: MeasuredPeriod): void;
  /** Sends what it can within `flushMs` (default 0), then ends. What is left is in the stats. */
  close(options?: { readonly flushMs?: number }): Promise<void>;
  stats(): ReportStreamStats;
  /** What is left to do, also after `close`: see ReportQueue. */
  save(): SavedQueue;
  readonly revision: number;
}

export function createReportStream(options: ReportStreamOptions): ReportStream {
  const stream = new GrpcReportStream(options);
  stream.start();
  return stream;
}

class GrpcReportStream implements ReportStream {
  readonly #options: ReportStreamOptions;
  readonly #limits: ReportStreamLimits;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #log: Logger;
  readonly #queue: ReportQueue;
  #state: StreamState = { kind: 'disconnected' };
  #closed = false;
  #attempt = 0;
  /**
   * After the scheduler refused to read something of ours: one report at a time, so that the next refusal says which
   * one it is. That one is given up; without this it would be sent for ever, and nothing behind it.
   */
  #oneAtATime = false;
  #cancelDeadline: (() => void) | undefined;
  #cancelAckDeadline: (() => void) | undefined;
  #onDrained: (() => void) | undefined;
  #sentReports = 0;
  #sentBytes = 0;
  #welcomes = 0;
  #failedAttempts = 0;
  #lastError: string | undefined;

  constructor(options: ReportStreamOptions) {
    this.#options = options;
    this.#limits = { ...DEFAULT_REPORT_STREAM_LIMITS, ...options.limits };
    this.#clock = options.clock ?? monotonicClock;
    this.#random = options.random ?? Math.random;
    this.#log = options.logger.child({ scheduler: options.target });
    this.#queue = new ReportQueue(this.#limits.maxBufferedBytes);
    if (options.resume !== undefined) this.#queue.restore(options.resume);
  }

  start(): void {
    this.#connect();
  }

  offer(period: MeasuredPeriod): void {
    checkPeriod(period);
    if (this.#closed) return;
    this.#queue.offer(period, this.#clock.nowMs());
    this.#pump();
  }

  async close({ flushMs = 0 }: { readonly flushMs?: number } = {}): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (flushMs > 0 && !this.#queue.isEmpty) {
      await new Promise<void>((resolve) => {
        const cancel = this.#clock.after(flushMs, resolve);
        this.#onDrained = () => {
          cancel();
          resolve();
        };
      });
    }
    const { waiting, unacknowledged } = this.#queue.stats();
    if (waiting + unacknowledged > 0) this.#log.warn('reports are left unsent', { waiting, unacknowledged });
    this.#leave();
    this.#state = { kind: 'disconnected' };
  }

  stats(): ReportStreamStats {
    return {
      ...this.#queue.stats(),
      state: this.#state.kind,
      sentReports: this.#sentReports,
      sentBytes: this.#sentBytes,
      welcomes: this.#welcomes,
      failedAttempts: this.#failedAttempts,
      lastError: this.#lastError,
    };
  }

  save(): SavedQueue {
    return this.#queue.save();
  }

  get revision(): number {
    return this.#queue.revision;
  }

  // ---- connecting

  #connect(): void {
    const { target, tls, hello, headers } = this.#options;
    const { keepaliveMs, keepaliveTimeoutMs, connectTimeoutMs } = this.#limits;
    // What comes of a connection that was given up is of no interest.
    const isCurrent = (): boolean => 'call' in this.#state && this.#state.call === connection.call;
    const connection = openConnection(
      { target, tls, keepaliveMs, keepaliveTimeoutMs, headers: headers?.() ?? {} },
      {
        onConnected: () => isCurrent() && this.#onConnected(),
        onMessage: (bytes) => isCurrent() && this.#onMessage(bytes),
        onEnd: (ending) => isCurrent() && this.#fail(ending),
      },
    );
    this.#state = { kind: 'connecting', ...connection };
    this.#deadline(connectTimeoutMs, 'no connection');
    connection.call.write(encodeAgentMessage({ hello: { protocol: PROTOCOL_VERSION, ...hello } }));
  }

  #onConnected(): void {
    if (this.#state.kind !== 'connecting') return;
    const { client, call } = this.#state;
    this.#state = { kind: 'greeting', client, call };
    this.#deadline(this.#limits.welcomeTimeoutMs, 'no Welcome');
  }

  #deadline(ms: number, what: string): void {
    this.#cancelDeadline?.();
    this.#cancelDeadline = this.#clock.after(ms, () => {
      this.#fail({ message: `${what} within ${ms} ms`, code: 'REPORT_UNAVAILABLE' });
    });
  }

  #fail(ending: Ending): void {
    if (!('call' in this.#state)) return;
    const wasStreaming = this.#state.kind === 'streaming';
    const outstanding = this.#queue.outstanding;
    this.#leave();
    this.#lastError = ending.code === undefined ? ending.message : `${ending.code}: ${ending.message}`;
    this.#failedAttempts++;
    this.#attempt++;
    if (ending.code === 'REPORT_MALFORMED' && wasStreaming) this.#onRefused(outstanding);
    const delayMs = this.#delayAfter(ending);
    this.#logFailure(ending, delayMs);
    const cancel = this.#clock.after(delayMs, () => this.#connect());
    this.#state = { kind: 'backoff', attempt: this.#attempt, delayMs, cancel };
  }

  #delayAfter(ending: Ending): number {
    const { minBackoffMs, maxBackoffMs, mismatchRetryMs } = this.#limits;
    const jitter = this.#random();
    if (ending.code === 'REPORT_PROTOCOL_MISMATCH') return mismatchRetryMs * (0.5 + jitter / 2);
    // Two agents with one name would throw each other out as fast as they can connect.
    if (ending.code === 'REPORT_STREAM_REPLACED') return maxBackoffMs * (0.5 + jitter / 2);
    return fullJitterMs(this.#attempt - 1, minBackoffMs, maxBackoffMs, () => jitter);
  }

  #logFailure(ending: Ending, delayMs: number): void {
    const fields = { reason: ending.message, code: ending.code, attempt: this.#attempt, retryMs: Math.round(delayMs) };
    if (ending.code === 'REPORT_PROTOCOL_MISMATCH') {
      this.#log.error('the scheduler speaks another version of the report contract', fields);
    } else if (this.#attempt === 1 || this.#attempt % 20 === 0) {
      this.#log.warn('not connected to the scheduler; reports are kept', fields);
    } else this.#log.debug('not connected to the scheduler', fields);
  }

  /** Leaves whatever state it is in, without choosing the next. */
  #leave(): void {
    this.#cancelDeadline?.();
    this.#cancelAckDeadline?.();
    this.#cancelDeadline = this.#cancelAckDeadline = undefined;
    if ('call' in this.#state) hangUp(this.#state);
    if (this.#state.kind === 'backoff') this.#state.cancel();
    this.#queue.disconnected();
  }

  // ---- messages

  #onMessage(bytes: Buffer): void {
    let message: SchedulerMessage | undefined;
    try {
      message = decodeSchedulerMessage(bytes);
    } catch (error) {
      this.#fail({ message: messageOf(error), code: undefined });
      return;
    }
    if (message === undefined) return;
    if ('welcome' in message) this.#onWelcome(message.welcome);
    else if (this.#state.kind !== 'streaming') {
      this.#fail({ message: 'the scheduler said something else than Welcome first', code: 'REPORT_OUT_OF_ORDER' });
    } else if ('ack' in message) this.#onAck(message.ack.seq);
    else this.#tell('ranges', this.#options.onRanges, message.ranges);
  }

  #onWelcome(welcome: Welcome): void {
    this.#onConnected();
    if (this.#state.kind !== 'greeting') {
      this.#fail({ message: 'the scheduler said Welcome twice', code: 'REPORT_OUT_OF_ORDER' });
      return;
    }
    if (welcome.protocol !== PROTOCOL_VERSION) {
      const message = `the scheduler speaks version ${welcome.protocol}, this agent ${PROTOCOL_VERSION}`;
      this.#fail({ message, code: 'REPORT_PROTOCOL_MISMATCH' });
      return;
    }
    this.#cancelDeadline?.();
    const { client, call } = this.#state;
    this.#state = { kind: 'streaming', client, call, writing: false };
    this.#welcomes++;
    this.#log.info('connected to the scheduler', { committedSeq: welcome.committedSeq, maxEdges: welcome.maxEdges });
    this.#queue.welcome(welcome.committedSeq, welcome.maxEdges);
    this.#tell('welcome', this.#options.onWelcome, welcome);
    this.#tell('ranges', this.#options.onRanges, welcome.ranges);
    this.#checkDrained();
    this.#pump();
  }

  #onAck(seq: number): void {
    this.#attempt = 0;
    this.#oneAtATime = false;
    this.#cancelAckDeadline?.();
    this.#cancelAckDeadline = undefined;
    this.#queue.acknowledge(seq);
    this.#checkDrained();
    this.#expectAck();
    this.#pump();
  }

  #onRefused(outstanding: number): void {
    if (this.#oneAtATime && outstanding === 1) {
      const refused = this.#queue.refuseOldest();
      this.#log.error('the scheduler cannot read a report; it is given up and counted as lost', {
        seq: refused?.seq,
        edges: refused?.period.edges.n,
        reason: this.#lastError,
      });
    }
    this.#oneAtATime = true;
  }

  #tell<T>(what: string, callback: ((value: T) => void) | undefined, value: T): void {
    try {
      callback?.(value);
    } catch (error) {
      this.#log.error(`what the scheduler said about ${what} could not be used`, { error });
    }
  }

  // ---- sending

  /** Writes one report at a time: the next when the last has left grpc-js, so nothing piles up inside it. */
  #pump(): void {
    const state = this.#state;
    if (state.kind !== 'streaming' || state.writing) return;
    if (this.#oneAtATime && this.#queue.outstanding > 0) return;
    const { lastSeq } = this.#queue;
    const next = this.#queue.next();
    if (next === undefined) return;
    if (this.#queue.lastSeq !== lastSeq) this.#options.onNumbered?.(next);
    // offer() refused what cannot be encoded.
    const bytes = this.#encode(next);
    state.writing = true;
    this.#sentReports++;
    this.#sentBytes += bytes.length;
    this.#expectAck();
    state.call.write(bytes, () => {
      state.writing = false;
      if (this.#state === state) this.#pump();
    });
  }

  #encode({ seq, period }: NumberedPeriod): Buffer {
    const { edges, uplinks, losses, cost, startMs, endMs, merged } = period;
    return encodeAgentMessage({
      report: {
        seq,
        mapId: this.#options.hello.mapId,
        periodMs: milliseconds(endMs - startMs),
        ageMs: milliseconds(this.#clock.nowMs() - endMs),
        edges,
        uplinks,
        losses,
        cost,
        merged: merged <= 1 ? 0 : merged,
      },
    });
  }

  #expectAck(): void {
    if (this.#cancelAckDeadline !== undefined || this.#queue.outstanding === 0) return;
    const { ackTimeoutMs } = this.#limits;
    this.#cancelAckDeadline = this.#clock.after(ackTimeoutMs, () => {
      this.#fail({ message: `no acknowledgement within ${ackTimeoutMs} ms`, code: 'REPORT_UNAVAILABLE' });
    });
  }

  #checkDrained(): void {
    if (this.#queue.isEmpty) this.#onDrained?.();
  }
}

/** As the contract carries it: whole, and up to 49 days. */
function milliseconds(ms: number): number {
  return Math.min(0xffffffff, Math.max(0, Math.round(ms)));
}
