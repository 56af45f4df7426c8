import { existsSync, readdirSync } from 'node:fs';
import { readdir, rm, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { unmountBpffs } from '../lib/bpf/index.ts';
import { messageOf, NetloomError } from '../lib/errors.ts';
import { silentLogger, type Logger } from '../lib/log.ts';
import { checkMachine, tryCommand } from './command.ts';
import { namespacesOf } from './layout.ts';
import { checkLabName, namespacePrefix, NETNS_DIR, netnsPath, ownershipMark } from './names.ts';
import { POD_GRACE_MS } from './pods.ts';
import { endProcesses, isAlive, processesInside, processesOfLab, type FoundProcess } from './processes.ts';
import {
  DEFAULT_LAB_NAME,
  DEFAULT_LAB_ROOT,
  labDir,
  openLab,
  stateFile,
  type LabState,
  type ProcessRef,
} from './state.ts';

/** Agents of the lab pin below this folder of bpffs, one folder a node; `lab down` removes it. */
export function pinDir(lab: string): string {
  return `/sys/fs/bpf/${namespacePrefix(lab)}pins`;
}

export interface LabDownOptions {
  /** Default `demo`. */
  readonly name?: string;
  /** Default /run/netloom/lab. */
  readonly root?: string;
  readonly logger?: Logger;
}

export interface LabDownReport {
  readonly name: string;
  readonly namespaces: number;
  readonly processes: number;
  /** Processes of others that run inside the lab's namespaces (a shell, say): they are left alone. */
  readonly foreign: readonly FoundProcess[];
}

/**
 * Removes everything of a lab, also of one that crashed while it was built or whose folder is lost: its processes, its
 * namespaces, its pins and its files, and nothing else. Throws LAB_NOT_FOUND if there is nothing of that name.
 */
export async function labDown(options: LabDownOptions = {}): Promise<LabDownReport> {
  const name = options.name ?? DEFAULT_LAB_NAME;
  const root = options.root ?? DEFAULT_LAB_ROOT;
  const logger = options.logger ?? silentLogger;
  checkLabName(name);
  await checkMachine();

  const dir = labDir(root, name);
  const state = await openState(name, root, logger);
  const namespaces = await namespacesToRemove(name, state);
  const processes = processesToEnd(name, state);
  if (!existsSync(dir) && namespaces.length === 0 && processes.length === 0 && !existsSync(pinDir(name))) {
    throw new NetloomError('LAB_NOT_FOUND', `there is no lab called ${name}`, { place: stateFile(dir) });
  }

  const left = await endProcesses(processes, POD_GRACE_MS);
  // Once more: what was just being started by a process that is now gone.
  left.push(...(await endProcesses(processesOfLab(name), POD_GRACE_MS)));
  const foreign = processesInside(namespaces.map(netnsPath));
  const failures = left.map((p) => `process ${p.pid} does not end`);
  for (const p of foreign) {
    logger.warn('a process that the lab did not start runs in one of its namespaces and is left alone', p);
  }
  failures.push(...(await removeNamespaces(namespaces)));
  if (state?.phase === 'starting') {
    // Its builder was killed; a program that it had called may have gone on for a moment.
    await sleep(200);
    failures.push(...(await removeNamespaces(await namespacesToRemove(name, state))));
  }
  // Of agents that hold pods to their bandwidth: a bpffs for each node.
  for (const node of await readdir(join(dir, 'limits')).catch(() => [])) {
    try {
      unmountBpffs(join(dir, 'limits', node, 'bpf'));
    } catch (error) {
      failures.push(messageOf(error));
    }
  }
  await rm(pinDir(name), { recursive: true, force: true }).catch((e: unknown) => failures.push(messageOf(e)));
  if (failures.length > 0) {
    throw new NetloomError('LAB_COMMAND_FAILED', `the lab ${name} could not be removed completely`, {
      found: failures.join('; ').slice(0, 1000),
      remedy: 'Correct what is found, and run `netloom lab down` again.',
    });
  }
  // Last: until here everything can be found again.
  await rm(dir, { recursive: true, force: true });
  if (root === DEFAULT_LAB_ROOT) await removeIfEmpty(root);
  logger.info('lab is down', { name, namespaces: namespaces.length, processes: processes.length });
  return { name, namespaces: namespaces.length, processes: processes.length, foreign };
}

async function removeNamespaces(namespaces: readonly string[]): Promise<string[]> {
  if (namespaces.length === 0) return [];
  const lines = namespaces.map((n) => `netns del ${n}\n`).join('');
  const { stderr } = await tryCommand('ip', ['-force', '-batch', '-'], lines);
  return namespaces.some((n) => existsSync(netnsPath(n))) ? [stderr.trim()] : [];
}

/** Takes down all labs of this machine whose folder is below `root` or whose namespaces bear a lab's mark. */
export async function labDownAll(options: Omit<LabDownOptions, 'name'> = {}): Promise<LabDownReport[]> {
  await checkMachine();
  const names = new Set<string>(await readdir(options.root ?? DEFAULT_LAB_ROOT).catch(() => []));
  for (const entry of readNetns()) {
    const match = /^nl-([a-z][a-z0-9]{0,11})-/.exec(entry);
    if (match !== null && (await isMarked(entry, match[1]!))) names.add(match[1]!);
  }
  const reports: LabDownReport[] = [];
  for (const name of [...names].sort()) {
    if (/^[a-z][a-z0-9]{0,11}$/.test(name)) reports.push(await labDown({ ...options, name }));
  }
  return reports;
}

/** undefined where lab.json is missing or broken: then prefix, mark and environment tell what belongs to the lab. */
async function openState(name: string, root: string, logger: Logger): Promise<LabState | undefined> {
  try {
    return (await openLab({ name, root })).state;
  } catch (error) {
    if (!(error instanceof NetloomError) || error.code !== 'LAB_NOT_FOUND') {
      logger.warn('lab.json cannot be used; looking for what belongs to the lab', { error });
    }
    return undefined;
  }
}

/**
 * Those that lab.json names (it was written before they were made, and only where no such name existed), and those
 * with the lab's prefix that bear its mark.
 */
async function namespacesToRemove(name: string, state: LabState | undefined): Promise<string[]> {
  const recorded = new Set(
    state === undefined ? [] : [...namespacesOf(state), ...state.retired.flatMap((p) => p.namespace ?? [])],
  );
  const out: string[] = [];
  for (const entry of readNetns()) {
    if (!entry.startsWith(namespacePrefix(name))) continue;
    if (recorded.has(entry) || (await isMarked(entry, name))) out.push(entry);
  }
  return out;
}

function readNetns(): string[] {
  try {
    return readdirSync(NETNS_DIR);
  } catch {
    return [];
  }
}

async function isMarked(namespace: string, lab: string): Promise<boolean> {
  const { stdout } = await tryCommand('ip', ['-n', namespace, 'link', 'show', 'dev', 'lo']);
  return new RegExp(`alias ${ownershipMark(lab)}\\s*$`, 'm').test(stdout);
}

function processesToEnd(name: string, state: LabState | undefined): ProcessRef[] {
  const refs = new Map<number, ProcessRef>();
  const recorded: (ProcessRef | undefined)[] = [
    ...(state?.nodes.map((n) => n.holder) ?? []),
    ...(state?.pods.map((p) => p.process) ?? []),
    ...(state?.retired.map((p) => p.process) ?? []),
    ...(state?.processes ?? []),
  ];
  for (const ref of recorded) if (ref !== undefined && ref.pid !== process.pid && isAlive(ref)) refs.set(ref.pid, ref);
  for (const ref of processesOfLab(name)) refs.set(ref.pid, ref);
  return [...refs.values()];
}

async function removeIfEmpty(dir: string): Promise<void> {
  await rmdir(dir).catch(() => {});
  // /run/netloom too, if nothing else of ours is in it.
  if (dirname(dir) === join('/run', 'netloom')) await rmdir(dirname(dir)).catch(() => {});
}
