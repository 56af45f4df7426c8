import type { SnapshotSummary } from '../cluster/snapshot-file.ts';
import type { ResolvedTraffic } from '../cluster/traffic.ts';

/**
 * object-unusable: an object of the snapshot that counts for nothing; object-field: one that is used but for a field, such as a
 * Quantity that is none; traffic-unknown: a row that names what is not in the cluster, and is left out; traffic-deserted: a row
 * with a Service that has no workload behind it, whose traffic counts as leaving the cluster.
 */
export const INPUT_PROBLEMS = ['object-unusable', 'object-field', 'traffic-unknown', 'traffic-deserted'] as const;

/** What of the input could not be used, or not as it says. */
export interface InputProblem {
  readonly problem: (typeof INPUT_PROBLEMS)[number];
  readonly count: number;
  /** The first ones: where, what was found, what is expected. */
  readonly samples: readonly string[];
}

export function snapshotProblems({ unusable, odd, oddSamples }: SnapshotSummary): InputProblem[] {
  const sum = (entries: SnapshotSummary['odd']): number => entries.reduce((total, { count }) => total + count, 0);
  return met([
    {
      problem: 'object-unusable',
      count: sum(unusable),
      samples: unusable.map(({ what, sample }) => `${what}: ${sample}`),
    },
    { problem: 'object-field', count: sum(odd), samples: oddSamples },
  ]);
}

export function trafficProblems({ unknown, deserted }: Pick<ResolvedTraffic, 'unknown' | 'deserted'>): InputProblem[] {
  return met([
    { problem: 'traffic-unknown', ...unknown },
    { problem: 'traffic-deserted', ...deserted },
  ]);
}

function met(problems: readonly InputProblem[]): InputProblem[] {
  return problems.filter(({ count }) => count > 0);
}
