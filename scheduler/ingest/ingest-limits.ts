import { DEFAULT_CODEC_LIMITS } from '../../proto/codec.ts';
import { MAX_EDGE_WIRE_BYTES } from '../../proto/edge-codec.ts';

export interface IngestLimits {
  /** Largest message taken. Default 4 MiB. */
  readonly maxMessageBytes: number;
  /** Most agents at a time. Default 10,000: about what one core ingests at 10 s. */
  readonly maxAgents: number;
  /** Most edges of one report; agents split what is larger. Never more than fit into maxMessageBytes. Default 32,768. */
  readonly maxEdges: number;
  /**
   * Most reports of one agent in the sink at a time, by number and by memory; then the agent is held back. Defaults 64
   * and 8 MiB. Holding back is for trouble: what waits on the way looks younger than it is.
   */
  readonly maxUncommitted: number;
  readonly maxUncommittedBytes: number;
  /** From the call until Hello. Default 10 s. */
  readonly helloTimeoutMs: number;
  /** Without any report, and at least three intervals of the agent. Default 5 min. */
  readonly idleTimeoutMs: number;
  /** An agent that does not read what it is told. Default 1 min. */
  readonly slowReaderTimeoutMs: number;
  /** A ping after so much silence, and how long its answer may take. Defaults 60 s and 20 s. */
  readonly keepaliveMs: number;
  readonly keepaliveTimeoutMs: number;
}

export const DEFAULT_INGEST_LIMITS: IngestLimits = {
  maxMessageBytes: 4 * 1024 * 1024,
  maxAgents: 10_000,
  maxEdges: DEFAULT_CODEC_LIMITS.maxEdges,
  maxUncommitted: 64,
  maxUncommittedBytes: 8 * 1024 * 1024,
  helloTimeoutMs: 10_000,
  idleTimeoutMs: 300_000,
  slowReaderTimeoutMs: 60_000,
  keepaliveMs: 60_000,
  keepaliveTimeoutMs: 20_000,
};

/** Room for uplinks, losses, cost and the message around them. */
const HEAD_BYTES = 64 * 1024;

export function ingestLimits(given: Partial<IngestLimits> = {}): IngestLimits {
  const limits = { ...DEFAULT_INGEST_LIMITS, ...given };
  const fitting = Math.floor((limits.maxMessageBytes - HEAD_BYTES) / MAX_EDGE_WIRE_BYTES);
  return { ...limits, maxEdges: Math.max(1, Math.min(limits.maxEdges, fitting)) };
}
