import type { IncomingMessage } from 'node:http';
import { BodyBuffers } from './body-buffers.ts';
import { BodySlots } from './body-slots.ts';

export type Body =
  /** `done` must be called when the bytes are not needed any more. */
  | { readonly kind: 'whole'; readonly bytes: Buffer; readonly done: () => void }
  | { readonly kind: 'too-large' }
  | { readonly kind: 'too-slow' }
  /** The caller went away, or broke the transfer. */
  | { readonly kind: 'gone' };

/** Names-only requests are up to 3 MB at 65,000 nodes; more than this at once needs one of the few large slots. */
const SMALL_BYTES = 1024 * 1024;
const BODIES_AT_ONCE = 256;
const LARGE_BODIES_AT_ONCE = 2;
/** Who holds a large slot must bring so much in each window; two windows in a row without, and it is given up. */
const LARGE_WINDOW_MS = 500;
const LARGE_WINDOW_BYTES = 64 * 1024;

/** What the bodies of one server share. */
export class BodyPool {
  readonly slots = new BodySlots(BODIES_AT_ONCE, LARGE_BODIES_AT_ONCE);
  readonly buffers = new BodyBuffers();
}

export interface BodyLimits {
  readonly limitBytes: number;
  readonly timeoutMs: number;
}

/** The declared length; undefined: chunked, or HTTP/2 without it. */
export function declaredLength(request: IncomingMessage): number | undefined {
  const value = request.headers['content-length'];
  return value === undefined ? undefined : Number(value);
}

/**
 * Reads a body of at most limitBytes, within timeoutMs; a large one must not stall either, for others wait for its slot. A longer one is refused as soon as that is known, by its declared
 * length before any byte is read; what was read is dropped. After anything but `whole` the request is left paused.
 */
export function readBody(request: IncomingMessage, pool: BodyPool, limits: BodyLimits): Promise<Body> {
  const declared = declaredLength(request);
  if (declared !== undefined && !(declared <= limits.limitBytes)) return Promise.resolve({ kind: 'too-large' });

  return new Promise((resolve) => {
    let chunks: Buffer[] = [];
    let length = 0;
    let wantsLarge = false;

    const { slots } = pool;

    let pace: NodeJS.Timeout | undefined;

    const finish = (body: Body) => {
      clearTimeout(timer);
      clearInterval(pace);
      request.off('data', onData).off('end', onEnd).off('close', onGone).off('error', onGone);
      if (body.kind !== 'whole') request.pause();
      chunks = [];
      slots.release('any', resume);
      if (wantsLarge) slots.release('large', holdLarge);
      resolve(body);
    };
    const resume = () => void request.resume();
    const onData = (chunk: Buffer) => {
      length += chunk.length;
      if (length > limits.limitBytes) return finish({ kind: 'too-large' });
      chunks.push(chunk);
      if (length > SMALL_BYTES && !wantsLarge) takeLarge();
    };
    const takeLarge = () => {
      wantsLarge = true;
      if (!slots.take('large', holdLarge)) request.pause();
    };
    const holdLarge = () => {
      let [before, slow] = [length, 0];
      pace = setInterval(() => {
        slow = length - before < LARGE_WINDOW_BYTES ? slow + 1 : 0;
        before = length;
        if (slow >= 2) finish({ kind: 'too-slow' });
      }, LARGE_WINDOW_MS);
      resume();
    };
    const onEnd = () => {
      finish({ kind: 'whole', ...pool.buffers.join(chunks, length) });
    };
    const onGone = () => finish({ kind: 'gone' });
    const timer = setTimeout(() => finish({ kind: 'too-slow' }), limits.timeoutMs);

    request.on('data', onData).on('end', onEnd).on('close', onGone).on('error', onGone);
    request.pause();
    slots.take('any', resume);
  });
}
