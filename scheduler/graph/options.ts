import type { AttributionOptions } from './attribution.ts';
import type { EdgeLimits } from './edges.ts';

export interface GraphOptions extends EdgeLimits, AttributionOptions {
  /** Nodes known at once, with or without an agent. */
  readonly maxNodes: number;
  /** A node is forgotten when its agent was silent for so long, ms. */
  readonly forgetNodeMs: number;
  /** Rows waiting for an agent or for an address to become known. */
  readonly maxHeldRows: number;
}

export const DEFAULT_GRAPH_OPTIONS: GraphOptions = {
  maxEndpoints: 1_000_000,
  maxWorkloadEdges: 500_000,
  maxPodEdges: 200_000,
  maxOutsidePeers: 64,
  maxNodes: 65_536,
  forgetNodeMs: 24 * 3_600_000,
  maxHeldRows: 50_000,
  coverGraceMs: 30_000,
  resolveGraceMs: 5_000,
};
