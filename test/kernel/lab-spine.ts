import { setTimeout as sleep } from 'node:timers/promises';
import { startNetloom, type NetloomProcess } from '../../demo/netloom-process.ts';
import { startScheduler, type SchedulerUnderDemo } from '../../demo/scheduler-under-demo.ts';
import {
  labDown,
  labEnv,
  labUp,
  pauseTraffic,
  scopeFile,
  snapshotFile,
  trueMatrix,
  type Lab,
} from '../../lab/index.ts';
import type { TrueMatrix } from '../../lab/index.ts';
import type { Scenario } from '../../lab/scenario.ts';
import type { Counters } from '../../scheduler/graph/counters.ts';

const INTERVAL_MS = 1_000;

interface Bytes {
  readonly bytesOut: number;
  readonly bytesIn: number;
}

export const bytesOf = (edges: readonly Bytes[]): number =>
  edges.reduce((sum, edge) => sum + edge.bytesOut + edge.bytesIn, 0);

/** What must be zero where everything was measured. */
export const NOTHING_LOST = {
  mapFullConnections: 0,
  storageFailed: 0,
  droppedEdges: 0,
  refusedForeign: 0,
  malformed: 0,
  heldOverflow: 0,
  unresolvedLocal: 0,
  unresolvedRemote: 0,
  missingReports: 0,
};

/** A lab with the scheduler and one agent a node, all real processes. */
export class LabSpine {
  readonly lab: Lab;
  readonly scheduler: SchedulerUnderDemo;
  readonly agents: readonly NetloomProcess[];
  /** Processes that ended by themselves. */
  readonly faults: readonly string[];

  private constructor(
    lab: Lab,
    scheduler: SchedulerUnderDemo,
    agents: readonly NetloomProcess[],
    faults: readonly string[],
  ) {
    this.lab = lab;
    this.scheduler = scheduler;
    this.agents = agents;
    this.faults = faults;
  }

  /** Paused: the agents see every connection from its beginning. */
  static async start(name: string, scenario: string | Scenario): Promise<LabSpine> {
    const faults: string[] = [];
    const started: (NetloomProcess | SchedulerUnderDemo)[] = [];
    const onExit = (what: string): void => void faults.push(what);
    try {
      const lab = await labUp({ name, scenario, paused: true });
      const scheduler = await startScheduler(snapshotFile(lab), labEnv(lab), onExit);
      started.push(scheduler);
      const agents: NetloomProcess[] = [];
      for (const node of lab.state.nodes) {
        const agent = await startNetloom(
          ['agent', '--node', node.name, '--scheduler', `127.0.0.1:${scheduler.agentsPort}`]
            .concat(['--interval', `${INTERVAL_MS}ms`, '--log-level', 'warn'])
            .concat(['--scope', scopeFile(lab, node.name), '--uplink-netns', node.netns]),
          labEnv(lab),
          onExit,
        );
        agents.push(agent);
        started.push(agent);
      }
      await scheduler.agentsReport(agents.length);
      return new LabSpine(lab, scheduler, agents, faults);
    } catch (error) {
      await Promise.all(started.map((process) => process.stop()));
      await labDown({ name }).catch(() => {});
      throw error;
    }
  }

  /** Stops the traffic and waits until all of it has been reported, and nothing more comes. */
  async settled(): Promise<{ truth: TrueMatrix; workloads: Counters; pods: Counters }> {
    await pauseTraffic(this.lab);
    const truth = await trueMatrix(this.lab);
    const expected = bytesOf(truth.workloads.map((edge) => edge.byServers));
    for (let i = 0; i < 100; i++) {
      if (bytesOf((await this.scheduler.get<Counters>('/v1/counters')).edges) >= expected) break;
      await sleep(INTERVAL_MS / 10);
    }
    await sleep(2 * INTERVAL_MS);
    return {
      truth,
      workloads: await this.scheduler.get<Counters>('/v1/counters'),
      pods: await this.scheduler.get<Counters>('/v1/counters', { by: 'pod' }),
    };
  }

  async stop(): Promise<void> {
    await Promise.all([...this.agents, this.scheduler].map((process) => process.stop()));
    await labDown({ name: this.lab.state.name });
  }
}
