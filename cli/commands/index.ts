import type { Command } from '../command.ts';

/**
 * Every command, in the order of `netloom --help`. Modules are loaded when their command is asked for, so that
 * listing them costs nothing; the summary stands here for the same reason (a test compares it with the module's).
 */
export const COMMANDS = [
  entry('agent', 'measure the traffic of this node and report it', async () => (await import('./agent.ts')).default),
  entry(
    'scheduler',
    'learn the traffic graph and answer kube-scheduler',
    async () => (await import('./scheduler.ts')).default,
  ),
  entry('graph', 'show who talks to whom, and how much', async () => (await import('./graph.ts')).default),
  entry(
    'top',
    'show the heaviest workloads or pods, and the nodes with their links',
    async () => (await import('./top.ts')).default,
  ),
  entry(
    'explain',
    'show why nodes get the scores they get for a pod',
    async () => (await import('./explain.ts')).default,
  ),
  entry('lab', 'build a small cluster of network namespaces', async () => (await import('./lab.ts')).default),
  entry('doctor', 'tell what this machine can measure', async () => (await import('./doctor.ts')).default),
] as const;

export interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  readonly load: () => Promise<Command>;
}

function entry(name: string, summary: string, load: () => Promise<Command>): CommandEntry {
  return { name, summary, load };
}
