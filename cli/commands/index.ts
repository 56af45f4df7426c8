import type { Command } from '../command.ts';

export interface CommandEntry {
  readonly name: string;
  readonly load: () => Promise<Command>;
}

/** Every command, in the order of `netloom --help`. A module is loaded only when its command is asked for. */
export const COMMANDS: readonly CommandEntry[] = [
  { name: 'agent', load: async () => (await import('./agent.ts')).default },
  { name: 'scheduler', load: async () => (await import('./scheduler.ts')).default },
  { name: 'graph', load: async () => (await import('./graph.ts')).default },
  { name: 'top', load: async () => (await import('./top.ts')).default },
  { name: 'explain', load: async () => (await import('./explain.ts')).default },
  { name: 'simulate', load: async () => (await import('./simulate.ts')).default },
  { name: 'limits', load: async () => (await import('./limits.ts')).default },
  { name: 'lab', load: async () => (await import('./lab.ts')).default },
  { name: 'doctor', load: async () => (await import('./doctor.ts')).default },
];

export function loadCommands(): Promise<Command[]> {
  return Promise.all(COMMANDS.map((entry) => entry.load()));
}
