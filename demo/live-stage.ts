import { setTimeout as sleep } from 'node:timers/promises';
import type { Move } from '../lab/demo/index.ts';
import {
  bindPods,
  createPods,
  deletePods,
  labDown,
  labEnv,
  labUp,
  nodesThatFit,
  pauseTraffic,
  readLab,
  registerProcess,
  renderPod,
  scopeFile,
  snapshotFile,
  startTraffic,
  type Lab,
} from '../lab/index.ts';
import type { Logger } from '../lib/log.ts';
import { limitBusiestPod, type LimitedPod } from './limited-pod.ts';
import { startNetloom, type NetloomProcess } from './netloom-process.ts';
import type { Recorder } from './recorder.ts';
import type { SchedulerUnderDemo } from './scheduler-under-demo.ts';
import { pickNode } from './pick-node.ts';
import type { Ask, LearnSpan, Question, Span, Stage } from './stage.ts';

export interface LiveOptions {
  readonly name: string;
  readonly logger: Logger;
  readonly recorder: Recorder | undefined;
  /** Starts the scheduler on the lab's snapshot. */
  readonly startScheduler: (snapshot: string, env: NodeJS.ProcessEnv) => Promise<SchedulerUnderDemo>;
  readonly onExit: (what: string) => void;
}

const INTERVAL = '1s';
const LEARN_MS = 20_000;
const MEASURE_MS = 15_000;
/** What the ingest thread knows, the extender's knows a moment later. */
const VIEW_MS = 50;
/** Two reports after traffic stopped, so that the last bytes have arrived. */
const REPORTED_MS = 2_500;

/** Builds the lab, starts the scheduler and an agent for every node. What was started is ended again if that fails. */
export async function openLiveStage(options: LiveOptions): Promise<{ stage: Stage; scheduler: SchedulerUnderDemo }> {
  const { name, logger } = options;
  // The remains of a demo that was killed.
  await labDown({ name, logger }).catch(() => {});
  const lab = await labUp({ name, paused: true, logger });
  const agents: NetloomProcess[] = [];
  try {
    await options.recorder?.note('cluster', lab.state);
    options.recorder?.watchSnapshot(snapshotFile(lab));
    const scheduler = await options.startScheduler(snapshotFile(lab), labEnv(lab));
    await registerProcess(lab, 'scheduler', scheduler.pid);
    const port =
      options.recorder === undefined ? scheduler.agentsPort : await options.recorder.proxy(scheduler.agentsPort);
    for (const node of lab.state.nodes) {
      const agent = await startNetloom(
        ['agent', '--node', node.name, '--scheduler', `127.0.0.1:${port}`, '--interval', INTERVAL]
          .concat(['--scope', scopeFile(lab, node.name), '--uplink-netns', node.netns])
          .concat(['--log-level', 'warn']),
        labEnv(lab),
        options.onExit,
        true,
      );
      agents.push(agent);
      await registerProcess(lab, `agent ${node.name}`, agent.pid);
    }
    await scheduler.agentsReport(lab.state.nodes.length);
    return { stage: new LiveStage(lab, agents, scheduler, options), scheduler };
  } catch (error) {
    await Promise.all(agents.map((agent) => agent.stop()));
    await labDown({ name, logger }).catch(() => {});
    throw error;
  }
}

class LiveStage implements Stage {
  readonly #lab: Lab;
  readonly #agents: readonly NetloomProcess[];
  readonly #scheduler: SchedulerUnderDemo;
  readonly #options: LiveOptions;
  readonly notice = undefined;

  constructor(lab: Lab, agents: readonly NetloomProcess[], scheduler: SchedulerUnderDemo, options: LiveOptions) {
    this.#lab = lab;
    this.#agents = agents;
    this.#scheduler = scheduler;
    this.#options = options;
  }

  get cluster() {
    return this.#lab.state;
  }

  get directory(): string {
    return this.#lab.dir;
  }

  async learn(): Promise<LearnSpan> {
    const span = await this.#span(LEARN_MS);
    await pauseTraffic(this.#lab);
    await sleep(REPORTED_MS);
    const learned = { ...span, still: await readLab(this.#lab) };
    await this.#options.recorder?.note('learn', learned);
    return learned;
  }

  async newPod(workload: string): Promise<Question> {
    const [pod] = await createPods(this.#lab, [workload]);
    await this.#scheduler.knowsPod(`${this.#lab.state.scenario.namespace}/${pod!.name}`, true);
    const question = { pod: renderPod(this.#lab.state, pod!), candidates: nodesThatFit(this.#lab.state, workload) };
    await this.#options.recorder?.note('question', question);
    await deletePods(this.#lab, [pod!.name]);
    return question;
  }

  /** As a rollout does, one pod at a time: the new one is asked about and bound, then the old one goes. */
  async recreate(ask: Ask): Promise<readonly Move[]> {
    const lab = this.#lab;
    const { namespace } = lab.state.scenario;
    await startTraffic(lab);
    const moves: Move[] = [];
    for (const old of heaviestFirst(lab)) {
      await deletePods(lab, [old.name]);
      const [pod] = await createPods(lab, [old.workload]);
      await this.#scheduler.knowsPod(`${namespace}/${pod!.name}`, true);
      await sleep(VIEW_MS);
      const candidates = nodesThatFit(lab.state, old.workload);
      const hosts = await ask({ pod: renderPod(lab.state, pod!), candidates });
      const node = pickNode(lab.state, candidates, hosts);
      await bindPods(lab, [{ pod: pod!.name, node }]);
      moves.push({ workload: old.workload, from: old.node!, to: node });
    }
    await this.#options.recorder?.note('moves', moves);
    return moves;
  }

  async measure(): Promise<Span> {
    const span = await this.#span(MEASURE_MS);
    await this.#options.recorder?.note('measure', span);
    return span;
  }

  limit(): Promise<LimitedPod> {
    return limitBusiestPod(this.#lab, this.#options.onExit);
  }

  async end(keep: boolean): Promise<void> {
    await this.#options.recorder?.close();
    if (keep) return;
    await Promise.all(this.#agents.map((agent) => agent.stop()));
    await this.#scheduler.stop();
    await labDown({ name: this.#lab.state.name, logger: this.#options.logger });
  }

  async #span(durationMs: number): Promise<Span> {
    const before = await readLab(this.#lab);
    await startTraffic(this.#lab);
    await sleep(durationMs);
    return { before, after: await readLab(this.#lab) };
  }
}

/** Pods of the workloads that move most come first: the others gather around them. */
function heaviestFirst(lab: Lab) {
  const { scenario } = lab.state;
  const weight = new Map<string, number>();
  for (const { client, server, ...edge } of scenario.edges) {
    const bytes = edge.requestsPerSecond * (edge.requestBytes + edge.responseBytes);
    for (const end of [client, server]) weight.set(end, (weight.get(end) ?? 0) + bytes);
  }
  return lab.state.pods
    .filter((pod) => pod.node !== undefined)
    .toSorted((a, b) => (weight.get(b.workload) ?? 0) - (weight.get(a.workload) ?? 0) || (a.name < b.name ? -1 : 1));
}
