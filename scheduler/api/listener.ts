import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { NetloomError, messageOf } from '../../lib/errors.ts';
import type { Logger } from '../../lib/log.ts';
import { isLoopbackHost } from '../../lib/loopback.ts';

/** Answers one request: a value for JSON, chunks of text for what may be large, or a thrown ApiError. */
export type Route = (query: URLSearchParams) => unknown;

/** A reply other than 200, with a sentence for people. */
export class ApiError extends Error {
  readonly status: 400 | 404 | 503;
  constructor(status: 400 | 404 | 503, message: string) {
    super(message);
    this.status = status;
  }
}

/** Text that is made while it is sent, so that a large reply never stands in memory as a whole. */
export class Chunks {
  readonly contentType: string;
  readonly chunks: Iterable<string>;
  constructor(contentType: string, chunks: Iterable<string>) {
    this.contentType = contentType;
    this.chunks = chunks;
  }
}

export interface ApiListenerOptions {
  readonly host: string;
  readonly port: number;
  readonly routes: Readonly<Record<string, Route>>;
  readonly logger: Logger;
}

/**
 * The read API: GET only, JSON, and on loopback only until it authenticates. A Host header that is no loopback name
 * is refused: a page in the admin's browser could otherwise reach it under a name that resolves to 127.0.0.1.
 * @throws NetloomError API_NOT_LOOPBACK, API_LISTEN_FAILED
 */
export async function listenForApi(options: ApiListenerOptions): Promise<{ port: number; close(): Promise<void> }> {
  const { host, port, logger } = options;
  if (!isLoopbackHost(host)) {
    throw new NetloomError('API_NOT_LOOPBACK', 'the read API does not authenticate and listens on loopback only', {
      place: 'listenApi',
      expected: '127.0.0.1, [::1] or localhost, with a port',
      found: host,
    });
  }
  const server = createServer({ maxHeaderSize: 8192, requestTimeout: 10_000 }, (request, response) => {
    void answer(request, response, options).catch((error: unknown) => {
      logger.error('the read API failed', { problem: messageOf(error), url: request.url?.slice(0, 200) });
      if (response.headersSent) response.destroy();
      else send(response, 500, { error: 'internal fault; the log of the scheduler has it' });
    });
  });
  server.maxConnections = 64;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      reject(
        new NetloomError('API_LISTEN_FAILED', `the read API cannot listen: ${error.message}`, {
          place: `listenApi ${host}:${port}`,
          cause: error,
        }),
      );
    });
    server.listen(port, host, resolve);
  });
  return { port: portOf(server), close: () => closeServer(server) };
}

async function answer(request: IncomingMessage, response: ServerResponse, options: ApiListenerOptions): Promise<void> {
  request.resume();
  if (!isLoopbackHost(hostName(request.headers.host))) {
    return send(response, 403, { error: 'the read API answers to loopback names only' });
  }
  if (request.method !== 'GET') {
    response.setHeader('Allow', 'GET');
    return send(response, 405, { error: 'GET only' });
  }
  let url: URL;
  try {
    url = new URL(request.url ?? '/', 'http://localhost');
  } catch {
    return send(response, 400, { error: 'the request line is no URL path' });
  }
  const route = Object.hasOwn(options.routes, url.pathname) ? options.routes[url.pathname] : undefined;
  if (route === undefined) {
    return send(response, 404, { error: `no such path; there are: ${Object.keys(options.routes).join(' ')}` });
  }
  let reply: unknown;
  try {
    reply = route(url.searchParams);
  } catch (error) {
    if (error instanceof ApiError) return send(response, error.status, { error: error.message });
    throw error;
  }
  if (reply instanceof Chunks) return sendChunks(response, reply);
  send(response, 200, reply);
}

function send(response: ServerResponse, status: number, value: unknown): void {
  const body = Buffer.from(`${JSON.stringify(value)}\n`);
  response.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': body.length, ...SAFE_HEADERS });
  response.end(body);
}

const SAFE_HEADERS = { 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' };
const CHUNK_CHARACTERS = 65_536;

async function sendChunks(response: ServerResponse, { contentType, chunks }: Chunks): Promise<void> {
  response.writeHead(200, { 'Content-Type': contentType, ...SAFE_HEADERS });
  let pending = '';
  for (const chunk of chunks) {
    pending += chunk;
    if (pending.length < CHUNK_CHARACTERS) continue;
    if (response.destroyed) return;
    const flowing = response.write(pending);
    pending = '';
    // Also where the socket takes it all: other work of this thread comes in between.
    await new Promise<void>((resolve) => {
      if (flowing) setImmediate(resolve);
      else {
        response.once('drain', resolve);
        response.once('close', resolve);
      }
    });
  }
  response.end(pending);
}

function hostName(header: string | undefined): string {
  if (header === undefined) return '';
  try {
    return new URL(`http://${header}`).hostname.replace(/^\[|\]$/g, '');
  } catch {
    return '';
  }
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
