import { setImmediate as nextTurn } from 'node:timers/promises';
import { messageOf } from '../../lib/errors.ts';
import type { Logger } from '../../lib/log.ts';
import type { ClusterEvent, ClusterRecord, ClusterSink, ClusterSource } from './model.ts';
import { recordKey, sameData } from './records.ts';
import { readSnapshot, type SnapshotSummary } from './snapshot-file.ts';
import { WatchedFile } from './watched-file.ts';

export interface SnapshotSourceOptions {
  readonly logger: Logger;
  readonly pollMs?: number;
}

/** Events delivered in one turn of the event loop: a few milliseconds of the indexes' work. */
const EVENTS_PER_TURN = 2_000;

/**
 * Cluster state from a file. Delivers all of it, and after each replacement of the file what is different. A file that
 * cannot be read later on is told to the sink, and changes nothing; start() rejects if the first cannot.
 */
export class SnapshotSource implements ClusterSource {
  readonly #path: string;
  readonly #options: SnapshotSourceOptions;
  #delivered: ReadonlyMap<string, ClusterRecord> = new Map();
  #file: WatchedFile | undefined;
  /** Of the file that is in force. */
  summary: SnapshotSummary | undefined;

  constructor(path: string, options: SnapshotSourceOptions) {
    this.#path = path;
    this.#options = options;
  }

  async start(sink: ClusterSink): Promise<void> {
    const { pollMs, logger } = this.#options;
    this.#file = new WatchedFile({
      path: this.#path,
      ...(pollMs === undefined ? {} : { pollMs }),
      read: () => this.#read(sink),
      failed: (error) => {
        logger.warn('the snapshot cannot be read; the state before it stays', {
          problem: messageOf(error),
          file: this.#path,
        });
        sink.failed(error);
      },
    });
    await this.#file.start();
  }

  async stop(): Promise<void> {
    await this.#file?.stop();
  }

  async #read(sink: ClusterSink): Promise<void> {
    const { records, summary } = await readSnapshot(this.#path);
    let events: ClusterEvent[] = [];
    let changes = 0;
    for (const event of changesBetween(this.#delivered, records)) {
      events.push(event);
      changes++;
      if (events.length < EVENTS_PER_TURN) continue;
      sink.apply(events);
      events = [];
      await nextTurn();
    }
    if (events.length > 0) sink.apply(events);
    this.#delivered = records;
    this.summary = summary;
    const { form, nodes, pods, services, controllers, unusable } = summary;
    this.#options.logger.info('snapshot read', { form, nodes, pods, services, controllers, changes });
    if (unusable.length > 0) {
      this.#options.logger.warn('objects of the snapshot could not be used', { objects: unusable.slice(0, 5) });
    }
    sink.synced();
  }
}

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
  for (const type of ['node', 'controller', 'service', 'pod'] as const) {
    for (const record of after.values()) {
      if (record.type !== type) continue;
      const known = before.get(recordKey(record));
      if (known === undefined || !sameData(known, record)) yield { op: 'upsert', record };
    }
  }
}
