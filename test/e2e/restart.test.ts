import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ReportStream } from '../../collector/report/report-stream.ts';
import type { Report } from '../../proto/report.ts';
import type { EdgesReply, StatusReply } from '../../scheduler/api/replies.ts';
import type { Counters } from '../../scheduler/graph/counters.ts';
import { clusterFile, pendingPod } from '../support/cluster-file.ts';
import { Processes, until, type SchedulerProcess } from '../support/netloom.ts';
import { schedulerPorts } from '../support/ports.ts';
import { helloOf, mapIdOf, Rig } from '../support/report-rig.ts';
import { serverPeriod } from '../support/server-period.ts';

const NODES = ['alpha', 'beta'];
const WEB = '10.7.0.10';
const API = '10.7.1.10';
const STORE = '10.7.0.20';
const CLUSTER = clusterFile({
  namespace: 'shop',
  nodes: NODES.map((name, i) => ({ name, zone: `zone-${i}` })),
  workloads: [
    { name: 'web', pods: [{ suffix: 'aaaaa', node: 'alpha', address: WEB }] },
    { name: 'api', pods: [{ suffix: 'aaaaa', node: 'beta', address: API }] },
    { name: 'store', pods: [{ suffix: 'aaaaa', node: 'alpha', address: STORE }] },
  ],
});

let dir: string;
let processes: Processes;
let rig: Rig;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'netloom-e2e-'));
  await writeFile(join(dir, 'cluster.json'), CLUSTER);
  processes = new Processes();
  rig = new Rig();
});

afterEach(async () => {
  await rig.cleanup();
  await processes.cleanup();
  await rm(dir, { recursive: true, force: true });
});

const store = (): string => join(dir, 'graph.db');

/** On the ports of the one before it, as a restarted one is. */
async function start(before?: SchedulerProcess): Promise<SchedulerProcess> {
  return processes.scheduler(['--snapshot', join(dir, 'cluster.json'), '--store', store()], {
    ports: before?.ports ?? (await schedulerPorts()),
  });
}

/** Agents of both nodes with the real client. What they measure: web -> api at beta's, api -> store at alpha's socket. */
class Agents {
  readonly #alpha: ReportStream;
  readonly #beta: ReportStream;
  readonly offered = { web: 0, api: 0, periods: 0 };

  constructor(target: string) {
    this.#alpha = rig.agent(target, 'alpha');
    this.#beta = rig.agent(target, 'beta');
  }

  offer(bytes: number): void {
    this.#beta.offer(serverPeriod([{ server: API, client: WEB, bytesOut: bytes, bytesIn: 3 * bytes }]));
    this.#alpha.offer(serverPeriod([{ server: STORE, client: API, bytesOut: 2 * bytes, bytesIn: 7 }]));
    this.offered.web += 4 * bytes;
    this.offered.api += 2 * bytes + 7;
    this.offered.periods++;
  }

  async acknowledged(): Promise<void> {
    await until('all reports are acknowledged', () =>
      [this.#alpha, this.#beta].every((stream) => {
        const { waiting, unacknowledged } = stream.stats();
        return waiting === 0 && unacknowledged === 0;
      }),
    );
  }

  async close(): Promise<void> {
    await Promise.all([this.#alpha.close(), this.#beta.close()]);
  }

  /** Of beta's. */
  lastSeq(): number {
    return this.#beta.stats().committedSeq;
  }
}

const report = (seq: number, bytes: number): Report => {
  const period = serverPeriod([{ server: API, client: WEB, bytesOut: bytes, bytesIn: bytes }]);
  return { seq, mapId: mapIdOf('beta'), ageMs: 0, merged: 0, ...period };
};

async function bytesByClient(scheduler: SchedulerProcess): Promise<Record<string, number>> {
  const { edges } = await scheduler.get<Counters>('/v1/counters');
  return Object.fromEntries(edges.map(({ client, bytesOut, bytesIn }) => [client.name, bytesOut + bytesIn]));
}

/** What a restart must not change: all but freshness, which is a matter of the clock. */
async function remembered(scheduler: SchedulerProcess): Promise<object> {
  const { edges } = await scheduler.get<EdgesReply>('/v1/edges');
  const counters = await scheduler.get<Counters>('/v1/counters');
  const { agents } = await scheduler.get<StatusReply>('/v1/status');
  return {
    edges: edges
      .map(({ firstMs: _first, lastMs: _last, confidence: _confidence, reasons: _reasons, ...edge }) => edge)
      .toSorted((a, b) => a.client.name.localeCompare(b.client.name)),
    // Rows have no order of their own: a stored graph comes back in another than it was heard in.
    counters: { ...counters, edges: counters.edges.toSorted((a, b) => a.client.name.localeCompare(b.client.name)) },
    agents: agents.map(({ node, reports, merged, intervalMs, losses, rows }) => {
      return { node, reports, merged, intervalMs, losses, rows };
    }),
  };
}

describe('a scheduler with a store', () => {
  it('has rates, counters and sequences again after SIGTERM, and goes on with the same agents', async () => {
    const first = await start();
    const agents = new Agents(first.agents);
    for (let i = 1; i <= 5; i++) {
      agents.offer(1_000 * i);
      await sleep(30);
    }
    await agents.acknowledged();
    const before = await remembered(first);
    expect(before).toMatchObject({ counters: { lost: { missingReports: 0, duplicateReports: 0 } } });
    expect(await first.end('SIGTERM')).toEqual({ status: 0, signal: null });
    expect(first.process.stderr).not.toMatch(/"level":"(warn|error)"/);
    await agents.close();

    const second = await start(first);
    expect(await remembered(second)).toEqual(before);

    // The agent is back: it hears which reports are safe, and what it sends again is not booked again.
    const again = rig.raw(second.agents).say({ hello: helloOf('beta') });
    await again.welcomed();
    const seq = agents.lastSeq();
    expect(again.messages).toContainEqual({ welcome: expect.objectContaining({ committedSeq: seq }) as unknown });
    again.say({ report: report(1, 999) }).say({ report: report(seq + 1, 100) });
    await until('the new report is acknowledged', () => again.acks().includes(seq + 1));
    expect(await bytesByClient(second)).toEqual({ web: agents.offered.web + 200, api: agents.offered.api });
    const { lost } = await second.get<Counters>('/v1/counters');
    expect(lost).toMatchObject({ missingReports: 0, malformed: 0, droppedEdges: 0 });
    await until(
      'placement uses it',
      async () => (await second.prioritize(pendingPod('shop', 'api'), NODES)).length > 0,
    );
  });

  it('killed again and again while agents report: every byte is counted once', { timeout: 60_000 }, async () => {
    let scheduler = await start();
    const agents = new Agents(scheduler.agents);
    let reporting = true;
    const reports = (async () => {
      for (let i = 1; reporting; i++) {
        agents.offer(i);
        await sleep(10);
      }
    })();
    for (let round = 0; round < 3; round++) {
      const seq = agents.lastSeq();
      await until('something new is safe', () => agents.lastSeq() > seq);
      // At another place between two saves each time.
      await sleep(250 * round);
      expect(await scheduler.end('SIGKILL')).toEqual({ status: null, signal: 'SIGKILL' });
      scheduler = await start(scheduler);
    }
    reporting = false;
    await reports;
    await agents.acknowledged();
    expect(agents.offered.periods).toBeGreaterThan(50);
    expect(await bytesByClient(scheduler)).toEqual({ web: agents.offered.web, api: agents.offered.api });
    const { lost } = await scheduler.get<Counters>('/v1/counters');
    expect(lost).toMatchObject({ missingReports: 0, droppedEdges: 0, malformed: 0 });
    expect(scheduler.process.stderr).not.toContain('"level":"error"');
  });

  it.each([
    ['no database', async () => writeFile(store(), 'Once upon a time there was a graph.\n'.repeat(400))],
    [
      'a database with a ruined middle',
      async () => {
        const bytes = await readFile(store());
        await writeFile(store(), bytes.fill(0xa5, 4096, bytes.length));
      },
    ],
  ])('moves a file aside that is %s, says so, and starts', async (_what, ruin) => {
    const first = await start();
    const agents = new Agents(first.agents);
    agents.offer(1_000);
    await agents.acknowledged();
    await first.end('SIGTERM');
    await ruin();
    const ruined = await readFile(store());

    const second = await start(first);
    // From another thread than that it is up.
    const complaints = () => second.process.log().filter(({ level }) => level === 'error');
    await until('it complains', () => complaints().length > 0);
    const [complaint] = complaints();
    expect(complaint).toMatchObject({ code: 'STORE_UNREADABLE', place: store() });
    const aside = (await readdir(dir)).filter((name) => name.startsWith('graph.db.unreadable-'));
    expect(aside).toHaveLength(1);
    expect(String(complaint!['remedy'])).toContain(aside[0]);
    expect((await readFile(join(dir, aside[0]!))).equals(ruined)).toBe(true);

    agents.offer(10);
    await agents.acknowledged();
    expect(await bytesByClient(second)).toEqual({ web: 40, api: 27 });
    await second.end('SIGTERM');
    const third = await start(second);
    expect(await bytesByClient(third)).toEqual({ web: 40, api: 27 });
  });

  it('does not start where no store can be, and says where', async () => {
    await mkdir(store());
    const { status, stderr } = await processes.run([
      ...['scheduler', '--listen', '127.0.0.1:0', '--listen-agents', '127.0.0.1:0', '--listen-api', '127.0.0.1:0'],
      ...['--store', store()],
    ]);
    expect(status).toBe(1);
    expect(stderr).toContain('STORE_UNWRITABLE');
    expect(stderr).toContain(store());
    expect(stderr).not.toMatch(/^\s+at /m);
  });
});
