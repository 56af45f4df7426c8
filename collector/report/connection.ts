import { Client, connectivityState, credentials, Metadata, type ChannelCredentials } from '@grpc/grpc-js';
import type { Connection, Ending } from './stream-state.ts';

/** Certificates as PEM. */
export interface ClientTls {
  /** Who may have signed the scheduler's certificate. Default: the authorities that Node trusts. */
  readonly ca?: Buffer;
  /** The agent's own certificate and key, where the scheduler demands one. */
  readonly cert?: Buffer;
  readonly key?: Buffer;
  /** Name to expect in the scheduler's certificate, where it is not the host of the target. */
  readonly serverName?: string;
}

export interface ConnectionOptions {
  readonly target: string;
  readonly tls: ClientTls | undefined;
  readonly keepaliveMs: number;
  readonly keepaliveTimeoutMs: number;
  /** Sent with the call, such as a token. */
  readonly headers: Readonly<Record<string, string>>;
}

/** All come later than openConnection returns. */
export interface ConnectionEvents {
  readonly onConnected: () => unknown;
  readonly onMessage: (bytes: Buffer) => unknown;
  /** Once, whatever happened. Never called after `hangUp`. */
  readonly onEnd: (ending: Ending) => unknown;
}

export const STREAM_METHOD = '/netloom.report.v1.Reports/Stream';

/** The trailer in which the scheduler says the code of its error. */
export const CODE_TRAILER = 'netloom-code';

const same = (bytes: Buffer): Buffer => bytes;

/** Connects and makes the call. A client of its own for every attempt: grpc-js would add a backoff of its own. */
export function openConnection(options: ConnectionOptions, events: ConnectionEvents): Connection {
  const client = new Client(options.target, channelCredentials(options.tls), {
    'grpc.keepalive_time_ms': options.keepaliveMs,
    'grpc.keepalive_timeout_ms': options.keepaliveTimeoutMs,
    'grpc.use_local_subchannel_pool': 1,
    'grpc.enable_http_proxy': 0,
    // A stream is not repeatable. The buffer of 0 is what makes write callbacks wait for the connection: otherwise
    // grpc-js calls back at once for the first MiB, also with retries off (grpc-node, retrying-call.ts; #2371).
    'grpc.enable_retries': 0,
    'grpc.per_rpc_retry_buffer_size': 0,
    'grpc.service_config_disable_resolution': 1,
    ...(options.tls?.serverName === undefined ? {} : { 'grpc.ssl_target_name_override': options.tls.serverName }),
  });
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(options.headers)) metadata.set(name, value);
  const call = client.makeBidiStreamRequest(STREAM_METHOD, same, same, metadata);
  const connection = { client, call };

  call.on('data', (bytes: Buffer) => events.onMessage(bytes));
  // 'status' says the same with its trailers; without a listener an 'error' would end the process.
  call.on('error', () => {});
  call.once('status', (status: { code: number; details: string; metadata: Metadata }) => {
    const code = status.metadata.get(CODE_TRAILER)[0]?.toString();
    events.onEnd({ message: status.details || `status ${status.code}`, code });
  });

  const channel = client.getChannel();
  const watch = (): void => {
    const state = channel.getConnectivityState(false);
    if (state === connectivityState.READY) events.onConnected();
    else if (state !== connectivityState.SHUTDOWN && !call.destroyed) {
      // The callback has an error when the channel is closed; there is nothing left to watch then.
      channel.watchConnectivityState(state, Infinity, (error) => {
        if (error === undefined) watch();
      });
    }
  };
  queueMicrotask(watch);
  return connection;
}

/** Ends the call and the connection at once. */
export function hangUp({ call, client }: Connection): void {
  call.removeAllListeners('status');
  call.removeAllListeners('data');
  call.on('data', () => {});
  call.cancel();
  client.close();
}

function channelCredentials(tls: ClientTls | undefined): ChannelCredentials {
  if (tls === undefined) return credentials.createInsecure();
  return credentials.createSsl(tls.ca ?? null, tls.key ?? null, tls.cert ?? null);
}
