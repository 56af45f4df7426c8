import type { Socket } from 'node:net';
import type { ExtenderMetrics } from './metrics.ts';

/** Both a TLS socket and the TCP socket below it tell the same. */
interface Peer {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
}

/** A connection that completed a call so recently is in use. */
const IN_USE_MS = 5_000;
const NEVER = Number.NEGATIVE_INFINITY;

/**
 * Bounds the open connections. At the limit one makes room for a new one: the oldest that never completed a call, else the one
 * whose last call was longest ago. So nobody locks kube-scheduler out, neither by saying nothing nor by saying something once.
 * Only if every one was used just now the new one is refused.
 */
export class Connections {
  readonly #limit: number;
  readonly #metrics: ExtenderMetrics;
  readonly #now: () => number;
  /** In the order of their opening; servedMs: of the last call; before one it is long ago. */
  readonly #open = new Map<string, { socket: Socket; servedMs: number }>();

  /** @param now milliseconds, monotonic */
  constructor(limit: number, metrics: ExtenderMetrics, now = () => performance.now()) {
    this.#limit = limit;
    this.#now = now;
    this.#metrics = metrics;
  }

  /** Of the server's 'connection' event. */
  opened(socket: Socket): void {
    if (this.#open.size >= this.#limit && !this.#evictOne()) {
      this.#metrics.closed.refused.inc();
      socket.destroy();
      return;
    }
    const key = keyOf(socket);
    const entry = { socket, servedMs: NEVER };
    this.#open.set(key, entry);
    this.#metrics.connections.set(this.#open.size);
    socket.once('close', () => {
      if (this.#open.get(key) === entry) this.#open.delete(key);
      this.#metrics.connections.set(this.#open.size);
    });
  }

  /** The peer has completed a call, and was answered 200. */
  served(peer: Peer): void {
    try {
      const entry = this.#open.get(keyOf(peer));
      if (entry !== undefined) entry.servedMs = this.#now();
    } catch {
      // The socket of an HTTP/2 session throws once the session is gone; so is the connection.
    }
  }

  destroyAll(): void {
    for (const { socket } of this.#open.values()) socket.destroy();
  }

  #evictOne(): boolean {
    let idlest: [key: string, entry: { socket: Socket; servedMs: number }] | undefined;
    for (const open of this.#open) {
      if (idlest === undefined || open[1].servedMs < idlest[1].servedMs) idlest = open;
      if (idlest[1].servedMs === NEVER) break;
    }
    if (idlest === undefined || this.#now() - idlest[1].servedMs < IN_USE_MS) return false;
    const [key, { socket }] = idlest;
    this.#open.delete(key);
    this.#metrics.closed.evicted.inc();
    socket.destroy();
    return true;
  }
}

function keyOf(peer: Peer): string {
  return `${peer.remoteAddress} ${peer.remotePort}`;
}
