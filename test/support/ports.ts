import { createServer } from 'node:net';
import type { Ports } from './netloom.ts';

/** Below those that the kernel gives to who asks for any (ip_local_port_range). */
const FIRST = 20_000;
const COUNT = 12_000;
/** Processes of tests run beside each other, with pids near each other. */
const EACH = 16;

let next = (process.pid * EACH) % COUNT;

/** For a scheduler that is started again on them. */
export async function schedulerPorts(): Promise<Ports> {
  const [extender, agents, api] = await freePorts(3);
  return { extender: extender!, agents: agents!, api: api! };
}

/**
 * Ports of loopback on which to listen later, or once more: nobody who asks for any free port gets one of them meanwhile,
 * and another process of tests looks elsewhere.
 */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  for (let tries = 0; ports.length < count; tries++) {
    if (tries === COUNT) throw new Error('no port is free');
    const port = FIRST + next;
    next = (next + 1) % COUNT;
    if (await isFree(port)) ports.push(port);
  }
  return ports;
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
