import { connect, createServer } from 'node:net';
import { NetloomError } from '../../lib/errors.ts';

/** Abstract: it belongs to the network namespace, lies in no folder, and goes with its process, however that ends. */
const NAME = '\0netloom-limits';
const ANSWER_MS = 1_000;
const MAX_ANSWER = 4_096;

/** Who limits in this network namespace. */
export interface Holder {
  readonly pid: number;
  /** Folder in which limits are pinned. */
  readonly pins: string;
}

/**
 * The right to attach limits in this network namespace, of which there is one, whatever folders an agent was told.
 * @throws NetloomError AGENT_LIMITS_RUNNING
 */
export async function lockNode(pins: string): Promise<{ close(): void }> {
  const holder: Holder = { pid: process.pid, pins };
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.end(JSON.stringify(holder));
  });
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(NAME, resolve);
    });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    const other = await nodeHolder();
    throw new NetloomError('AGENT_LIMITS_RUNNING', 'another agent limits this node', {
      place: 'this network namespace',
      expected: 'one agent with --enforce or --shadow',
      found: other === undefined ? 'a process that does not answer' : `process ${other.pid}, pins in ${other.pins}`,
      cause: error,
    });
  }
  server.unref();
  return { close: () => server.close() };
}

/** Who has that right; undefined: nobody, or somebody who does not answer. */
export async function nodeHolder(): Promise<Holder | undefined> {
  const text = await new Promise<string>((resolve) => {
    let answer = '';
    const socket = connect(NAME);
    socket.setEncoding('utf8').setTimeout(ANSWER_MS, () => socket.destroy());
    socket.on('data', (part: string) => {
      answer += part;
      if (answer.length > MAX_ANSWER) socket.destroy();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(answer));
  });
  try {
    const { pid, pins } = JSON.parse(text) as Partial<Holder>;
    return typeof pid === 'number' && typeof pins === 'string' ? { pid, pins } : undefined;
  } catch {
    return undefined;
  }
}
