import type { IncomingMessage } from 'node:http';
import type { Http2ServerRequest } from 'node:http2';

/**
 * Whether who asked ended its wait, to be waited for before it is answered. When its time is over Go's client closes the
 * connection, over HTTP/2 resets the stream. If this thread was busy, or stopped, for so long, that end lies behind the
 * request, and is read in the next turn of the event loop only. After the answer an end tells nothing: who has read it
 * all may close at once.
 */
export async function isGone(request: IncomingMessage): Promise<boolean> {
  await new Promise<void>((resolve) => afterNextRead(resolve));
  if (request.httpVersionMajor >= 2) return (request as unknown as Http2ServerRequest).stream.destroyed;
  const { socket } = request;
  return socket.readableEnded || socket.destroyed || socket.errored !== null;
}

/** Sockets are read between two immediates. */
function afterNextRead(then: () => void): void {
  setImmediate(() => setImmediate(then));
}
