import type { IncomingMessage } from 'node:http';
import type { Http2ServerRequest } from 'node:http2';

/**
 * Whether who asked ended its wait before it was answered. When its time is over Go's client closes the connection, over
 * HTTP/2 resets the stream; after an answer it does neither. If this thread was busy, or stopped, for so long, that end
 * lies behind the request, and is read in the next turn of the event loop only.
 */

/** HTTP/2, to be waited for before the answer: once that is out, a reset of its stream is not told any more. */
export async function isResetBefore(request: IncomingMessage): Promise<boolean> {
  if (request.httpVersionMajor < 2) return false;
  await new Promise<void>((resolve) => afterNextRead(resolve));
  return (request as unknown as Http2ServerRequest).stream.destroyed;
}

/** HTTP/1, after the answer was written. */
export function whenClosed(request: IncomingMessage, closed: () => void): void {
  // Who says so ends the connection after the answer.
  if (request.httpVersionMajor >= 2 || request.headers.connection?.toLowerCase() === 'close') return;
  const { socket } = request;
  afterNextRead(() => {
    if (socket.readableEnded || socket.errored !== null) closed();
  });
}

/** Sockets are read between two immediates. */
function afterNextRead(then: () => void): void {
  setImmediate(() => setImmediate(then));
}
