import { Metadata, status, type ServerDuplexStream } from '@grpc/grpc-js';
import { messageOf, NetloomError } from '../../lib/errors.ts';
import type { ErrorCode } from '../../lib/error-codes.ts';
import { decodeAgentMessage, DEFAULT_CODEC_LIMITS, encodeSchedulerMessage } from '../../proto/codec.ts';
import type { AgentMessage, Hello, Report } from '../../proto/report.ts';
import type { IngestLimits } from './ingest-limits.ts';
import { gateOf, type ReadGate } from './read-gate.ts';

export type AgentCall = ServerDuplexStream<Buffer, Buffer>;

/** The trailer in which a status carries the code of lib/error-codes.ts. */
export const CODE_TRAILER = 'netloom-code';

/**
 * Where one agent's call stands.
 *
 *     awaiting-hello --Hello--> welcoming --admitted--> streaming --end or error--> ended
 *
 * and from everywhere to `ended`.
 */
export type AgentStreamState =
  /** Bounded by helloTimeoutMs. */
  | { readonly kind: 'awaiting-hello' }
  /** Who it is, and what is committed of it, is being asked. What it sends meanwhile is held back. */
  | { readonly kind: 'welcoming'; readonly hello: Hello }
  /** Welcomed. `halfClosed`: the agent will send nothing more, but waits for acknowledgements. */
  | { readonly kind: 'streaming'; readonly hello: Hello; halfClosed: boolean }
  | { readonly kind: 'ended' };

/** What the server behind the streams does. */
export interface AgentStreamOwner {
  readonly limits: IngestLimits;
  now(): number;
  /** Decides about the newcomer: welcomes it, or ends its stream. */
  admit(stream: AgentStream, hello: Hello): Promise<void>;
  report(stream: AgentStream, report: Report): void;
  malformed(stream: AgentStream, error: NetloomError): void;
  /** Nothing of this agent waits for its commit. */
  isSettled(stream: AgentStream): boolean;
  ended(stream: AgentStream): void;
}

/**
 * One agent's call: reads in order, writes one message at a time. What waits to be written is bounded by its shape:
 * at most one Welcome, one range table and one acknowledgement, of which the newest replaces the older.
 */
export class AgentStream {
  readonly peer: string;
  readonly openedMs: number;
  readonly #call: AgentCall;
  readonly #owner: AgentStreamOwner;
  readonly #gate: ReadGate;
  #state: AgentStreamState = { kind: 'awaiting-hello' };
  #node: string | undefined;
  #lastReportMs: number;
  #welcome: Buffer | undefined;
  #ranges: Buffer | undefined;
  #ackSeq: number | undefined;
  #writingSinceMs: number | undefined;

  constructor(call: AgentCall, owner: AgentStreamOwner) {
    this.#call = call;
    this.#owner = owner;
    this.#gate = gateOf(call.metadata);
    this.peer = call.getPeer();
    this.openedMs = owner.now();
    this.#lastReportMs = this.openedMs;
    call.on('data', (bytes: Buffer) => this.#onMessage(bytes));
    call.on('end', () => this.#onHalfClose());
    call.on('cancelled', () => this.#onGone());
    call.on('close', () => this.#onGone());
    call.on('error', () => this.#onGone());
  }

  /** As it said in Hello, also after the end. */
  get node(): string | undefined {
    return this.#node;
  }

  get metadata(): Metadata {
    return this.#call.metadata;
  }

  get call(): AgentCall {
    return this.#call;
  }

  get state(): AgentStreamState {
    return this.#state;
  }

  get lastReportMs(): number {
    return this.#lastReportMs;
  }

  welcome(message: Buffer): void {
    if (this.#state.kind !== 'welcoming') return;
    this.#state = { kind: 'streaming', hello: this.#state.hello, halfClosed: false };
    this.#welcome = message;
    this.#lastReportMs = this.#owner.now();
    this.resume();
    this.#flush();
  }

  sendRanges(message: Buffer): void {
    if (this.#state.kind !== 'streaming') return;
    this.#ranges = message;
    this.#flush();
  }

  /** Acknowledges `seq` and all below. */
  acknowledge(seq: number): void {
    this.#ackSeq = Math.max(seq, this.#ackSeq ?? 0);
    this.#flush();
  }

  /** Stops reading until `resume`. */
  hold(): void {
    this.#gate.close();
  }

  resume(): void {
    this.#gate.open();
  }

  end(code: status, error: ErrorCode, details: string): void {
    if (this.#state.kind === 'ended') return;
    this.#leave();
    const metadata = new Metadata();
    metadata.set(CODE_TRAILER, error);
    this.#call.emit('error', { code, details, metadata });
  }

  /** Looks at the time limits; called once in a while. */
  checkTime(nowMs: number): void {
    const { limits } = this.#owner;
    const state = this.#state;
    if (state.kind === 'awaiting-hello' && nowMs - this.openedMs > limits.helloTimeoutMs) {
      this.end(status.DEADLINE_EXCEEDED, 'REPORT_LIMIT_REACHED', `no Hello within ${limits.helloTimeoutMs} ms`);
    } else if (state.kind === 'streaming') {
      const idleMs = Math.max(limits.idleTimeoutMs, 3 * state.hello.intervalMs);
      if (nowMs - this.#lastReportMs > idleMs && !this.#gate.isClosed) {
        this.end(status.DEADLINE_EXCEEDED, 'REPORT_LIMIT_REACHED', `no report within ${idleMs} ms`);
      } else if (this.#writingSinceMs !== undefined && nowMs - this.#writingSinceMs > limits.slowReaderTimeoutMs) {
        const details = `nothing read within ${limits.slowReaderTimeoutMs} ms`;
        this.end(status.RESOURCE_EXHAUSTED, 'REPORT_LIMIT_REACHED', details);
      }
    }
  }

  #onMessage(bytes: Buffer): void {
    if (this.#state.kind === 'ended') return;
    let message: AgentMessage | undefined;
    try {
      message = decodeAgentMessage(bytes, { ...DEFAULT_CODEC_LIMITS, maxEdges: this.#owner.limits.maxEdges });
    } catch (error) {
      const malformed =
        error instanceof NetloomError
          ? error
          : new NetloomError('REPORT_MALFORMED', messageOf(error), { cause: error });
      this.#owner.malformed(this, malformed);
      this.end(status.INVALID_ARGUMENT, 'REPORT_MALFORMED', describe(malformed));
      return;
    }
    if (message === undefined) return;
    if ('hello' in message) this.#onHello(message.hello);
    else this.#onReport(message.report);
  }

  #onHello(hello: Hello): void {
    if (this.#state.kind !== 'awaiting-hello') {
      this.end(status.FAILED_PRECONDITION, 'REPORT_OUT_OF_ORDER', 'Hello may be said only once');
      return;
    }
    this.#state = { kind: 'welcoming', hello };
    this.#node = hello.node;
    this.hold();
    this.#owner.admit(this, hello).catch((error: unknown) => {
      this.end(
        status.UNAVAILABLE,
        'REPORT_UNAVAILABLE',
        `the scheduler could not admit this agent: ${messageOf(error)}`,
      );
    });
  }

  #onReport(report: Report): void {
    if (this.#state.kind !== 'streaming') {
      this.end(status.FAILED_PRECONDITION, 'REPORT_OUT_OF_ORDER', 'the first message must be Hello');
      return;
    }
    if (Buffer.compare(report.mapId, this.#state.hello.mapId) !== 0) {
      this.end(status.FAILED_PRECONDITION, 'REPORT_OUT_OF_ORDER', 'another map id than in Hello: say Hello again');
      return;
    }
    this.#lastReportMs = this.#owner.now();
    this.#owner.report(this, report);
  }

  #onHalfClose(): void {
    if (this.#state.kind === 'streaming') {
      this.#state.halfClosed = true;
      this.#finishIfSettled();
    } else this.end(status.FAILED_PRECONDITION, 'REPORT_OUT_OF_ORDER', 'the stream ended before Hello was answered');
  }

  #onGone(): void {
    if (this.#state.kind !== 'ended') this.#leave();
  }

  #leave(): void {
    this.#state = { kind: 'ended' };
    this.#welcome = this.#ranges = this.#ackSeq = undefined;
    // What is still held back is not wanted any more, but must flow for the call to end.
    this.resume();
    this.#owner.ended(this);
  }

  #flush(): void {
    if (this.#state.kind !== 'streaming' || this.#writingSinceMs !== undefined) return;
    const bytes = this.#nextMessage();
    if (bytes === undefined) return;
    this.#writingSinceMs = this.#owner.now();
    this.#call.write(bytes, () => {
      this.#writingSinceMs = undefined;
      this.#flush();
      this.#finishIfSettled();
    });
  }

  /** The agent has said all: the call ends when the last acknowledgement is written. */
  #finishIfSettled(): void {
    if (this.#state.kind !== 'streaming' || !this.#state.halfClosed) return;
    if (this.#writingSinceMs !== undefined || !this.#owner.isSettled(this)) return;
    this.#leave();
    this.#call.end();
  }

  #nextMessage(): Buffer | undefined {
    if (this.#welcome !== undefined) {
      const message = this.#welcome;
      this.#welcome = undefined;
      return message;
    }
    if (this.#ranges !== undefined) {
      const message = this.#ranges;
      this.#ranges = undefined;
      return message;
    }
    if (this.#ackSeq === undefined) return undefined;
    const seq = this.#ackSeq;
    this.#ackSeq = undefined;
    return encodeSchedulerMessage({ ack: { seq } });
  }
}

function describe(error: NetloomError): string {
  const { place, expected, found } = error.details;
  const parts = [error.message];
  if (place !== undefined) parts.push(`at ${place}`);
  if (expected !== undefined) parts.push(`expected ${expected}`);
  if (found !== undefined) parts.push(`found ${found}`);
  return parts.join('; ');
}
