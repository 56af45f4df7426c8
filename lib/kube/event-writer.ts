import { hostname } from 'node:os';
import { sentenceOf } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { KubeApi } from './kube-client.ts';

/** A sentence about a pod, for its owner (`kubectl describe pod`). */
export interface PodNote {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  /** Warning: something is wrong, and its owner should do something. */
  readonly type: 'Normal' | 'Warning';
  /** For machines, in CamelCase. */
  readonly reason: string;
  readonly message: string;
}

/** Who tells it. */
export interface EventSource {
  /** Shown by `kubectl describe`. */
  readonly component: string;
  /** Name of a domain, such as netloom.io/agent. */
  readonly controller: string;
  /** Of the node, where it is told about pods of this node. */
  readonly host?: string;
}

export interface EventWriterOptions {
  readonly api: Pick<KubeApi, 'post'>;
  readonly source: EventSource;
  readonly logger: Logger;
  /** Milliseconds since 1970, steady. */
  readonly now: () => number;
}

export interface EventWriterStats {
  readonly written: number;
  /** Not written because there were too many at once. */
  readonly skipped: number;
  readonly failed: number;
}

/** As client-go's default spam filter: a burst of 25, then one now and then; but over all pods, for they share an API server. */
const BURST = 25;
const PER_SECOND = 5;
const IN_FLIGHT = 4;
const TIMEOUT_MS = 5_000;
/** The API server refuses a longer message. */
const MAX_MESSAGE = 1024;

/** Writes core/v1 Events, few, in the background; what fails is counted, and tried again only by who wants that. */
export class EventWriter {
  readonly #options: EventWriterOptions;
  #tokens = BURST;
  #filledMs: number;
  #inFlight = 0;
  #count = 0;
  readonly #stats = { written: 0, skipped: 0, failed: 0 };

  constructor(options: EventWriterOptions) {
    this.#options = options;
    this.#filledMs = options.now();
  }

  get stats(): EventWriterStats {
    return this.#stats;
  }

  /**
   * Whether one may be written now; takes the right to it. What is then written costs its sentence only if so; what must
   * be told is offered again later.
   */
  admit(): boolean {
    const nowMs = this.#options.now();
    this.#tokens = Math.min(BURST, this.#tokens + ((nowMs - this.#filledMs) * PER_SECOND) / 1000);
    this.#filledMs = nowMs;
    if (this.#tokens < 1 || this.#inFlight >= IN_FLIGHT) {
      this.#stats.skipped++;
      return false;
    }
    this.#tokens--;
    return true;
  }

  /** @returns whether it was written; never rejects */
  async write(note: PodNote): Promise<boolean> {
    const { namespace, name, uid, type, reason, message } = note;
    const { api, source, logger, now } = this.#options;
    const { component, controller, host } = source;
    const nowMs = now();
    const time = new Date(nowMs).toISOString().replace(/\.\d+Z$/, 'Z');
    this.#inFlight++;
    try {
      const reply = await api.post(
        `/api/v1/namespaces/${encodeURIComponent(namespace)}/events`,
        {
          apiVersion: 'v1',
          kind: 'Event',
          metadata: {
            namespace,
            name: `${name.slice(0, 200)}.${Math.floor(nowMs).toString(16)}${(this.#count++).toString(16)}`,
          },
          involvedObject: { apiVersion: 'v1', kind: 'Pod', namespace, name, uid },
          type,
          reason,
          message: message.slice(0, MAX_MESSAGE),
          count: 1,
          firstTimestamp: time,
          lastTimestamp: time,
          source: { component, ...(host === undefined ? {} : { host }) },
          reportingComponent: controller,
          reportingInstance: hostname().slice(0, 128),
        },
        AbortSignal.timeout(TIMEOUT_MS),
      );
      reply.body.resume();
      if (reply.status >= 300) throw new Error(`the API server answered ${reply.status}`);
      this.#stats.written++;
      return true;
    } catch (error) {
      // Of many the first is told, and then each hundredth.
      if (this.#stats.failed++ % 100 === 0) {
        logger.warn('an event could not be written; this account needs create of events', {
          pod: `${namespace}/${name}`,
          problem: sentenceOf(error),
        });
      }
      return false;
    } finally {
      this.#inFlight--;
    }
  }
}
