import type { Client, ClientDuplexStream } from '@grpc/grpc-js';

export type ReportCall = ClientDuplexStream<Buffer, Buffer>;

/**
 * Where a report stream stands.
 *
 *     disconnected --start--> connecting --channel ready--> greeting --Welcome--> streaming
 *                                 ^             |               |                     |
 *                                 |             +----- error, deadline, end of stream -+
 *                              timer                            v
 *                                 +------------------------- backoff
 *
 * `close()` leads from every state to `disconnected`, for good.
 */
export type StreamState =
  /** Not started, or closed. Periods are kept, nothing is tried. */
  | { readonly kind: 'disconnected' }
  /** The call is made and Hello is written, but there is no connection yet. Bounded by connectTimeoutMs. */
  | ({ readonly kind: 'connecting' } & Connection)
  /** Connected; the scheduler has not said Welcome. Bounded by welcomeTimeoutMs. */
  | ({ readonly kind: 'greeting' } & Connection)
  /** Welcomed: reports flow. `writing`: the last one has not left this process yet, so the next waits. */
  | ({ readonly kind: 'streaming'; writing: boolean } & Connection)
  /** The last attempt failed; the next one starts when the timer fires. */
  | { readonly kind: 'backoff'; readonly attempt: number; readonly delayMs: number; readonly cancel: () => void };

export interface Connection {
  readonly client: Client;
  readonly call: ReportCall;
}

/** Why a connection ended. */
export interface Ending {
  readonly message: string;
  /** Code of lib/error-codes.ts, where the scheduler gave one. */
  readonly code: string | undefined;
}
