import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export const TRAFFIC = join(import.meta.dirname, 'traffic.py');

/** Starts a sink of traffic.py in a namespace; resolves once it listens. `counted` ends it: all was sent by then. */
export async function listen(netns: string, ...args: string[]): Promise<{ counted(): Promise<number[]> }> {
  const { last } = await startTraffic(netns, ...args);
  return { counted: async () => (await last()).split(' ').map(Number) };
}

/** Starts a verb of traffic.py that says when it is ready and goes on until `last`, which returns its last line. */
export async function startTraffic(netns: string, ...args: (string | number)[]): Promise<{ last(): Promise<string> }> {
  const child = spawn('ip', ['netns', 'exec', netns, 'python3', TRAFFIC, ...args.map(String)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines: string[] = [];
  const reader = createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
  const ended = once(reader, 'close');
  await Promise.race([once(reader, 'line'), ended]);
  return {
    last: async () => {
      child.stdin.end();
      await ended;
      return lines.at(-1) ?? '';
    },
  };
}
