import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { LAB_ENV } from './names.ts';
import { nsenterArgs, startTimeOf } from './processes.ts';
import { nodeOf, saveState, type Lab } from './state.ts';
import { podOf } from './pods.ts';

/** Starts a program inside the network namespace of a node; `lab down` ends it. /sys is that of the machine. */
export function nodeExec(lab: Lab, node: string, argv: readonly string[], options: SpawnOptions = {}): ChildProcess {
  return enter(lab, nodeOf(lab.state, node).netns, argv, options);
}

/** As nodeExec, in a pod that runs. */
export function podExec(lab: Lab, pod: string, argv: readonly string[], options: SpawnOptions = {}): ChildProcess {
  return enter(lab, podOf(lab, pod).netns!, argv, options);
}

function enter(lab: Lab, netns: string, argv: readonly string[], options: SpawnOptions): ChildProcess {
  return spawn('nsenter', nsenterArgs(netns, argv), { ...options, env: labEnv(lab, options.env) });
}

/**
 * Environment for processes that go with the lab but run elsewhere (agents, the scheduler): it marks them, so that
 * `lab down` ends them even if who started them has crashed.
 */
export function labEnv(lab: Lab, env: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  return { ...env, [LAB_ENV]: lab.state.name };
}

/** Writes a process that goes with the lab into lab.json, so that people can see it. `lab down` ends it. */
export async function registerProcess(lab: Lab, role: string, pid: number): Promise<void> {
  const startTime = startTimeOf(pid);
  if (startTime === undefined) return;
  lab.state.processes = [...lab.state.processes.filter((p) => p.pid !== pid), { role, pid, startTime }];
  await saveState(lab);
}
