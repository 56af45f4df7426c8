import { sentenceOf } from '../../lib/errors.ts';
import type { Logger } from '../../lib/log.ts';
import { WatchedFile } from '../../lib/files/watched-file.ts';
import { deliverChanges } from './delivery.ts';
import type { ClusterRecord, ClusterSink, ClusterSource } from './model.ts';
import { readSnapshot, type SnapshotSummary } from './snapshot-file.ts';

export interface SnapshotSourceOptions {
  readonly logger: Logger;
  readonly pollMs?: number;
}

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
          problem: sentenceOf(error),
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
    const changes = await deliverChanges(sink, this.#delivered, records);
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
