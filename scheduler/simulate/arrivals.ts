import type { PodColumns, SimulatedCluster } from './cluster.ts';
import { shuffle } from '../../lib/shuffle.ts';
import type { Random } from './random.ts';

/**
 * random: all pods in random order; rollout: workload after workload in random order, the pods of each one after the
 * other; churn: every pod stands where it is, and in random order each is taken away and placed anew; as-is: as the
 * snapshot lists them.
 */
export const ORDERS = ['random', 'rollout', 'churn', 'as-is'] as const;
export type Order = (typeof ORDERS)[number];

/** Indices of pods, one after the other. */
export function arrivals(cluster: SimulatedCluster, order: Order, random: Random): Int32Array {
  const { pods } = cluster;
  const all = Int32Array.from({ length: pods.count }, (_, p) => p);
  switch (order) {
    case 'as-is':
      return all.sort((p, q) => pods.listed[p]! - pods.listed[q]!);
    case 'random':
    case 'churn':
      shuffle(all, random);
      return all;
    case 'rollout':
      return rollout(pods, cluster.workloads.length, random);
  }
}

function rollout(pods: PodColumns, workloadCount: number, random: Random): Int32Array {
  const podsOf: number[][] = Array.from({ length: workloadCount }, () => []);
  for (let p = 0; p < pods.count; p++) podsOf[pods.workload[p]!]!.push(p);
  const workloads = Int32Array.from({ length: workloadCount }, (_, w) => w);
  shuffle(workloads, random);
  return Int32Array.from([...workloads].flatMap((w) => podsOf[w]!));
}
