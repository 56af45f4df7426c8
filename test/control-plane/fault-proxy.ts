import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** What stands between kube-scheduler and the extender, and does to answers what networks and bad programs do. */
export type Fault =
  | { readonly kind: 'none' }
  /** Answers come after so long. */
  | { readonly kind: 'slow'; readonly ms: number }
  /** Requests are read and never answered. */
  | { readonly kind: 'silent' }
  /** The connection is cut in the middle of an answer. */
  | { readonly kind: 'cut' }
  | { readonly kind: 'answer'; readonly status: number; readonly body: string };

export class FaultProxy {
  readonly #server: Server;
  readonly #target: string;
  fault: Fault = { kind: 'none' };
  calls = 0;

  private constructor(target: string) {
    this.#target = target;
    this.#server = createServer((call, reply) => void this.#handle(call, reply));
    this.#server.keepAliveTimeout = 120_000;
  }

  /** @param target HOST:PORT of the extender */
  static async start(target: string): Promise<FaultProxy> {
    const proxy = new FaultProxy(target);
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #handle(call: IncomingMessage, reply: ServerResponse): Promise<void> {
    this.calls++;
    const { fault } = this;
    reply.on('error', () => undefined);
    const chunks: Buffer[] = [];
    for await (const chunk of call as AsyncIterable<Buffer>) chunks.push(chunk);
    if (fault.kind === 'silent') return;
    if (fault.kind === 'slow') await sleep(fault.ms);
    if (fault.kind === 'answer') {
      reply.writeHead(fault.status, { 'content-type': 'application/json' }).end(fault.body);
      return;
    }
    const answer = await this.#forward(call, Buffer.concat(chunks));
    if (answer === undefined) {
      reply.destroy();
      return;
    }
    reply.writeHead(answer.status, { 'content-length': answer.body.length });
    if (fault.kind === 'cut') {
      reply.write(answer.body.subarray(0, Math.floor(answer.body.length / 2)));
      setImmediate(() => reply.destroy());
    } else reply.end(answer.body);
  }

  #forward(call: IncomingMessage, body: Buffer): Promise<{ status: number; body: Buffer } | undefined> {
    return new Promise((resolve) => {
      const onward = request(`http://${this.#target}${call.url ?? ''}`, { method: call.method ?? 'POST' }, (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.on('end', () => resolve({ status: answer.statusCode ?? 502, body: Buffer.concat(chunks) }));
        answer.on('error', () => resolve(undefined));
      });
      onward.on('error', () => resolve(undefined));
      onward.end(body);
    });
  }
}
