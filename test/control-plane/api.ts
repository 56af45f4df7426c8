import { readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import type { KeyPair } from './keys.ts';

export interface ApiReply<T> {
  readonly status: number;
  readonly body: T;
}

/** An HTTP client of the API server with a client certificate; JSON in, JSON out. */
export class Api {
  readonly #port: number;
  readonly #agent: Agent;

  constructor(port: number, ca: string, pair: KeyPair) {
    this.#port = port;
    this.#agent = new Agent({
      ca: readFileSync(ca),
      cert: readFileSync(pair.cert),
      key: readFileSync(pair.key),
      keepAlive: true,
      maxSockets: 16,
      // An API server closes what is idle for 90 s: a call that begins just then would fail.
      timeout: 60_000,
    });
  }

  close(): void {
    this.#agent.destroy();
  }

  /** @throws when the status is 300 or more, with what the API server said */
  async call<T = unknown>(method: string, path: string, body?: unknown, type = 'application/json'): Promise<T> {
    const reply = await this.ask<T>(method, path, body, type);
    if (reply.status >= 300)
      throw new Error(`${method} ${path}: ${reply.status} ${JSON.stringify(reply.body).slice(0, 500)}`);
    return reply.body;
  }

  ask<T = unknown>(method: string, path: string, body?: unknown, type = 'application/json'): Promise<ApiReply<T>> {
    return new Promise((resolve, reject) => {
      const sent = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
      const call = request(
        {
          host: '127.0.0.1',
          port: this.#port,
          path,
          method,
          agent: this.#agent,
          headers: sent === undefined ? {} : { 'content-type': type, 'content-length': sent.length },
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('error', reject);
          response.on('end', () => {
            const text = Buffer.concat(chunks).toString();
            let parsed: unknown = text;
            try {
              parsed = JSON.parse(text);
            } catch {
              // /readyz and the like answer plain text.
            }
            resolve({ status: response.statusCode ?? 0, body: parsed as T });
          });
        },
      );
      call.on('error', reject);
      call.end(sent);
    });
  }

  /** Events of a watch until `signal` is aborted or the server ends it. */
  async *watch<T>(path: string, signal: AbortSignal): AsyncGenerator<{ readonly type: string; readonly object: T }> {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const call = request({ host: '127.0.0.1', port: this.#port, path, agent: this.#agent, signal }, resolve);
      call.on('error', reject);
      call.end();
    });
    let rest = '';
    response.setEncoding('utf8');
    for await (const chunk of response as AsyncIterable<string>) {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) if (line !== '') yield JSON.parse(line) as { type: string; object: T };
    }
  }
}
