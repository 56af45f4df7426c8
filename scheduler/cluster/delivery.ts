import { setImmediate as nextTurn } from 'node:timers/promises';
import { changesBetween } from './changes.ts';
import type { ClusterEvent, ClusterRecord, ClusterSink } from './model.ts';

/** Events delivered in one turn of the event loop: a few milliseconds of the indexes' work. */
const EVENTS_PER_TURN = 2_000;

/** Tells the sink what turns one state into the other, a few milliseconds of work at a time. @returns how many changes */
export async function deliverChanges(
  sink: ClusterSink,
  before: ReadonlyMap<string, ClusterRecord>,
  after: ReadonlyMap<string, ClusterRecord>,
): Promise<number> {
  let events: ClusterEvent[] = [];
  let changes = 0;
  for (const event of changesBetween(before, after)) {
    events.push(event);
    changes++;
    if (events.length < EVENTS_PER_TURN) continue;
    sink.apply(events);
    events = [];
    await nextTurn();
  }
  if (events.length > 0) sink.apply(events);
  return changes;
}
