import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { labDown } from '../../lab/index.ts';
import { processesOfLab } from '../../lab/processes.ts';
import { parseScenario, type Scenario } from '../../lab/scenario.ts';

let made = 0;

/** A lab name of this test process alone. */
export function labName(): string {
  made++;
  return `t${process.pid.toString(36)}${made.toString(36)}`;
}

export function labRoot(): string {
  return mkdtempSync(join(tmpdir(), 'netloom-lab-'));
}

/** Everything that bears the name of a lab on this machine. */
export function traces(name: string, root: string): string[] {
  return [
    ...readdirSync('/run/netns').filter((n) => n.startsWith(`nl-${name}-`)),
    ...processesOfLab(name).map((p) => `process ${p.pid} ${p.command}`),
    ...(existsSync(join(root, name)) ? [join(root, name)] : []),
  ];
}

/** Removes what a test left, whatever happened in it. */
export async function sweep(names: readonly string[], root: string): Promise<void> {
  for (const name of names) await labDown({ name, root }).catch(() => {});
  rmSync(root, { recursive: true, force: true });
}

/** Two nodes, one client, `servers` replicas of a server alternately on both, and the given traffic. */
export function smallScenario(edge: object, servers = 2): Scenario {
  const text = JSON.stringify({
    netloomScenario: 1,
    name: 'small',
    nodes: [{ name: 'node-0' }, { name: 'node-1' }],
    workloads: [
      { name: 'client', placement: ['node-0'] },
      { name: 'server', replicas: servers, service: { port: 80, targetPort: 8080 } },
    ],
    edges: [{ client: 'client', server: 'server', ...edge }],
  });
  return parseScenario(text, 'small');
}
