import type { Hello, Report } from '../../proto/report.ts';

/**
 * Where reports go: graph and store. The server in front of it takes care of order and repetition; a sink books what
 * it is given, and says when that is safe.
 *
 * Contract:
 * - `report` is called once for each sequence number of (node, map id), ascending; a number may be missing (the agent
 *   gave it up), none comes twice unless its commit failed.
 * - A report counts as committed when `report` has returned (synchronous sinks), or when the promise it returned is
 *   fulfilled. From then on `committedSeq` must say at least this number, also after a restart: what the report
 *   added and its number belong into one transaction. Only then it is acknowledged, and the agent forgets it.
 * - Commits happen in the order of numbers. When one fails, so do the later ones of this node that are under way:
 *   the agent sends them all again.
 * - The report is the sink's: its columns lie in one ArrayBuffer that nobody else holds, and may be transferred.
 */
export interface ReportSink {
  /** Highest committed number of this map id; 0: none. */
  committedSeq(node: string, mapId: Uint8Array): number | Promise<number>;
  /** `receivedMs`: when it arrived, on the server's clock. The period ended `report.ageMs` before. */
  report(node: string, report: Report, receivedMs: number): void | Promise<void>;
  /** A stream was welcomed. */
  agentConnected?(agent: ConnectedAgent): void;
  /** The node's stream ended and none replaced it. */
  agentGone?(node: string, nowMs: number): void;
}

export interface ConnectedAgent {
  readonly node: string;
  readonly hello: Hello;
  /** Address and port it came from. */
  readonly peer: string;
  readonly connectedMs: number;
}

/** Commits at once and for as long as the process lives; hands every report on to `book`. */
export class MemorySink implements ReportSink {
  readonly #committed = new Map<string, { readonly mapId: string; readonly seq: number }>();
  readonly #book: (node: string, report: Report, receivedMs: number) => void;

  constructor(book: (node: string, report: Report, receivedMs: number) => void = () => {}) {
    this.#book = book;
  }

  committedSeq(node: string, mapId: Uint8Array): number {
    const last = this.#committed.get(node);
    return last?.mapId === hex(mapId) ? last.seq : 0;
  }

  report(node: string, report: Report, receivedMs: number): void {
    this.#book(node, report, receivedMs);
    this.#committed.set(node, { mapId: hex(report.mapId), seq: report.seq });
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
