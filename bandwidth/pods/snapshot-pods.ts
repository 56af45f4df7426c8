import { sentenceOf } from '../../lib/errors.ts';
import { WatchedFile } from '../../lib/files/watched-file.ts';
import { sameData } from '../../lib/json/same-data.ts';
import type { Logger } from '../../lib/log.ts';
import { readPodFile, type PodFile } from './pod-file.ts';
import type { PodSink, PodSource } from './pod-source.ts';

/** A change is seen within one look, and read when the file stood still for another. */
const POLL_MS = 100;

export interface SnapshotPodsOptions {
  readonly path: string;
  /** spec.nodeName of the pods that are meant. */
  readonly node: string;
  readonly logger: Logger;
  readonly pollMs?: number;
}

export interface SnapshotPodsStatus {
  /** The file was read once. */
  readonly synced: boolean;
  readonly pods: number;
  /** Why the file could not be read the last time; undefined: what is known is what it says. */
  readonly fault: string | undefined;
}

/**
 * The pods of one node from a file in kubectl's form, read again whenever it is replaced. A file that is missing or
 * wrong, also the first one, is told and waited for; what the last good one said stays.
 */
export class SnapshotPods implements PodSource {
  readonly #options: SnapshotPodsOptions;
  #file: WatchedFile | undefined;
  #known: PodFile | undefined;
  #fault: string | undefined;
  /** Nodes of the file that were told because this one was not among them. */
  #toldNodes: string | undefined;
  #stopped = false;

  constructor(options: SnapshotPodsOptions) {
    this.#options = options;
  }

  async start(sink: PodSink): Promise<void> {
    const { path, logger, pollMs = POLL_MS } = this.#options;
    this.#file = new WatchedFile({
      path,
      pollMs,
      patient: true,
      read: () => this.#read(sink),
      failed: (error) => {
        if (this.#stopped) return;
        this.#fault = sentenceOf(error);
        const known = this.#known === undefined ? 'nothing is known of them yet' : 'what is known of them stays';
        logger.warn(`the snapshot of pods cannot be used; ${known}`, { problem: this.#fault });
        sink.failed(error);
      },
    });
    await this.#file.start();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#file?.stop();
  }

  status(): SnapshotPodsStatus {
    return { synced: this.#known !== undefined, pods: this.#known?.pods.length ?? 0, fault: this.#fault };
  }

  async #read(sink: PodSink): Promise<void> {
    const { path, node, logger } = this.#options;
    const read = await readPodFile(path, node);
    if (this.#stopped) return;
    const before = this.#known;
    this.#known = read;
    this.#fault = undefined;
    this.#warn(read);
    if (before !== undefined && sameData(before.pods, read.pods)) return;
    logger.info('snapshot of pods read', { node, pods: read.pods.length, podsOfAll: read.podsOfAll });
    sink.pods(read.pods);
  }

  #warn({ pods, nodes, podsOfAll, unusable, repeated }: PodFile): void {
    const { path, node, logger } = this.#options;
    if (unusable > 0) {
      logger.warn('pods of this node lack a name or namespace and are left out', { node, pods: unusable, file: path });
    }
    if (repeated > 0) {
      logger.warn('pods stand in the snapshot more than once; the last counts', { node, pods: repeated, file: path });
    }
    const told = pods.length > 0 || unusable > 0 ? undefined : `${nodes.length} ${nodes.slice(0, 5).join(' ')}`;
    if (told !== undefined && told !== this.#toldNodes) {
      logger.warn('the snapshot has no pod of this node', {
        node,
        nodes: nodes.slice(0, 5),
        nodesOfAll: nodes.length,
        podsOfAll,
        file: path,
      });
    }
    this.#toldNodes = told;
  }
}
