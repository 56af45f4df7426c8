import { readFileSync, writeSync, openSync } from 'node:fs';
import { release } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { NetlinkSocket } from '../../../lib/netlink/index.ts';
import type { GuestMessage } from '../cases/case.ts';
import { CASES } from '../cases/index.ts';
import { Bench } from './bench.ts';
import { Limits } from './limits.ts';
import { buildNetwork } from './topology.ts';

/** Runs the cases that the kernel's command line names, and tells the host by the second serial line. */

/** Addresses, routes and neighbours of the kernel's own making come within this time. */
const SETTLE_MS = 2500;

const line = openSync('/dev/ttyS1', 'w');
const tell = (message: GuestMessage): void => void writeSync(line, `${JSON.stringify(message)}\n`);

const names = /netloom\.cases=(\S*)/.exec(readFileSync('/proc/cmdline', 'utf8'))?.[1]?.split(';') ?? [];
tell({ type: 'start', release: release() });
buildNetwork();
await sleep(SETTLE_MS);
const socket = new NetlinkSocket();
const bench = new Bench(await Limits.open(), socket);
for (const id of names) {
  const start = performance.now();
  try {
    const found = CASES.find((entry) => entry.id === id);
    if (found === undefined) throw new Error('no such case');
    const figures = await found.measure(bench);
    tell({ type: 'case', id, figures, virtualMs: Math.round(performance.now() - start) });
  } catch (error) {
    tell({ type: 'failed', id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  }
}
tell({ type: 'end' });
// The agent would keep this process, and with it the guest.
process.exit(0);
