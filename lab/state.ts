import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf, NetloomError } from '../lib/errors.ts';
import { checkLabName } from './names.ts';
import type { Bandwidth, Scenario } from './scenario.ts';

/** A process, told from a later one with the same pid by when it started. */
export interface ProcessRef {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat: clock ticks since boot. */
  readonly startTime: string;
}

export interface LabNode {
  readonly name: string;
  readonly uid: string;
  readonly zone: string;
  readonly region: string;
  readonly cpu: string;
  readonly memory: string;
  /** On the fabric: the node's InternalIP. */
  readonly address: string;
  readonly podCidr: string;
  /** First address of the pod range, on the node's bridge. */
  readonly gateway: string;
  readonly namespace: string;
  /** Path of the network namespace. */
  readonly netns: string;
  /** Device through which traffic leaves the node. */
  readonly uplink: string;
  /** Last byte of the next pod address. */
  nextHost: number;
  /** An idle process in the node's namespace: /proc/PID/net is the node's view. */
  holder: ProcessRef | undefined;
}

export interface LabPod {
  readonly name: string;
  readonly uid: string;
  readonly workload: string;
  readonly createdAtMs: number;
  /** undefined: pending, no node chosen. */
  node: string | undefined;
  address: string | undefined;
  namespace: string | undefined;
  netns: string | undefined;
  process: ProcessRef | undefined;
  /** Its own annotations, in the place of those of its workload. */
  bandwidth?: Bandwidth;
}

/** A pod that is gone. Its address belongs to no later pod of the lab. */
export interface RetiredPod extends LabPod {
  readonly removedAtMs: number;
}

export interface LabService {
  readonly name: string;
  readonly workload: string;
  readonly clusterIP: string;
  readonly portName: string;
  readonly port: number;
  readonly targetPort: number;
}

/**
 * Contents of lab.json. `starting`: being built, or its builder crashed; `up`: complete.
 * It is written before anything is made, with all names that will be made, so that `lab down` finds everything.
 */
export interface LabState {
  readonly netloomLab: 1;
  readonly name: string;
  /** Differs for each lab ever started; names and uids derive from it. */
  readonly id: string;
  phase: 'starting' | 'up';
  readonly createdAtMs: number;
  readonly scenario: Scenario;
  readonly fabricNamespace: string;
  readonly nodes: LabNode[];
  readonly services: readonly LabService[];
  pods: LabPod[];
  retired: RetiredPod[];
  /** Counts up with each pod made, for names. */
  podsMade: number;
  /** Of the traffic plans in force. */
  generation: number;
  paused: boolean;
  /** All request rates are multiplied by it. */
  rateFactor: number;
  /** Other processes that go with the lab (agents, scheduler): `lab down` ends them too. */
  processes: (ProcessRef & { readonly role: string })[];
}

/** A lab that exists on this machine. `state` is what lab.json holds. */
export interface Lab {
  /** Folder of this lab: lab.json, snapshot.json, scopes/, plans/, counters/, logs/. */
  readonly dir: string;
  readonly state: LabState;
}

/** On a tmpfs: gone after a reboot, as the namespaces are. */
export const DEFAULT_LAB_ROOT = '/run/netloom/lab';
export const DEFAULT_LAB_NAME = 'demo';

export const labDir = (root: string, name: string): string => join(root, name);
export const stateFile = (dir: string): string => join(dir, 'lab.json');
export const snapshotFile = (lab: Lab): string => join(lab.dir, 'snapshot.json');
/** Of `netloom agent --state` where it holds the pods of a node to their bandwidth. */
export const limitsDir = (lab: Lab, node: string): string => join(lab.dir, 'limits', node);
/** Of `netloom agent --scope`: the node's network namespace and those of its pods, one path a line. */
export const scopeFile = (lab: Lab, node: string): string => join(lab.dir, 'scopes', `${node}.txt`);
export const planFile = (lab: Lab, process: string): string => join(lab.dir, 'plans', process);
export const countersFile = (lab: Lab, process: string): string => join(lab.dir, 'counters', `${process}.json`);
export const logFile = (lab: Lab, process: string): string => join(lab.dir, 'logs', `${process}.log`);

/** Readers see the old file or the new one, never a part. */
export async function writeAtomically(file: string, text: string): Promise<void> {
  const temporary = `${file}.${process.pid}.tmp`;
  await writeFile(temporary, text);
  await rename(temporary, file);
}

export async function saveState(lab: Lab): Promise<void> {
  await writeAtomically(stateFile(lab.dir), `${JSON.stringify(lab.state, null, 1)}\n`);
}

/** Opens a lab that was started before. Throws LAB_NOT_FOUND, LAB_STATE_BROKEN, LAB_NAME_INVALID. */
export async function openLab(options: { readonly name?: string; readonly root?: string } = {}): Promise<Lab> {
  const name = options.name ?? DEFAULT_LAB_NAME;
  checkLabName(name);
  const dir = labDir(options.root ?? DEFAULT_LAB_ROOT, name);
  const file = stateFile(dir);
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') {
      throw new NetloomError('LAB_NOT_FOUND', `there is no lab called ${name}`, { place: file, cause });
    }
    throw new NetloomError('LAB_STATE_BROKEN', 'lab.json cannot be read', {
      place: file,
      found: messageOf(cause),
      cause,
    });
  }
  return { dir, state: parseState(text, file) };
}

function parseState(text: string, file: string): LabState {
  try {
    const value = JSON.parse(text) as Partial<LabState> | null;
    if (value?.netloomLab === 1 && Array.isArray(value.nodes) && Array.isArray(value.pods)) return value as LabState;
  } catch {
    // said below
  }
  throw new NetloomError('LAB_STATE_BROKEN', 'lab.json does not describe a lab', {
    place: file,
    expected: 'version 1 of its format',
  });
}

/** The node called `name`. Throws LAB_UNKNOWN_OBJECT. */
export function nodeOf(state: LabState, name: string): LabNode {
  const node = state.nodes.find((n) => n.name === name);
  if (node !== undefined) return node;
  throw new NetloomError('LAB_UNKNOWN_OBJECT', `the lab has no node ${name}`, {
    expected: state.nodes.map((n) => n.name).join(', '),
    found: name,
  });
}
