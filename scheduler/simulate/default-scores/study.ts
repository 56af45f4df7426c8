import type { Moment } from '../moment.ts';
import type { DefaultScores } from './default-scores.ts';

/**
 * The model of placement-study.md §1, without rounding: LeastAllocated 50 (free CPU + free memory),
 * BalancedAllocation 100 (1 - |used CPU - used memory| / 2), both with the pod there, and twice PodTopologySpread 100
 * (max + min - x) / max.
 */
export const STUDY_SCORES: DefaultScores = {
  whole: false,
  score(moment: Moment, totals: Float64Array): void {
    const { cluster, pod, own, candidates, candidateCount, freeMilliCpu, freeMemoryBytes } = moment;
    const { allocatableMilliCpu, allocatableMemoryBytes } = cluster;
    const milliCpu = cluster.pods.milliCpu[pod]!;
    const memoryBytes = cluster.pods.memoryBytes[pod]!;
    let most = 0;
    let least = Infinity;
    for (let c = 0; c < candidateCount; c++) {
      const here = own[candidates[c]!]!;
      if (here > most) most = here;
      if (here < least) least = here;
    }
    for (let c = 0; c < candidateCount; c++) {
      const n = candidates[c]!;
      const freeCpu = (freeMilliCpu[n]! - milliCpu) / Math.max(1, allocatableMilliCpu[n]!);
      const freeMemory = (freeMemoryBytes[n]! - memoryBytes) / Math.max(1, allocatableMemoryBytes[n]!);
      const spread = most === 0 ? 100 : (100 * (most + least - own[n]!)) / most;
      totals[c] = 50 * (freeCpu + freeMemory) + 100 * (1 - Math.abs(freeCpu - freeMemory) / 2) + 2 * spread;
    }
  },
};
