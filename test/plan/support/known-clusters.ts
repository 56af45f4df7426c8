import { join } from 'node:path';
import type { PlacementProblem } from '../../../scheduler/placement/problem.ts';
import { generateCluster, type GenerateOptions } from '../../../scheduler/simulate/generate/generate.ts';
import { clusterOf, loadCluster } from '../../../scheduler/simulate/load.ts';

/** ByteDance's M3 (scheduler.md §6.2) out of the folder of example data, with at most half of a service's replicas on a node. */
export async function m3Problem(folder: string): Promise<PlacementProblem> {
  const files = { snapshot: join(folder, 'M3.json'), traffic: undefined };
  return (await loadCluster(files, { maxReplicaShare: 0.5 })).problem;
}

export function generatedProblem(options: Partial<GenerateOptions>): PlacementProblem {
  const { records, traffic } = generateCluster(options);
  return clusterOf(records, traffic, { maxReplicaShare: 0.5, hasUnits: true }).problem;
}
