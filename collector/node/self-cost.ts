import type { Cost } from '../../proto/report.ts';
import type { ProgramRuns } from '../kernel.ts';

/** What measuring itself has used, cumulative but for rssBytes. */
export interface CostReading {
  readonly bpfRuns: number;
  readonly bpfRunNs: number;
  /** User and system time of this process. */
  readonly cpuUs: number;
  readonly rssBytes: number;
}

export function readCost(runs: readonly ProgramRuns[]): CostReading {
  const { user, system } = process.cpuUsage();
  return {
    bpfRuns: runs.reduce((sum, program) => sum + program.runs, 0),
    bpfRunNs: runs.reduce((sum, program) => sum + program.runNs, 0),
    cpuUs: user + system,
    rssBytes: process.memoryUsage.rss(),
  };
}

export function costBetween(before: CostReading, now: CostReading): Cost {
  return {
    bpfRuns: Math.max(0, now.bpfRuns - before.bpfRuns),
    bpfRunNs: Math.max(0, now.bpfRunNs - before.bpfRunNs),
    cpuUs: Math.max(0, now.cpuUs - before.cpuUs),
    rssBytes: now.rssBytes,
  };
}
