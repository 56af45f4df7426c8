import type { Cost, Losses } from '../../proto/report.ts';
import type { RowCounts, UplinkRate } from './agents.ts';
import { ABSTAIN_INTERVALS, STALE_INTERVALS } from './confidence.ts';
import type { TrafficGraph } from './traffic-graph.ts';

/**
 * reporting: it reported within 3 intervals. late: 3 to 10. silent: more than 10, so that its edges do not count for
 * placement. waiting: a stream is open, no report came yet.
 */
export type AgentState = 'reporting' | 'late' | 'silent' | 'waiting';

export interface AgentStatus {
  readonly node: string;
  readonly state: AgentState;
  readonly connected: boolean;
  readonly version: string;
  readonly intervalMs: number;
  /** Wall-clock time of the end of its last period; undefined: it never reported. */
  readonly lastReportMs: number | undefined;
  readonly reports: number;
  /** Periods that arrived merged into others. */
  readonly merged: number;
  readonly losses: Losses;
  /** 0..1, of recent traffic. */
  readonly lossShare: number;
  readonly rows: Readonly<RowCounts>;
  /** Since the start (rssBytes: the last gauge), and in its last period. */
  readonly cost: Cost;
  readonly lastCost: Cost | undefined;
  readonly lastPeriodMs: number;
  readonly uplinks: readonly UplinkRate[];
}

/** Every node from which an agent was ever heard. */
export function agentStatus(graph: TrafficGraph): AgentStatus[] {
  const now = graph.clock.lastMs;
  return graph.nodes.all
    .filter((node) => node.heard)
    .map((node) => {
      const never = node.watermarkMs === Number.NEGATIVE_INFINITY;
      const late = (now - node.watermarkMs) / node.intervalMs;
      const reporting = late <= STALE_INTERVALS ? 'reporting' : late <= ABSTAIN_INTERVALS ? 'late' : 'silent';
      return {
        node: node.name,
        state: never && node.connected ? 'waiting' : reporting,
        connected: node.connected,
        version: node.version,
        intervalMs: node.intervalMs,
        lastReportMs: never ? undefined : node.watermarkMs - graph.clock.skewMs,
        reports: node.reports,
        merged: node.merged,
        losses: { ...node.losses },
        lossShare: node.lossShare,
        rows: { ...node.rows },
        cost: { ...node.cost },
        lastCost: node.lastCost,
        lastPeriodMs: node.lastPeriodMs,
        uplinks: node.uplinks(),
      };
    });
}
