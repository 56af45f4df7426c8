import { once } from 'node:events';
import { until, type Running } from './netloom.ts';

interface Attached {
  readonly sessionId: string;
  readonly workerInfo: { readonly url: string };
}

/**
 * Reaches the threads of a running process through Node's own debugger, so that a fault can be made in one of them
 * without a hook for it in the program. The process must have been started with `DEBUGGABLE`.
 */
export class WorkerDebugger {
  readonly #socket: WebSocket;
  readonly #workers = new Map<string, string>();
  #id = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.addEventListener('message', ({ data }) => {
      const { method, params } = JSON.parse(String(data)) as { method?: string; params?: Attached };
      if (method === 'NodeWorker.attachedToWorker') this.#workers.set(params!.workerInfo.url, params!.sessionId);
      if (method === 'NodeWorker.detachedFromWorker') {
        for (const [url, session] of this.#workers) if (session === params!.sessionId) this.#workers.delete(url);
      }
    });
  }

  /** Environment of a process whose debugger listens on a free port of loopback. */
  static readonly DEBUGGABLE = { NODE_OPTIONS: '--inspect=127.0.0.1:0' };

  static async attach(process: Running): Promise<WorkerDebugger> {
    let url: string | undefined;
    await until('the debugger listens', () => {
      url = /^Debugger listening on (ws:\S+)/m.exec(process.stderr)?.[1];
      return url !== undefined;
    });
    const socket = new WebSocket(url!);
    await once(socket, 'open');
    const attached = new WorkerDebugger(socket);
    attached.#send('NodeWorker.enable', { waitForDebuggerOnStart: false });
    return attached;
  }

  /** Throws in the thread whose module's path ends in `module`, where nothing catches it. */
  async throwIn(module: string, message: string): Promise<void> {
    let sessionId: string | undefined;
    await until(`the thread of ${module} is attached`, () => {
      sessionId = [...this.#workers].find(([url]) => url.endsWith(module))?.[1];
      return sessionId !== undefined;
    });
    const expression = `setImmediate(() => { throw new Error(${JSON.stringify(message)}); })`;
    const call = { id: 1, method: 'Runtime.evaluate', params: { expression } };
    this.#send('NodeWorker.sendMessageToWorker', { sessionId, message: JSON.stringify(call) });
  }

  /** A process does not end while its debugger is attached. */
  async close(): Promise<void> {
    if (this.#socket.readyState === WebSocket.CLOSED) return;
    const closed = once(this.#socket, 'close');
    this.#socket.close();
    await closed;
  }

  #send(method: string, params: object): void {
    this.#socket.send(JSON.stringify({ id: ++this.#id, method, params }));
  }
}
