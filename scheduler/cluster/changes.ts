import { sameData } from '../../lib/json/same-data.ts';
import type { ClusterEvent, ClusterRecord } from './model.ts';
import { recordKey } from './records.ts';

/**
 * What turns one state into the other: deletions first, so that an address is free before its next owner shows it; then
 * what others refer to (nodes, controllers) before those that do. A pod of the same name with another uid is another pod.
 */
export function* changesBetween(
  before: ReadonlyMap<string, ClusterRecord>,
  after: ReadonlyMap<string, ClusterRecord>,
): Generator<ClusterEvent> {
  for (const [key, record] of before) {
    const now = after.get(key);
    if (now === undefined || now.uid !== record.uid) yield { op: 'delete', record };
  }
  for (const type of ['namespace', 'node', 'controller', 'service', 'pod'] as const) {
    for (const record of after.values()) {
      if (record.type !== type) continue;
      const known = before.get(recordKey(record));
      if (known === undefined || !sameData(known, record)) yield { op: 'upsert', record };
    }
  }
}
