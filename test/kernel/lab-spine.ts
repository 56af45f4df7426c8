import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
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
import type { StatusReply } from '../../scheduler/api/replies.ts';
import type { Counters } from '../../scheduler/graph/counters.ts';
import { Processes, until, type Running, type SchedulerProcess } from '../support/netloom.ts';

const INTERVAL_MS = 1_000;

type LabNode = Lab['state']['nodes'][number];

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
  readonly scheduler: SchedulerProcess;
  readonly #processes: Processes;
  readonly #startAgent: (node: LabNode) => Running;
  #agents: readonly Running[];

  private constructor(
    lab: Lab,
    processes: Processes,
    scheduler: SchedulerProcess,
    startAgent: (node: LabNode) => Running,
  ) {
    this.lab = lab;
    this.scheduler = scheduler;
    this.#processes = processes;
    this.#startAgent = startAgent;
    this.#agents = lab.state.nodes.map(startAgent);
  }

  /**
   * Paused: the agents see every connection from its beginning. `pins`: a folder on a bpffs, where each agent pins
   * below its node's name; its state goes to `state`.
   */
  static async start(
    name: string,
    scenario: string | Scenario,
    { pins, state, store }: { pins?: string; state?: string; store?: string } = {},
  ): Promise<LabSpine> {
    const processes = new Processes();
    try {
      const lab = await labUp({ name, scenario, paused: true });
      const options = { env: labEnv(lab) };
      const scheduler = await processes.scheduler(
        ['--snapshot', snapshotFile(lab)].concat(store === undefined ? [] : ['--store', store]),
        options,
      );
      const startAgent = (node: LabNode): Running =>
        processes.start(
          ['agent', '--node', node.name, '--scheduler', scheduler.agents, '--interval', `${INTERVAL_MS}ms`]
            .concat(['--scope', scopeFile(lab, node.name), '--uplink-netns', node.netns])
            .concat(pins === undefined ? [] : ['--pins', join(pins, node.name)])
            .concat(state === undefined ? [] : ['--state', state])
            .concat(['--log-format', 'json']),
          options,
        );
      const spine = new LabSpine(lab, processes, scheduler, startAgent);
      await until('all agents report', async () => {
        const status = await scheduler.get<StatusReply>('/v1/status');
        return status.agents.filter((agent) => agent.state === 'reporting').length === spine.#agents.length;
      });
      return spine;
    } catch (error) {
      await processes.cleanup();
      await labDown({ name }).catch(() => {});
      throw error;
    }
  }

  /** Ends every agent and starts another in its place, `awayMs` later. */
  async replaceAgents(signal: NodeJS.Signals, awayMs: number): Promise<void> {
    await Promise.all(this.#agents.map((agent) => agent.end(signal)));
    await sleep(awayMs);
    this.#agents = this.lab.state.nodes.map(this.#startAgent);
    await Promise.all(this.#agents.map((agent) => agent.says('measuring')));
  }

  /** What processes said that ended by themselves or complained. */
  get faults(): string[] {
    return [this.scheduler.process, ...this.#agents]
      .filter((process) => !process.running || process.log().some(({ level }) => level === 'warn' || level === 'error'))
      .map((process) => process.stderr);
  }

  /** Stops the traffic and waits until all of it has been reported, and nothing more comes. */
  async settled(): Promise<{ truth: TrueMatrix; workloads: Counters; pods: Counters }> {
    await pauseTraffic(this.lab);
    const truth = await trueMatrix(this.lab);
    const expected = bytesOf(truth.workloads.map((edge) => edge.byServers));
    let [learned, unchanged] = [0, 0];
    // Twice, for a report may come late.
    while (learned < expected && unchanged < 2) {
      await sleep(3 * INTERVAL_MS);
      const before = learned;
      learned = bytesOf((await this.scheduler.get<Counters>('/v1/counters')).edges);
      unchanged = learned === before ? unchanged + 1 : 0;
    }
    await sleep(INTERVAL_MS);
    return {
      truth,
      workloads: await this.scheduler.get<Counters>('/v1/counters'),
      pods: await this.scheduler.get<Counters>('/v1/counters', { by: 'pod' }),
    };
  }

  async stop(): Promise<void> {
    await Promise.all(this.#agents.map((agent) => agent.end()));
    await this.scheduler.end();
    await this.#processes.cleanup();
    await labDown({ name: this.lab.state.name });
  }
}
