import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Counters } from '../../scheduler/graph/counters.ts';
import { clusterFile, pendingPod } from '../support/cluster-file.ts';
import { Processes, until, type SchedulerProcess } from '../support/netloom.ts';
import { schedulerPorts } from '../support/ports.ts';
import { Rig } from '../support/report-rig.ts';
import { serverPeriod } from '../support/server-period.ts';
import { WorkerDebugger } from '../support/worker-debugger.ts';

const NODES = ['alpha', 'beta'];
const WEB = '10.7.0.10';
const API = '10.7.1.10';

let dir: string;
let processes: Processes;
let rig: Rig;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'netloom-e2e-'));
  processes = new Processes();
  rig = new Rig();
  await writeFile(
    join(dir, 'cluster.json'),
    clusterFile({
      namespace: 'shop',
      nodes: NODES.map((name, i) => ({ name, zone: `zone-${i}` })),
      workloads: [
        { name: 'web', pods: [{ suffix: 'aaaaa', node: 'alpha', address: WEB }] },
        { name: 'api', pods: [{ suffix: 'aaaaa', node: 'beta', address: API }] },
      ],
    }),
  );
});

afterEach(async () => {
  await rig.cleanup();
  await processes.cleanup();
  await rm(dir, { recursive: true, force: true });
});

async function start(): Promise<{ scheduler: SchedulerProcess; fault: WorkerDebugger }> {
  const scheduler = await processes.scheduler(
    ['--snapshot', join(dir, 'cluster.json'), '--store', join(dir, 'graph.db')],
    { env: { ...process.env, ...WorkerDebugger.DEBUGGABLE }, ports: await schedulerPorts() },
  );
  const fault = await WorkerDebugger.attach(scheduler.process);
  rig.onCleanup(() => fault.close());
  return { scheduler, fault };
}

const INGEST = 'ingest-thread.ts';
const MB = 1_000_000;
const question = pendingPod('shop', 'web');
const faults = ({ process }: SchedulerProcess) =>
  process.log().filter(({ msg }) => msg === 'the ingest thread failed').length;

describe('when the ingest thread dies', () => {
  it('answers go on from the last view, the thread comes back on its ports, and agents lose nothing', async () => {
    const { scheduler, fault } = await start();
    const agent = rig.agent(scheduler.agents, 'beta');
    let offered = 0;
    const offer = (): void => {
      agent.offer(serverPeriod([{ server: API, client: WEB, bytesOut: MB, bytesIn: MB }]));
      offered += 2 * MB;
    };
    const bytes = async (): Promise<number | undefined> => {
      const { edges } = await scheduler.get<Counters>('/v1/counters').catch(() => ({ edges: [] }));
      return edges.reduce((sum, edge) => sum + edge.bytesOut + edge.bytesIn, 0);
    };
    // And on the disk, which is all that a new thread has to go by until the agent has sent the rest again.
    const safe = async (): Promise<boolean> => {
      const { waiting, unacknowledged } = agent.stats();
      return (await bytes()) === offered && waiting + unacknowledged === 0;
    };
    // One report alone is too little to go by.
    await until('placement uses the reports', async () => {
      offer();
      return (await scheduler.prioritize(question, NODES)).length > 0;
    });
    for (let i = 0; i < 5; i++) offer();
    await until('all of it is in', safe);
    const answer = await scheduler.prioritize(question, NODES);
    expect(answer.map(({ Host }) => Host)).toEqual(['beta']);
    expect(await scheduler.metric('netloom_ingest_restarts_total')).toBe(0);

    for (let times = 1; times <= 2; times++) {
      await fault.throwIn(INGEST, `made by a test, time ${times}`);
      await until('the thread has died', () => faults(scheduler) === times);
      // Until it is back, on loopback within a second, each question has its answer.
      let answered = 0;
      for (; !(await apiAnswers(scheduler)); answered++) {
        expect((await scheduler.prioritize(question, NODES)).map(({ Host }) => Host)).toEqual(['beta']);
        await sleep(10);
      }
      expect(answered).toBeGreaterThan(0);
      expect(await scheduler.metric('netloom_ingest_restarts_total')).toBe(times);
      expect(await scheduler.metric('netloom_ingest_up')).toBe(1);
      offer();
      await until('the agent is back with all of it', safe);
    }
    await fault.close();
    expect(await scheduler.end('SIGTERM')).toEqual({ status: 0, signal: null });
  });

  it('ends in order on SIGTERM while the thread is away', async () => {
    const { scheduler, fault } = await start();
    await fault.throwIn(INGEST, 'made by a test');
    await until('the thread has died', () => faults(scheduler) === 1);
    await fault.close();
    expect(await scheduler.end('SIGTERM')).toEqual({ status: 0, signal: null });
  });
});

async function apiAnswers(scheduler: SchedulerProcess): Promise<boolean> {
  return scheduler.get('/v1/status').then(
    () => true,
    () => false,
  );
}
