import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A call of kube-scheduler to an extender, and what it was answered. */
export interface ExtenderCall {
  /** prioritize, filter, preempt */
  readonly verb: string;
  readonly pod: string;
  readonly uid: string;
  readonly nodeNames: readonly string[];
  readonly body: string;
  readonly status: number;
  readonly answer: string;
}

type Answerer = (path: string, body: string) => Promise<{ readonly status: number; readonly text: string }>;

/** What stands where an extender is expected, and writes down what is asked and answered. */
export class Recorder {
  readonly #server: Server;
  readonly #answer: Answerer;
  calls: ExtenderCall[] = [];

  private constructor(answer: Answerer) {
    this.#answer = answer;
    this.#server = createServer((request, reply) => void this.#handle(request, reply));
    this.#server.keepAliveTimeout = 120_000;
  }

  static async start(answer: Answerer): Promise<Recorder> {
    const recorder = new Recorder(answer);
    await new Promise<void>((resolve) => recorder.#server.listen(0, '127.0.0.1', resolve));
    return recorder;
  }

  /** Passes everything on. @param target HOST:PORT of the extender */
  static before(target: string): Promise<Recorder> {
    return Recorder.start(async (path, body) => {
      const reply = await fetch(`http://${target}${path}`, { method: 'POST', body });
      return { status: reply.status, text: await reply.text() };
    });
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  prioritized(pod: RegExp | string): readonly ExtenderCall[] {
    return this.calls.filter((call) => call.verb === 'prioritize' && call.pod.match(pod) !== null);
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #handle(request: IncomingMessage, reply: ServerResponse): Promise<void> {
    reply.on('error', () => undefined);
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const body = Buffer.concat(chunks).toString();
    const path = request.url ?? '';
    const { status, text } = await this.#answer(path, body).catch((error: unknown) => ({
      status: 502,
      text: String(error),
    }));
    const { Pod, NodeNames } = JSON.parse(body) as {
      Pod: { metadata: { name: string; uid: string } };
      NodeNames?: string[] | null;
    };
    this.calls.push({
      verb: path.slice(path.lastIndexOf('/') + 1),
      pod: Pod.metadata.name,
      uid: Pod.metadata.uid,
      nodeNames: NodeNames ?? [],
      body,
      status,
      answer: text,
    });
    reply
      .writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
      .end(text);
  }
}
