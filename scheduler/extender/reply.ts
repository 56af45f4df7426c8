import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest } from 'node:http2';
import { constants } from 'node:http2';

export const JSON_TYPE = 'application/json';
export const TEXT_TYPE = 'text/plain; charset=utf-8';

export interface Reply {
  readonly status: 200 | 400 | 404 | 405 | 413 | 503;
  readonly type: string;
  readonly text: string;
  /** Of a 405. */
  readonly allow?: string;
}

export function refusal(status: 400 | 404 | 405 | 413, reason: string, allow?: string): Reply {
  const text = `${JSON.stringify({ error: reason })}\n`;
  return { status, type: JSON_TYPE, text, ...(allow === undefined ? {} : { allow }) };
}

/** Always with Content-Length, in one piece: Go reuses a connection only if it saw the end of the reply with its last read. */
export function send(response: ServerResponse, reply: Reply): void {
  response.writeHead(reply.status, headersOf(reply));
  response.end(reply.text);
}

const replying = new WeakSet<object>();

/** A reply is out on this socket although its request is not over: nothing else may be written there. */
export function isReplying(socket: object): boolean {
  return replying.has(socket);
}

/** How long in all and without a byte, and how much, is still read of a body that was refused. */
const LINGER_MS = 2_000;
const LINGER_IDLE_MS = 300;
const LINGER_BYTES = 256 * 1024 * 1024;

/**
 * Replies although the body is still coming, and ends the connection (HTTP/2: the stream). Over HTTP/1 the rest is read
 * and thrown away for a moment first: closing a socket with unread data sends a reset, which may take the reply with it.
 */
export function sendAndClose(request: IncomingMessage, response: ServerResponse, reply: Reply): void {
  if (request.httpVersionMajor >= 2) {
    const { stream } = request as unknown as Http2ServerRequest;
    response.once('finish', () => stream.close(constants.NGHTTP2_NO_ERROR));
    send(response, reply);
    return;
  }
  replying.add(request.socket);
  response.writeHead(reply.status, { ...headersOf(reply), Connection: 'close' });
  // With its Content-Length complete the reply is whole for the caller, though not ended for us.
  response.write(reply.text);
  let left = LINGER_BYTES;
  const end = () => {
    clearTimeout(timer);
    clearTimeout(idle);
    request.off('data', onData).off('end', end).off('close', end).off('error', end);
    response.end();
  };
  const onData = (chunk: Buffer) => {
    left -= chunk.length;
    idle.refresh();
    if (left < 0) end();
  };
  const timer = setTimeout(end, LINGER_MS);
  const idle = setTimeout(end, LINGER_IDLE_MS);
  if (request.readableEnded) return end();
  request.on('data', onData).on('end', end).on('close', end).on('error', end).resume();
}

function headersOf(reply: Reply): Record<string, string | number> {
  return {
    'Content-Type': reply.type,
    'Content-Length': Buffer.byteLength(reply.text),
    ...(reply.allow === undefined ? {} : { Allow: reply.allow }),
  };
}
