import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** What becomes of bytes on their way; TLS passes through, so that nobody can tell it from a bad network. */
export type Line =
  | { readonly kind: 'clear' }
  /** New connections are reset; those that stand go on until cut(). */
  | { readonly kind: 'refusing' }
  /** Nothing is read and nothing passes, no FIN, no RST: senders run into full buffers. */
  | { readonly kind: 'stalled' }
  /** All is read and thrown away: senders notice nothing, receivers hear nothing. */
  | { readonly kind: 'dropping' }
  /** From the server only so much passes, in pieces of at most so many bytes; the other way all. */
  | { readonly kind: 'slow'; readonly bytesPerSecond: number; readonly pieceBytes: number };

/** Between a client and a server on loopback. */
export class TcpProxy {
  readonly #server: Server;
  readonly #targetPort: number;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  #line: Line = { kind: 'clear' };
  #changed = Promise.withResolvers<void>();
  /** Connections taken so far. */
  connections = 0;

  private constructor(targetPort: number) {
    this.#targetPort = targetPort;
    this.#server = createServer((client) => this.#take(client));
  }

  static async start(targetPort: number): Promise<TcpProxy> {
    const proxy = new TcpProxy(targetPort);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get line(): Line {
    return this.#line;
  }

  set line(line: Line) {
    this.#line = line;
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }

  /** Resets what stands. */
  cut(): void {
    for (const pair of this.#pairs) for (const socket of pair) socket.resetAndDestroy();
    this.#pairs.clear();
  }

  async stop(): Promise<void> {
    this.line = { kind: 'clear' };
    this.cut();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #take(client: Socket): void {
    this.connections++;
    client.on('error', () => undefined);
    if (this.#line.kind === 'refusing') {
      client.resetAndDestroy();
      return;
    }
    const server = connect(this.#targetPort, '127.0.0.1');
    server.on('error', () => undefined);
    const pair = [client, server] as const;
    this.#pairs.add(pair);
    const gone = () => {
      this.#pairs.delete(pair);
      for (const socket of pair) socket.destroy();
    };
    client.on('close', gone);
    server.on('close', gone);
    void this.#pump(client, server, false).then(gone, gone);
    void this.#pump(server, client, true).then(gone, gone);
  }

  async #pump(from: Socket, to: Socket, fromServer: boolean): Promise<void> {
    for await (const chunk of from as AsyncIterable<Buffer>) {
      for (let at = 0; at < chunk.length;) {
        while (this.#line.kind === 'stalled') await this.#changed.promise;
        const line = this.#line;
        const slow = line.kind === 'slow' && fromServer ? line : undefined;
        const piece = chunk.subarray(at, at + (slow?.pieceBytes ?? chunk.length));
        at += piece.length;
        if (slow !== undefined) {
          await Promise.race([sleep((piece.length / slow.bytesPerSecond) * 1000), this.#changed.promise]);
        }
        if (line.kind === 'dropping') continue;
        if (to.destroyed) return;
        if (!to.write(piece)) await Promise.race([once(to, 'drain'), once(to, 'close')]);
      }
    }
  }
}
