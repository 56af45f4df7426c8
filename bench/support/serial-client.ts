import { connect, type Socket } from 'node:net';

/** One keep-alive connection, one call at a time, as kube-scheduler has it; little work of its own, so that little is measured beside. */
export class SerialClient {
  readonly #socket: Socket;
  #pending: Buffer = Buffer.alloc(0);
  #resolve: ((body: string) => void) | undefined;
  #reject: ((error: Error) => void) | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk) => this.#onData(chunk));
    socket.on('error', (error) => this.#reject?.(error));
    socket.on('close', () => this.#reject?.(new Error('the connection was closed')));
  }

  static connect(url: URL): Promise<SerialClient> {
    return new Promise((resolve, reject) => {
      const socket = connect(Number(url.port || 80), url.hostname, () => resolve(new SerialClient(socket)));
      socket.once('error', reject);
    });
  }

  /** @returns the reply's body; throws if the status is not 200. */
  post(request: Buffer): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      this.#socket.write(request);
    });
  }

  close(): void {
    this.#reject = undefined;
    this.#socket.destroy();
  }

  #onData(chunk: Buffer): void {
    this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    const end = this.#pending.indexOf('\r\n\r\n');
    if (end < 0) return;
    const head = this.#pending.subarray(0, end).toString('latin1');
    const length = Number(/content-length: (\d+)/i.exec(head)?.[1]);
    if (this.#pending.length < end + 4 + length) return;
    const body = this.#pending.subarray(end + 4, end + 4 + length).toString();
    this.#pending = Buffer.alloc(0);
    if (head.startsWith('HTTP/1.1 200 ')) this.#resolve?.(body);
    else this.#reject?.(new Error(`${head.split('\r\n', 1)[0]}: ${body.slice(0, 200)}`));
  }
}

export function requestBytes(path: string, body: string): Buffer {
  const head = `POST ${path} HTTP/1.1\r\nHost: bench\r\nUser-Agent: Go-http-client/1.1\r\nContent-Length: ${Buffer.byteLength(body)}\r\nContent-Type: application/json\r\nAccept-Encoding: gzip\r\n\r\n`;
  return Buffer.from(head + body);
}
