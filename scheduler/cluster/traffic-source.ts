import { sentenceOf } from '../../lib/errors.ts';
import type { Logger } from '../../lib/log.ts';
import { WatchedFile } from '../../lib/files/watched-file.ts';
import { readTraffic } from './traffic-file.ts';
import type { TrafficRow } from './traffic.ts';

export interface TrafficSink {
  /** All rows, now and whenever the file was replaced. */
  rows(rows: readonly TrafficRow[]): void;
  /** The file cannot be read; the rows before stay. */
  failed(error: unknown): void;
}

/** Known traffic from a CSV file that is read again when it is replaced. start() rejects if the first cannot be read. */
export class TrafficSource {
  readonly #path: string;
  readonly #logger: Logger;
  readonly #pollMs: number | undefined;
  #file: WatchedFile | undefined;

  constructor(path: string, options: { readonly logger: Logger; readonly pollMs?: number }) {
    this.#path = path;
    this.#logger = options.logger;
    this.#pollMs = options.pollMs;
  }

  async start(sink: TrafficSink): Promise<void> {
    this.#file = new WatchedFile({
      path: this.#path,
      ...(this.#pollMs === undefined ? {} : { pollMs: this.#pollMs }),
      read: async () => {
        const rows = await readTraffic(this.#path);
        this.#logger.info('traffic file read', { rows: rows.length });
        sink.rows(rows);
      },
      failed: (error) => {
        this.#logger.warn('the traffic file cannot be read; its rows before stay', {
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
}
