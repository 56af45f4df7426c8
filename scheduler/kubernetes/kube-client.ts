import { type IncomingMessage, request as requestPlain } from 'node:http';
import { request as requestTls, type RequestOptions } from 'node:https';
import { createGunzip } from 'node:zlib';
import type { Readable } from 'node:stream';
import { messageOf, NetloomError } from '../../lib/errors.ts';
import { VERSION } from '../../lib/version.ts';

export interface KubeClientOptions {
  /** Path of a kubeconfig; undefined: the ServiceAccount of the pod that this runs in. */
  readonly kubeconfig: string | undefined;
  /** Folder before /var/run/secrets/kubernetes.io/serviceaccount; for tests. */
  readonly root?: string;
}

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
 * Requests to the API server that a kubeconfig, or the pod's ServiceAccount, names. Certificates, tokens, exec
 * plugins and proxies are client-node's work; it reads a token file again every minute, so tokens may be rotated.
 */
export class KubeClient implements KubeApi {
  readonly server: string;
  readonly #config: Credentials;

  private constructor(server: string, config: Credentials) {
    this.server = server;
    this.#config = config;
  }

  /** @throws NetloomError KUBECONFIG_UNUSABLE */
  static async create(options: KubeClientOptions): Promise<KubeClient> {
    // 90 MB and a quarter of a second, which only who asks for an API server pays.
    const { KubeConfig } = await import('@kubernetes/client-node');
    const config = new KubeConfig();
    const { kubeconfig } = options;
    const place = kubeconfig ?? 'the ServiceAccount of this pod';
    try {
      if (kubeconfig === undefined) config.loadFromCluster(options.root ?? '');
      else config.loadFromFile(kubeconfig);
    } catch (error) {
      throw new NetloomError('KUBECONFIG_UNUSABLE', 'the API server to watch is not known', {
        place,
        expected:
          kubeconfig === undefined ? 'to run in a pod with a mounted token, or --kubeconfig FILE' : 'a kubeconfig',
        found: messageOf(error),
        cause: error,
      });
    }
    const cluster = config.getCurrentCluster();
    if (cluster === null || !URL.canParse(cluster.server)) {
      throw new NetloomError('KUBECONFIG_UNUSABLE', 'the API server to watch is not known', {
        place,
        expected: 'a current context that names a cluster with a server',
        found: `current-context ${JSON.stringify(config.getCurrentContext())}, server ${JSON.stringify(cluster?.server)}`,
      });
    }
    return new KubeClient(cluster.server, config);
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
    await this.#config.applyToHTTPSOptions(options);
    const url = new URL(this.server.replace(/\/+$/, '') + path);
    const request = url.protocol === 'http:' ? requestPlain : requestTls;
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const call = request(url, { ...options, signal }, resolve);
      call.on('error', reject);
      call.on('socket', (socket) => socket.setKeepAlive(true, KEEPALIVE_MS));
      call.end(body);
    });
    const retryAfter = Number(response.headers['retry-after']);
    return {
      status: response.statusCode ?? 0,
      retryAfter: Number.isFinite(retryAfter) && retryAfter > 0 ? retryAfter : undefined,
      body: response.headers['content-encoding'] === 'gzip' ? unzip(response) : response,
    };
  }
}

function unzip(response: IncomingMessage): Readable {
  const unzipped = createGunzip();
  response.on('error', (error) => unzipped.destroy(error));
  response.on('aborted', () => unzipped.destroy(new Error('the connection was cut')));
  return response.pipe(unzipped);
}

/** Of client-node's KubeConfig, what is called after loading. */
interface Credentials {
  applyToHTTPSOptions(options: RequestOptions): Promise<void>;
}
