import { readFile, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { NetloomError } from '../lib/errors.ts';
import { command, inParallel, ipBatch } from './command.ts';
import { readCountersFile } from './counters-read.ts';
import { addPod, bind } from './layout.ts';
import { endProcesses, isAlive, nsenterArgs, startDetached } from './processes.ts';
import { publish } from './publish.ts';
import type { Bandwidth } from './scenario.ts';
import { servicesRuleset } from './services-nft.ts';
import { countersFile, logFile, nodeOf, planFile, saveState, type Lab, type LabPod, type ProcessRef } from './state.ts';
import { podProgram } from './traffic/build.ts';
import { HOLDER_PLAN, trafficPlan } from './traffic/plan.ts';
import { plugLines, POD_SYSCTLS, podLines, sysctlScript, type Sysctl } from './wiring.ts';

/** How many programs are called at a time: the machine has other work. */
export const WIDTH = 4;
const READY_MS = 15_000;
/** pod.c ends within half a second of being asked. */
export const POD_GRACE_MS = 1500;

/** Creates pods that have no node yet, as a Deployment does: they are pending in the snapshot until bindPods(). */
export async function createPods(lab: Lab, workloads: readonly string[]): Promise<LabPod[]> {
  const pods = workloads.map((w) => addPod(lab.state, w, Date.now()));
  await publish(lab);
  return pods;
}

/** Starts pending pods on the nodes chosen for them: namespace, address, process, then the Services lead to them. */
export async function bindPods(
  lab: Lab,
  bindings: readonly { readonly pod: string; readonly node: string }[],
): Promise<void> {
  const bound: LabPod[] = [];
  for (const { pod: name, node } of bindings) {
    const pod = podOf(lab, name);
    if (pod.node !== undefined) {
      throw new NetloomError('LAB_UNKNOWN_OBJECT', `pod ${name} runs already`, { found: `it is on ${pod.node}` });
    }
    bind(lab.state, pod, node);
    bound.push(pod);
  }
  await saveState(lab);
  await ipBatch(
    undefined,
    bound.map((p) => `netns add ${p.namespace!}`),
  );
  // An agent must have the new namespaces in its scope before the first connection is opened in one.
  await publish(lab);
  for (const node of lab.state.nodes) {
    await plugIn(
      lab,
      bound.filter((p) => p.node === node.name),
      node.name,
    );
  }
  await startPods(lab, bound);
  await applyServices(lab);
  await publish(lab);
}

/** Deletes pods: Services lead to them no more, their processes end in order, their namespaces go. */
export async function deletePods(lab: Lab, names: readonly string[]): Promise<void> {
  const pods = names.map((n) => podOf(lab, n));
  lab.state.pods = lab.state.pods.filter((p) => !pods.includes(p));
  const removedAtMs = Date.now();
  // Written before anything is removed, and removed by the names written: a crash in between leaves no orphan.
  lab.state.retired.push(...pods.filter((p) => p.node !== undefined).map((p) => ({ ...p, removedAtMs })));
  await saveState(lab);
  await applyServices(lab);
  await endProcesses(
    pods.flatMap((p) => p.process ?? []),
    POD_GRACE_MS,
  );
  // Out of the agents' scopes first: the kernel gives a removed namespace's inode number to the next one at once, and
  // that may be another lab's. What the pods' sockets moved is counted all the same: the scope is asked at opening only.
  await publish(lab);
  await ipBatch(
    undefined,
    pods.flatMap((p) => (p.namespace === undefined ? [] : [`netns del ${p.namespace}`])),
  );
}

/** Deletes pods and makes new ones of their workloads on other nodes, under new names, uids and addresses. */
export async function movePods(
  lab: Lab,
  moves: readonly { readonly pod: string; readonly node: string }[],
): Promise<LabPod[]> {
  const workloads = moves.map((m) => podOf(lab, m.pod).workload);
  for (const m of moves) nodeOf(lab.state, m.node);
  await deletePods(
    lab,
    moves.map((m) => m.pod),
  );
  const created = await createPods(lab, workloads);
  await bindPods(
    lab,
    created.map((p, i) => ({ pod: p.name, node: moves[i]!.node })),
  );
  return created;
}

/** A pod by its name. Throws LAB_UNKNOWN_OBJECT. */
export function podOf(lab: Lab, name: string): LabPod {
  const pod = lab.state.pods.find((p) => p.name === name);
  if (pod !== undefined) return pod;
  throw new NetloomError('LAB_UNKNOWN_OBJECT', `the lab has no pod ${name}`, { found: name });
}

/** Connects pods, whose namespaces exist, to their node. */
export async function plugIn(lab: Lab, pods: readonly LabPod[], nodeName: string): Promise<void> {
  if (pods.length === 0) return;
  const node = nodeOf(lab.state, nodeName);
  await inParallel(pods, WIDTH, (p) => setSysctls(p.netns!, POD_SYSCTLS));
  await ipBatch(node.namespace, pods.flatMap(plugLines));
  await inParallel(pods, WIDTH, (p) => ipBatch(p.namespace, podLines(lab.state, p, node)));
}

export async function setSysctls(netns: string, sysctls: readonly Sysctl[]): Promise<void> {
  await command('nsenter', nsenterArgs(netns, ['sh', '-c', sysctlScript(sysctls)]));
}

/** Gives a pod annotations of bandwidth, as `kubectl annotate` does; none: takes them away. Throws LAB_UNKNOWN_OBJECT. */
export async function annotatePod(lab: Lab, name: string, bandwidth: Bandwidth): Promise<void> {
  podOf(lab, name).bandwidth = bandwidth;
  await publish(lab);
}

/** Makes all nodes translate Service addresses to the pods there are now. */
export async function applyServices(lab: Lab): Promise<void> {
  await inParallel(lab.state.nodes, WIDTH, async (node) => {
    await command('nsenter', nsenterArgs(node.netns, ['nft', '-f', '-']), servicesRuleset(lab.state, node));
  });
}

/** Starts the processes of pods and waits until they listen. Throws LAB_POD_FAILED. */
export async function startPods(lab: Lab, pods: readonly LabPod[]): Promise<void> {
  const program = await podProgram(lab.dir);
  await inParallel(pods, WIDTH, async (pod) => {
    pod.process = await startOne(lab, program, pod.name, pod.netns!, trafficPlan(lab.state, pod));
  });
  await saveState(lab);
  for (const pod of pods) await ready(lab, pod.name, pod.process!);
}

/** Starts the processes that hold the nodes' namespaces. */
export async function startHolders(lab: Lab): Promise<void> {
  const program = await podProgram(lab.dir);
  await inParallel(lab.state.nodes, WIDTH, async (node) => {
    node.holder = await startOne(lab, program, `node-${node.name}`, node.netns, HOLDER_PLAN);
  });
  await saveState(lab);
}

async function startOne(lab: Lab, program: string, name: string, netns: string, plan: string): Promise<ProcessRef> {
  await writeFile(planFile(lab, name), plan);
  const argv = [program, planFile(lab, name), countersFile(lab, name)];
  return await startDetached(lab.state.name, netns, argv, logFile(lab, name));
}

async function ready(lab: Lab, name: string, process: ProcessRef): Promise<void> {
  for (let waited = 0; waited < READY_MS; waited += 5) {
    // The first counters are written once all ports listen.
    if ((await readCountersFile(lab, name)) !== undefined) return;
    if (!isAlive(process)) break;
    await sleep(5);
  }
  const log = await readFile(logFile(lab, name), 'utf8').catch(() => '');
  throw new NetloomError('LAB_POD_FAILED', `the process of ${name} did not start`, {
    place: logFile(lab, name),
    found: log.trim().slice(-500) || 'no output',
  });
}
