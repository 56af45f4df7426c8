import { closeSync } from 'node:fs';
import { EAGAIN, EINTR, errnoText } from '../bpf/errno.ts';
import { NetloomError } from '../errors.ts';
import { splitDatagram } from './message.ts';
import { DATAGRAM_BYTES, MSG_DONTWAIT, openListener, receiveFromKernel, type NetlinkOptions } from './socket.ts';

/** What may change. */
export type Topic = 'links' | 'addresses' | 'routes' | 'tc' | 'neighbours';

/** RTNLGRP_* of linux/rtnetlink.h. */
const GROUPS: Readonly<Record<Topic, readonly number[]>> = {
  links: [1],
  neighbours: [3],
  tc: [4],
  addresses: [5, 9],
  routes: [7, 11],
};

const TOPIC_OF_TYPE: Readonly<Record<number, Topic>> = {
  ...types('links', 16, 17),
  ...types('addresses', 20, 21),
  ...types('routes', 24, 25),
  ...types('neighbours', 28, 29),
  ...types('tc', 36, 37, 40, 41, 44, 45, 100, 101),
};

const DEFAULT_INTERVAL_MS = 100;
/** A burst of 110 pods coming at once is some 2,000 messages of 1.5 KiB. */
const BUFFER_BYTES = 4 << 20;
/** Datagrams in one turn of the event loop; the rest waits for the next. */
const MAX_DATAGRAMS_A_TURN = 1024;
const ENOBUFS = 105;

export interface Changes {
  readonly topics: ReadonlySet<Topic>;
  /** Devices that messages about links and tc named; empty after an overrun. */
  readonly ifindexes: ReadonlySet<number>;
  /** Messages were lost: everything may have changed, so look at all of it. */
  readonly overrun: boolean;
}

export interface MonitorOptions extends NetlinkOptions {
  readonly topics: readonly Topic[];
  /** How often it is looked; 10 to 10,000. Default 100. */
  readonly intervalMs?: number;
  /** Called after a look that found something, never twice at once. */
  readonly onChange: (changes: Changes) => void;
  /** The socket is of no use any more; the monitor has stopped. */
  readonly onError: (error: NetloomError) => void;
}

/**
 * Hears what changes in the network of one namespace and tells it in portions. It says that something changed, not how:
 * the reader lists it anew. No thread: a look costs one call (2 us) while all is quiet, and the timer does not keep the
 * process alive. Changes of addresses inside pods are not heard, for they happen in other namespaces.
 *
 * running -> stopped by `stop` or by an error.
 */
export class NetlinkMonitor {
  readonly #options: MonitorOptions;
  readonly #fd: number;
  readonly #timer: NodeJS.Timeout;
  readonly #datagram = Buffer.alloc(DATAGRAM_BYTES);
  #stopped = false;

  /** From here on nothing is missed: list everything once after this. @throws NetloomError NETLINK_FAILED */
  constructor(options: MonitorOptions) {
    this.#options = options;
    const groups = options.topics.flatMap((topic) => GROUPS[topic]);
    this.#fd = openListener(groups, BUFFER_BYTES, options);
    this.#timer = setInterval(() => this.look(), options.intervalMs ?? DEFAULT_INTERVAL_MS);
    this.#timer.unref();
  }

  /** Looks now instead of at the next tick. */
  look(): void {
    if (this.#stopped) return;
    let changes: Changes | undefined;
    try {
      changes = this.#drain();
    } catch (error) {
      this.stop();
      this.#options.onError(
        error instanceof NetloomError
          ? error
          : new NetloomError('NETLINK_FAILED', 'listening for changes of the network', { cause: error }),
      );
      return;
    }
    if (changes !== undefined) this.#options.onChange(changes);
  }

  /** Idempotent. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    clearInterval(this.#timer);
    closeSync(this.#fd);
  }

  #drain(): Changes | undefined {
    const topics = new Set<Topic>();
    const ifindexes = new Set<number>();
    let overrun = false;
    for (let count = 0; count < MAX_DATAGRAMS_A_TURN; count++) {
      const received = receiveFromKernel(this.#fd, this.#datagram, MSG_DONTWAIT);
      if (received === EAGAIN) break;
      if (received === EINTR) continue;
      if (received === ENOBUFS) {
        overrun = true;
        continue;
      }
      if (typeof received === 'number') {
        throw new NetloomError('NETLINK_FAILED', `listening for changes of the network: ${errnoText(received)}`);
      }
      for (const { type, body } of splitDatagram(received)) {
        const topic = TOPIC_OF_TYPE[type];
        if (topic === undefined) continue;
        topics.add(topic);
        if ((topic === 'links' || topic === 'tc') && body.length >= 8) ifindexes.add(body.readInt32LE(4));
      }
    }
    if (overrun) return { topics: new Set(this.#options.topics), ifindexes: new Set(), overrun };
    return topics.size === 0 ? undefined : { topics, ifindexes, overrun };
  }
}

function types(topic: Topic, ...messages: readonly number[]): Record<number, Topic> {
  return Object.fromEntries(messages.map((type) => [type, topic]));
}
