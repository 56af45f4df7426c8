import type { ClusterEvent, PodRecord } from '../cluster/model.ts';

/**
 * Pods that these events show bound and that were known unbound before; one that was bound when it was first seen may have
 * been so for long. To be asked before the events are applied. Of one pod several may come together, its first and its
 * binding among them. Pure.
 * @param podOf as it is known without these events
 */
export function newlyBound(
  events: readonly ClusterEvent[],
  podOf: (uid: string) => PodRecord | undefined,
): readonly PodRecord[] {
  const earlier = new Map<string, PodRecord>();
  const bound: PodRecord[] = [];
  for (const { op, record } of events) {
    if (op !== 'upsert' || record.type !== 'pod') continue;
    const before = earlier.get(record.uid) ?? podOf(record.uid);
    earlier.set(record.uid, record);
    if (before?.uid === record.uid && before.node === undefined && record.node !== undefined) bound.push(record);
  }
  return bound;
}
