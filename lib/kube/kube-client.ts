import { type IncomingMessage, request as requestPlain } from 'node:http';
import { request as requestTls, type RequestOptions } from 'node:https';
import { createGunzip } from 'node:zlib';
import type { Readable } from 'node:stream';
import { VERSION } from '../version.ts';
import type { Credentials, ReadCredentials } from './credentials.ts';

export interface KubeReply {
  readonly status: number;
  /** Seconds that the server asks to wait; undefined: it does not. */
  readonly retryAfter: number | undefined;
  readonly body: Readable;
}

/** What a reflector needs of the API server. */
export interface KubeApi {
  /** @throws when no answer comes: not reachable, TLS, or aborted */
  get(path: string, signal: AbortSignal): Promise<KubeReply>;
  post(path: string, body: object, signal: AbortSignal): Promise<KubeReply>;
}

/** A connection on which nothing comes for this long is asked whether it still stands (TCP keepalive). */
const KEEPALIVE_MS = 15_000;

/**
 * Requests to the API server. Tokens, certificates and the kubeconfig itself may be replaced: once either side refuses
 * the other's credentials, all is read again for the next request. Whoever asks asks again anyway, with a pause.
 */
export class KubeClient implements KubeApi {
  readonly #read: ReadCredentials;
  #credentials: Credentials;

  private constructor(read: ReadCredentials, credentials: Credentials) {
    this.#read = read;
    this.#credentials = credentials;
  }

  /** @throws what `read` throws: NetloomError KUBECONFIG_UNUSABLE */
  static async create(read: ReadCredentials): Promise<KubeClient> {
    return new KubeClient(read, await read());
  }

  get server(): string {
    return this.#credentials.server;
  }

  get(path: string, signal: AbortSignal): Promise<KubeReply> {
    return this.#send('GET', path, undefined, signal);
  }

  post(path: string, body: object, signal: AbortSignal): Promise<KubeReply> {
    return this.#send('POST', path, Buffer.from(JSON.stringify(body)), signal);
  }

  async #send(method: string, path: string, body: Buffer | undefined, signal: AbortSignal): Promise<KubeReply> {
    const options: RequestOptions = {
      method,
      headers: {
        accept: 'application/json',
        'accept-encoding': 'gzip',
        'user-agent': `netloom/${VERSION}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json', 'content-length': body.length }),
      },
    };
    const credentials = this.#credentials;
    await credentials.apply(options);
    const url = new URL(credentials.server.replace(/\/+$/, '') + path);
    const request = url.protocol === 'http:' ? requestPlain : requestTls;
    let response: IncomingMessage;
    try {
      response = await new Promise<IncomingMessage>((resolve, reject) => {
        const call = request(url, { ...options, signal }, resolve);
        call.on('error', reject);
        call.on('socket', (socket) => socket.setKeepAlive(true, KEEPALIVE_MS));
        call.end(body);
      });
    } catch (error) {
      if (!isTlsFailure(error)) throw error;
      await this.#readAgain(credentials);
      throw told(error);
    }
    if (response.statusCode === 401) await this.#readAgain(credentials);
    const retryAfter = Number(response.headers['retry-after']);
    return {
      status: response.statusCode ?? 0,
      retryAfter: Number.isFinite(retryAfter) && retryAfter > 0 ? retryAfter : undefined,
      body: response.headers['content-encoding'] === 'gzip' ? unzip(response) : response,
    };
  }

  /** Of ten collections that are refused together the first one's is read again. */
  async #readAgain(refused: Credentials): Promise<void> {
    if (this.#credentials !== refused) return;
    // What cannot be read now may be in the middle of being replaced; the refusal itself is told by whoever asked.
    const read = await this.#read().catch(() => undefined);
    if (read !== undefined && this.#credentials === refused) this.#credentials = read;
  }
}

/** The server's certificate is not trusted, or ours was refused in the handshake (node:tls, OpenSSL's X509 codes). */
function isTlsFailure(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code !== undefined && /^(ERR_(SSL|TLS)_|CERT_|SELF_SIGNED_|DEPTH_ZERO_|UNABLE_TO_)/.test(code);
}

/** Node's own advice is for who starts Node; here the credentials name the authorities. */
function told(error: unknown): unknown {
  const { code = '', message } = error as NodeJS.ErrnoException;
  if (!/^(SELF_SIGNED_|DEPTH_ZERO_|UNABLE_TO_)/.test(code)) return error;
  const what = message.replace(/; if the root CA .*$/s, '');
  const missing = "the credentials name no authority (certificate-authority) that signed the API server's certificate";
  return Object.assign(new Error(`${what}: ${missing}`, { cause: error }), { code });
}

function unzip(response: IncomingMessage): Readable {
  const unzipped = createGunzip();
  response.on('error', (error) => unzipped.destroy(error));
  response.on('aborted', () => unzipped.destroy(new Error('the connection was cut')));
  // Who gives up the one gives up the other, or its connection would stay open.
  unzipped.on('close', () => response.destroy());
  return response.pipe(unzipped);
}
