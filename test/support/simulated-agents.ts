import { fork } from 'node:child_process';
import { parseArgs } from 'node:util';
import { createReportStream, type ReportStream } from '../../collector/report/report-stream.ts';
import { createLogger } from '../../lib/log.ts';
import { EdgeTable } from '../../proto/edge-table.ts';
import { IPPROTO_TCP, NO_COST, NO_LOSSES, ROLE_SERVER, type EdgeColumns } from '../../proto/report.ts';

/**
 * Many agents in one child process, each with the real client and a connection of its own: load for a scheduler.
 *
 *     node test/support/simulated-agents.ts --target 127.0.0.1:7600 --agents 1000 --edges 200 --interval 10000
 *
 * Agent k is node `nodeName(k)`; its pods have the addresses `podAddress(k, 0..)`. Its edges are seen from the server:
 * a pod of its own, and a client pod of any node, the same ones in every period.
 */
export interface SimulatedAgentsOptions {
  readonly target: string;
  readonly agents: number;
  /** Per agent and period. */
  readonly edges: number;
  readonly intervalMs: number;
  /** Default 100, as in the address plan of `podAddress`. */
  readonly podsPerNode?: number;
  /** Seed of who talks to whom. Default 1. */
  readonly seed?: number;
}

export interface SimulatedAgentsStats {
  readonly connected: number;
  /** Sum over all agents of the highest acknowledged sequence number. */
  readonly acknowledged: number;
  readonly sentReports: number;
  readonly sentBytes: number;
  readonly failedAttempts: number;
  readonly mergedPeriods: number;
  readonly droppedEdges: number;
}

export interface SimulatedAgents {
  readonly pid: number;
  /** All agents were welcomed. Rejects if the child ends before. */
  readonly ready: Promise<void>;
  stats(): Promise<SimulatedAgentsStats>;
  /** Ends the child; resolves with its last stats. */
  stop(): Promise<SimulatedAgentsStats>;
}

export const DEFAULT_PODS_PER_NODE = 100;

export const nodeName = (agent: number): string => `node-${agent}`;

/** IPv4 of pod `pod` of node `agent` as text, in 10.0.0.0/8: consecutive numbers from 10.0.0.1 on. */
export function podAddress(agent: number, pod: number, podsPerNode = DEFAULT_PODS_PER_NODE): string {
  const host = 1 + agent * podsPerNode + pod;
  return `10.${(host >>> 16) & 255}.${(host >>> 8) & 255}.${host & 255}`;
}

/** Starts them in a process of their own, so that their work is not on the scheduler's core. */
export function startSimulatedAgents(options: SimulatedAgentsOptions): SimulatedAgents {
  const child = fork(import.meta.filename, [], { execArgv: [], stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const waiting: ((stats: SimulatedAgentsStats) => void)[] = [];
  const ended = new Promise<never>((_resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`the simulated agents ended with code ${code}`)));
  });
  ended.catch(() => {});
  const isReady = new Promise<void>((resolve) => {
    child.on('message', (message: { ready?: true; stats?: SimulatedAgentsStats }) => {
      if (message.ready !== undefined) resolve();
      if (message.stats !== undefined) waiting.shift()?.(message.stats);
    });
  });
  const ask = (question: 'stats' | 'stop'): Promise<SimulatedAgentsStats> => {
    const answer = new Promise<SimulatedAgentsStats>((resolve) => waiting.push(resolve));
    child.send({ question });
    return Promise.race([answer, ended]);
  };
  child.send({ options });
  return {
    pid: child.pid ?? 0,
    ready: Promise.race([isReady, ended]),
    stats: () => ask('stats'),
    stop: async () => {
      const last = await ask('stop');
      await ended.catch(() => {});
      return last;
    },
  };
}

/** The edges of one agent, the same for the same arguments. */
export function simulatedEdges(agent: number, options: SimulatedAgentsOptions): EdgeColumns {
  const { agents, edges, podsPerNode = DEFAULT_PODS_PER_NODE, seed = 1 } = options;
  const random = mulberry32(seed * 1_000_003 + agent);
  const below = (n: number): number => Math.floor(random() * n);
  const table = new EdgeTable(edges);
  while (table.size < Math.min(edges, podsPerNode * podsPerNode)) {
    const local = table.address(addressBytes(podAddress(agent, below(podsPerNode), podsPerNode)), 0);
    const remote = table.address(addressBytes(podAddress(below(agents), below(podsPerNode), podsPerNode)), 0);
    const row = table.row(local, remote, 8080 + below(3), ROLE_SERVER, IPPROTO_TCP);
    const bytes = Math.floor(10 ** (2 + 4 * random()));
    table.add(
      row,
      bytes,
      Math.floor(bytes / 8),
      1 + (bytes >> 10),
      1 + (bytes >> 11),
      below(50) === 0 ? 1 : 0,
      below(3),
    );
    table.gauges(row, 80 + below(400), 100 + below(900));
  }
  return table.toColumns();
}

function addressBytes(text: string): Uint8Array {
  return Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, ...text.split('.').map(Number));
}

/** https://gist.github.com/tommyettinger/46a874533244883189143505d203312c */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

// ---- the child

class Crowd {
  readonly #streams: ReportStream[] = [];
  readonly #timers: NodeJS.Timeout[] = [];

  start(options: SimulatedAgentsOptions, onReady: () => void): void {
    const logger = createLogger({ level: 'error' });
    let welcomed = 0;
    for (let agent = 0; agent < options.agents; agent++) {
      const edges = simulatedEdges(agent, options);
      const mapId = new Uint8Array(16);
      new DataView(mapId.buffer).setUint32(0, agent);
      // Another life of this process has other counters.
      new DataView(mapId.buffer).setFloat64(8, Date.now());
      let first = true;
      const stream = createReportStream({
        target: options.target,
        hello: { node: nodeName(agent), mapId, intervalMs: options.intervalMs, version: 'simulated' },
        logger,
        onWelcome: () => {
          if (first && ++welcomed === options.agents) onReady();
          first = false;
        },
      });
      this.#streams.push(stream);
      const report = (): void => {
        const period = { edges, uplinks: [], losses: NO_LOSSES, cost: NO_COST, periodMs: options.intervalMs };
        stream.offer(period);
      };
      // Agents of a cluster start at any time: their reports are spread over the interval.
      const phaseMs = (options.intervalMs * agent) / options.agents;
      this.#timers.push(
        setTimeout(() => {
          report();
          this.#timers.push(setInterval(report, options.intervalMs));
        }, phaseMs),
      );
    }
  }

  stats(): SimulatedAgentsStats {
    const all = this.#streams.map((stream) => stream.stats());
    const sum = (of: (stats: (typeof all)[number]) => number): number => all.reduce((total, s) => total + of(s), 0);
    return {
      connected: sum((s) => (s.state === 'streaming' ? 1 : 0)),
      acknowledged: sum((s) => s.committedSeq),
      sentReports: sum((s) => s.sentReports),
      sentBytes: sum((s) => s.sentBytes),
      failedAttempts: sum((s) => s.failedAttempts),
      mergedPeriods: sum((s) => s.mergedPeriods),
      droppedEdges: sum((s) => s.droppedEdges),
    };
  }

  async stop(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer);
    await Promise.all(this.#streams.map((stream) => stream.close()));
  }
}

function runAsChild(): void {
  const crowd = new Crowd();
  process.on('message', (message: { options?: SimulatedAgentsOptions; question?: 'stats' | 'stop' }) => {
    if (message.options !== undefined) crowd.start(message.options, () => process.send?.({ ready: true }));
    if (message.question === 'stats') process.send?.({ stats: crowd.stats() });
    if (message.question === 'stop') {
      const stats = crowd.stats();
      void crowd.stop().then(() => process.send?.({ stats }, () => process.exit(0)));
    }
  });
  // Whoever started us is gone.
  process.once('disconnect', () => process.exit(1));
}

function runByHand(): void {
  const { values } = parseArgs({
    options: {
      target: { type: 'string', default: '127.0.0.1:7600' },
      agents: { type: 'string', default: '1000' },
      edges: { type: 'string', default: '200' },
      interval: { type: 'string', default: '10000' },
      pods: { type: 'string', default: String(DEFAULT_PODS_PER_NODE) },
    },
  });
  const crowd = new Crowd();
  const options = {
    target: values.target,
    agents: Number(values.agents),
    edges: Number(values.edges),
    intervalMs: Number(values.interval),
    podsPerNode: Number(values.pods),
  };
  crowd.start(options, () => console.log('all agents are connected'));
  setInterval(() => console.log(JSON.stringify(crowd.stats())), 5000);
}

if (import.meta.main) {
  if (process.send === undefined) runByHand();
  else runAsChild();
}
