import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { NetloomError } from '../lib/errors.ts';
import { silentLogger, type Logger } from '../lib/log.ts';
import { checkMachine, inParallel, ipBatch } from './command.ts';
import { labDown } from './down.ts';
import { layOut, namespacesOf } from './layout.ts';
import { checkLabName, netnsPath } from './names.ts';
import { applyServices, plugIn, setSysctls, startHolders, startPods, WIDTH } from './pods.ts';
import { publish } from './publish.ts';
import { DEFAULT_SCENARIO, loadScenario } from './scenario-load.ts';
import type { Scenario } from './scenario.ts';
import { DEFAULT_LAB_NAME, DEFAULT_LAB_ROOT, labDir, saveState, type Lab } from './state.ts';
import { podProgram } from './traffic/build.ts';
import { startTraffic } from './traffic/control.ts';
import { FABRIC_SYSCTLS, fabricLines, NODE_SYSCTLS, nodeLines } from './wiring.ts';

export interface LabUpOptions {
  /** 1 to 12 lower-case letters and digits; default `demo`. */
  readonly name?: string;
  /** Name of a shipped scenario, the path of a JSON file, or a parsed one. Default `online-boutique`. */
  readonly scenario?: string | Scenario;
  /** Folder in which each lab has a folder of its own; default /run/netloom/lab. */
  readonly root?: string;
  /** Build everything, but start no traffic until startTraffic(): so agents see every connection from its beginning. */
  readonly paused?: boolean;
  /** All request rates are multiplied by it; default 1. */
  readonly rateFactor?: number;
  readonly logger?: Logger;
}

/**
 * Builds a lab and starts its traffic. What was made before a failure is removed again.
 * Throws LAB_NEEDS_ROOT, LAB_TOOL_MISSING, LAB_NO_COMPILER, LAB_NAME_INVALID, LAB_SCENARIO_INVALID, LAB_EXISTS,
 * LAB_COMMAND_FAILED, LAB_POD_FAILED.
 */
export async function labUp(options: LabUpOptions = {}): Promise<Lab> {
  const name = options.name ?? DEFAULT_LAB_NAME;
  const root = options.root ?? DEFAULT_LAB_ROOT;
  const logger = options.logger ?? silentLogger;
  checkLabName(name);
  const scenario =
    typeof options.scenario === 'object' ? options.scenario : await loadScenario(options.scenario ?? DEFAULT_SCENARIO);
  await checkMachine();

  const dir = labDir(root, name);
  const state = layOut(name, randomUUID(), scenario, {
    nowMs: Date.now(),
    paused: true,
    rateFactor: options.rateFactor ?? 1,
  });
  const lab: Lab = { dir, state };
  const taken = namespacesOf(state).filter((n) => existsSync(netnsPath(n)));
  if (taken.length > 0) {
    throw new NetloomError('LAB_EXISTS', `namespaces of a lab called ${name} exist already`, {
      place: netnsPath(taken[0]!),
      found: `${taken.length} of them`,
    });
  }
  await claim(dir, name);
  try {
    await build(lab, logger);
    if (options.paused !== true) await startTraffic(lab);
    return lab;
  } catch (error) {
    await labDown({ name, root, logger }).catch((failure: unknown) =>
      logger.error('the failed lab could not be removed', { name, error: failure }),
    );
    throw error;
  }
}

/** Making the folder is what decides between two that start the same lab at the same time. */
async function claim(dir: string, name: string): Promise<void> {
  await mkdir(dirname(dir), { recursive: true, mode: 0o755 });
  try {
    await mkdir(dir, { mode: 0o755 });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause;
    throw new NetloomError('LAB_EXISTS', `there is a lab called ${name} already, or what a crashed one left`, {
      place: dir,
      remedy: `Take it down with \`netloom lab down --name ${name}\`, or choose another --name.`,
      cause,
    });
  }
  for (const sub of ['scopes', 'plans', 'counters', 'logs']) await mkdir(join(dir, sub));
}

async function build(lab: Lab, logger: Logger): Promise<void> {
  const { state } = lab;
  await podProgram(lab.dir);
  await saveState(lab);
  logger.debug('making namespaces', { count: namespacesOf(state).length });
  await ipBatch(
    undefined,
    namespacesOf(state).map((n) => `netns add ${n}`),
  );
  await setSysctls(netnsPath(state.fabricNamespace), FABRIC_SYSCTLS);
  await inParallel(state.nodes, WIDTH, (n) => setSysctls(n.netns, NODE_SYSCTLS));
  await ipBatch(state.fabricNamespace, fabricLines(state));
  await inParallel(state.nodes, WIDTH, (n) => ipBatch(n.namespace, nodeLines(state, n)));
  for (const node of state.nodes) {
    await plugIn(
      lab,
      state.pods.filter((p) => p.node === node.name),
      node.name,
    );
  }
  await applyServices(lab);
  // Some exist only once connection tracking does.
  await inParallel(state.nodes, WIDTH, (n) => setSysctls(n.netns, NODE_SYSCTLS));
  logger.debug('starting processes', { pods: state.pods.length, nodes: state.nodes.length });
  await startHolders(lab);
  await startPods(lab, state.pods);
  state.phase = 'up';
  await publish(lab);
  logger.info('lab is up', { name: state.name, nodes: state.nodes.length, pods: state.pods.length });
}
