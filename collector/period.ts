import type { Cost, EdgeColumns, Losses, Uplink } from '../proto/report.ts';

/** What was measured during one period: a Report without its place in the stream. Figures are what was added. */
export interface Period {
  readonly periodMs: number;
  readonly edges: EdgeColumns;
  readonly uplinks: readonly Uplink[];
  readonly losses: Losses;
  readonly cost: Cost;
}
