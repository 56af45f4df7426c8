import type { Socket } from 'node:net';
import type { ExtenderMetrics } from './metrics.ts';

/** Both a TLS socket and the TCP socket below it tell the same. */
interface Peer {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
}

/**
 * Bounds the open connections. At the limit the oldest one that never completed a call makes room for a new one,
 * so that whoever opens connections and says nothing cannot lock kube-scheduler out; if all are in use the new one is refused.
 */
export class Connections {
  readonly #limit: number;
  readonly #metrics: ExtenderMetrics;
  readonly #open = new Map<string, { socket: Socket; served: boolean }>();

  constructor(limit: number, metrics: ExtenderMetrics) {
    this.#limit = limit;
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
    const entry = { socket, served: false };
    this.#open.set(key, entry);
    this.#metrics.connections.set(this.#open.size);
    socket.once('close', () => {
      if (this.#open.get(key) === entry) this.#open.delete(key);
      this.#metrics.connections.set(this.#open.size);
    });
  }

  /** The peer has completed a call. */
  served(peer: Peer): void {
    try {
      const entry = this.#open.get(keyOf(peer));
      if (entry !== undefined) entry.served = true;
    } catch {
      // The socket of an HTTP/2 session throws once the session is gone; so is the connection.
    }
  }

  destroyAll(): void {
    for (const { socket } of this.#open.values()) socket.destroy();
  }

  #evictOne(): boolean {
    for (const [key, { socket, served }] of this.#open) {
      if (served) continue;
      this.#open.delete(key);
      this.#metrics.closed.evicted.inc();
      socket.destroy();
      return true;
    }
    return false;
  }
}

function keyOf(peer: Peer): string {
  return `${peer.remoteAddress} ${peer.remotePort}`;
}
