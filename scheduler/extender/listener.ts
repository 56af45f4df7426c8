import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createSecureServer, type Http2SecureServer } from 'node:http2';
import type { Duplex } from 'node:stream';
import type { Socket } from 'node:net';
import type { TlsMaterial } from '../tls/material.ts';
import { Connections } from './connections.ts';
import type { ExtenderMetrics } from './metrics.ts';
import { isReplying, refusal } from './reply.ts';

export type RequestHandler = (request: IncomingMessage, response: ServerResponse, expectsContinue: boolean) => void;

export interface ListenerOptions {
  readonly keepAliveTimeoutMs: number;
  readonly bodyTimeoutMs: number;
  readonly maxConnections: number;
  readonly tls: TlsMaterial | undefined;
}

const MAX_HEADER_BYTES = 16 * 1024;
const TLS_HANDSHAKE_MS = 10_000;
/** Of bodies that were not yet read, per HTTP/2 connection. */
const HTTP2_WINDOW_BYTES = 1024 * 1024;

/** An HTTP/1.1 server, or with TLS one that also speaks HTTP/2, with every wait and every buffer bounded. Not listening yet. */
export function createListener(
  handle: RequestHandler,
  options: ListenerOptions,
  metrics: ExtenderMetrics,
): { server: Server | Http2SecureServer; connections: Connections } {
  const server = options.tls === undefined ? plainServer() : secureServer(options.tls, options.keepAliveTimeoutMs);
  const connections = new Connections(options.maxConnections, metrics);

  // headersTimeout and requestTimeout both run from the opening of a connection until its first request, and Go keeps
  // spare connections for 90 s before it first uses them: they too must be above that. Bodies have a time of their own.
  const headersTimeout = options.keepAliveTimeoutMs + 5_000;
  Object.assign(server, {
    keepAliveTimeout: options.keepAliveTimeoutMs,
    headersTimeout,
    requestTimeout: headersTimeout + options.bodyTimeoutMs,
  });

  server.on('connection', (socket: Socket) => connections.opened(socket));
  server.on('request', (request: IncomingMessage, response: ServerResponse) => handle(request, response, false));
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => handle(request, response, true));
  // Expectations other than 100-continue may be ignored (RFC 9110 §10.1.1); Node would say 417.
  server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) =>
    handle(request, response, false),
  );
  server.on('connect', (_request: IncomingMessage, socket: Duplex) => {
    endRaw(
      socket,
      refusal(405, 'this is no proxy', 'GET, HEAD, POST').text,
      '405 Method Not Allowed',
      'Allow: GET, HEAD, POST\r\n',
    );
  });
  // With TLS also of handshakes that failed: only who got as far as HTTP is answered.
  server.on('clientError', (error: Error & { code?: string }, socket: Socket) => {
    metrics.closed.broken.inc();
    const isHttp = /^(HPE_|ERR_HTTP_)/.test(error.code ?? '');
    const nothingSaid = error.code === 'ERR_HTTP_REQUEST_TIMEOUT' && socket.bytesRead === 0;
    if (!isHttp || nothingSaid || isReplying(socket)) socket.destroy();
    else endRaw(socket, refusal(400, `no valid HTTP request: ${error.message}`).text, '400 Bad Request', '');
  });
  return { server, connections };
}

function endRaw(socket: Duplex, text: string, status: string, headers: string): void {
  socket.on('error', () => socket.destroy());
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  socket.end(
    `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: application/json\r\n${headers}` +
      `Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
    () => socket.destroy(),
  );
}

function plainServer(): Server {
  return createServer({ maxHeaderSize: MAX_HEADER_BYTES, connectionsCheckingInterval: 5_000 });
}

function secureServer(tls: TlsMaterial, keepAliveTimeoutMs: number): Http2SecureServer {
  const server = createSecureServer({
    ...tls,
    allowHTTP1: true,
    requestCert: tls.ca !== undefined,
    rejectUnauthorized: tls.ca !== undefined,
    minVersion: 'TLSv1.2',
    handshakeTimeout: TLS_HANDSHAKE_MS,
    maxHeaderListPairs: 64,
    maxSessionMemory: 4,
    settings: {
      maxConcurrentStreams: 32,
      initialWindowSize: HTTP2_WINDOW_BYTES,
      maxHeaderListSize: MAX_HEADER_BYTES,
      enablePush: false,
    },
  });
  server.on('session', (session) => {
    session.setLocalWindowSize(HTTP2_WINDOW_BYTES);
    session.on('error', () => session.destroy());
    session.setTimeout(keepAliveTimeoutMs, () => session.close());
  });
  return server;
}
