import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LimitReport, LimitRow } from '../bandwidth/status/report.ts';
import { askLimits } from '../cli/limits-client.ts';
import {
  annotatePod,
  labEnv,
  limitsDir,
  readLab,
  registerProcess,
  scopeFile,
  snapshotFile,
  type Lab,
  type Reading,
} from '../lab/index.ts';
import { NetloomError } from '../lib/errors.ts';
import { runNetloom, startNetloom } from './netloom-process.ts';

/** A pod of the lab that was held to a limit for a while. Rates of payload are what its peers and itself counted. */
export interface LimitedPod {
  readonly pod: string;
  readonly node: string;
  /** The annotation's value. */
  readonly limit: string;
  readonly limitBps: number;
  /** Payload that it received, bits a second: before, while it was limited, and after. */
  readonly beforeBps: number;
  readonly heldBps: number;
  readonly afterBps: number;
  /** What the agent of the node told while it was limited. */
  readonly report: LimitReport;
}

const MEASURE_MS = 4_000;
/** Queues and windows that were larger are gone by then. */
const CALM_MS = 1_500;
const GIVE_UP_MS = 20_000;

/**
 * Holds the pod that receives most to half of that: an agent with --enforce starts on its node, the annotation is set, and
 * taken away again; in the end nothing of it is left. Traffic of the lab must run.
 * @throws NetloomError DEMO_FAILED and what the agent fails with
 */
export async function limitBusiestPod(lab: Lab, onExit: (what: string) => void): Promise<LimitedPod> {
  const first = await readLab(lab);
  await sleep(MEASURE_MS);
  const second = await readLab(lab);
  const running = lab.state.pods.filter((pod) => pod.node !== undefined);
  const rates = running.map((pod) => ({ pod, bps: receivedBps(pod.name, first, second) }));
  const { pod, bps: beforeBps } = rates.reduce((most, one) => (one.bps > most.bps ? one : most));
  const megabits = Math.max(1, Math.floor(beforeBps / 2e6));
  const limit = `${megabits}M`;

  const node = lab.state.nodes.find(({ name }) => name === pod.node)!;
  const state = limitsDir(lab, node.name);
  const args = ['agent', '--node', node.name, '--enforce', '--snapshot', snapshotFile(lab), '--state', state];
  const agent = await startNetloom(
    // It measures too, but nobody is there to be told: the agents that report run beside the lab.
    [...args, '--scope', scopeFile(lab, node.name), '--scheduler', '127.0.0.1:1', '--log-level', 'error'],
    labEnv(lab),
    onExit,
    true,
    node.netns,
  );
  try {
    await registerProcess(lab, `limits ${node.name}`, agent.pid);
    const socket = join(state, 'limits.sock');
    await until('the agent answers', () => Promise.resolve(existsSync(socket)));
    await annotatePod(lab, pod.name, { ingress: limit });
    await until(`${pod.name} is limited`, async () => isHeld(await rowOf(socket, pod.name)));
    const heldBps = await received(lab, pod.name);
    const report = await askLimits(socket);
    await annotatePod(lab, pod.name, {});
    await until(`${pod.name} is free`, async () => (await rowOf(socket, pod.name)) === undefined);
    const afterBps = await received(lab, pod.name);
    const figures = { beforeBps, heldBps, afterBps, limitBps: megabits * 1e6 };
    return { pod: pod.name, node: node.name, limit, ...figures, report };
  } finally {
    await agent.stop();
    await runNetloom(['agent', '--detach', '--state', state], labEnv(lab), node.netns);
  }
}

async function rowOf(socket: string, pod: string): Promise<LimitRow | undefined> {
  const { rows } = await askLimits(socket);
  return rows.find((row) => row.pod === pod);
}

function isHeld(row: LimitRow | undefined): boolean {
  return row !== undefined && ['enforced', 'shaped-htb', 'policed'].includes(row.state);
}

async function received(lab: Lab, pod: string): Promise<number> {
  await sleep(CALM_MS);
  const before = await readLab(lab);
  await sleep(MEASURE_MS);
  return receivedBps(pod, before, await readLab(lab));
}

/** Payload that came to a pod between two readings, as client and as server. */
function receivedBps(pod: string, before: Reading, after: Reading): number {
  const bytes = ({ matrix }: Reading): number =>
    matrix.pods.reduce((sum, edge) => {
      const asClient = edge.client.name === pod ? edge.bytesIn : 0;
      const asServer = edge.server.name === pod ? edge.bytesOut : 0;
      return sum + asClient + asServer;
    }, 0);
  return ((bytes(after) - bytes(before)) * 8000) / (after.atMs - before.atMs);
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const giveUp = performance.now() + GIVE_UP_MS;
  while (!(await holds())) {
    if (performance.now() > giveUp) throw new NetloomError('DEMO_FAILED', `waited in vain until ${what}`);
    await sleep(50);
  }
}
