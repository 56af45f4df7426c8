/**
 * How much larger the share of a's and b's traffic that stays within a domain becomes when one more replica of a
 * is put there: min((x_a + 1)/R_a, x_b/R_b) - min(x_a/R_a, x_b/R_b), in 0..1/R_a (placement-study.md §2.3).
 * It is the gain under balanced-local routing; it saturates by itself once the domain holds as large a share of a as of b.
 */
export function minMarginal(placedA: number, replicasA: number, placedB: number, replicasB: number): number {
  const shareB = placedB / replicasB;
  return Math.min((placedA + 1) / replicasA, shareB) - Math.min(placedA / replicasA, shareB);
}

/** Most replicas of a workload that one node may hold for traffic's sake. */
export function replicaCap(replicas: number, maxReplicaShare: number): number {
  return Math.max(1, Math.ceil(maxReplicaShare * replicas));
}

/** replicaCap() by workload; in a zone it is one too. */
export function replicaCaps(replicas: Int32Array, maxReplicaShare: number): Int32Array {
  return replicas.map((count) => replicaCap(count, maxReplicaShare));
}

/** 0..1: how much of its weight a pod's traffic has, so that a kilobyte a second moves nobody. */
export function floorFactor(bytesPerSecondPerReplica: number, floorBytesPerSecond: number): number {
  if (!(floorBytesPerSecond > 0)) return 1;
  return Math.min(1, bytesPerSecondPerReplica / floorBytesPerSecond);
}
