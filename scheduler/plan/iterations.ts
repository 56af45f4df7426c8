import type { PlacementProblem } from '../placement/problem.ts';

/**
 * Proposals that annealing a problem is worth: so many for each replica that talks with others, but no less than makes
 * a small cluster's plan as good as it gets, and no more than a large one's has time for.
 */
export function worthwhileIterations({ edgeA, edgeB, replicas, workloadCount }: PlacementProblem): number {
  const talks = new Uint8Array(workloadCount);
  for (const ends of [edgeA, edgeB]) for (const w of ends) talks[w] = 1;
  let count = 0;
  for (let w = 0; w < workloadCount; w++) if (talks[w] === 1) count += replicas[w]!;
  return Math.min(ITERATIONS.most, Math.max(ITERATIONS.least, ITERATIONS.perReplica * count));
}

const ITERATIONS = { perReplica: 1_000, least: 2_000_000, most: 5_000_000 } as const;
