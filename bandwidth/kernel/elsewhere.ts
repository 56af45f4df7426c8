import { readFileSync, readdirSync, type Dirent } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { chainPrograms, currentNetnsName, isOwnBpffs } from '../../lib/bpf/index.ts';
import { NetloomError } from '../../lib/errors.ts';
import { dumpLinks, withNetlink, type NetlinkSocket } from '../../lib/netlink/index.ts';
import { findOurFilters } from './filters.ts';
import { DIRECTION } from './hooks.ts';
import { LINKS, LINK_NAME, MAPS_NAME, NETNS_PREFIX } from './pins.ts';
import { runningAt } from './tcx.ts';

/** Where `netloom agent` pins limits that is told no --pins: below its --state. */
export const DEFAULT_PINS = 'bpf';
/** In the folder that --pins names. */
export const LIMITS_FOLDER = 'limits';
/** Entries of file systems that a search for pins looks at. */
const MAX_ENTRIES = 20_000;
const MAX_DEPTH = 8;
const MAX_SHOWN = 3;
const LINK_GOES_MS = 2_000;
const LOOK_MS = 100;

const OUR_PROGRAMS: ReadonlySet<string> = new Set(Object.keys(DIRECTION));

/** Limits at interfaces of this namespace that are not pinned where this agent's are. */
export interface Elsewhere {
  readonly interfaces: readonly { readonly ifindex: number; readonly name: string }[];
  /** Folders in which they are pinned, as --pins names them; empty: none is found, as on a bpffs of another mount namespace. */
  readonly folders: readonly string[];
}

/**
 * Programs of limits, known by name or by a pin, that another folder than `dir` has; undefined: there are none. Filters of
 * clsact have no pin: they are another folder's where that has maps, of this network namespace, and this one has none.
 * @param dir folder of the limits of this agent, perhaps not there
 * @throws NetloomError BPF_NOT_PERMITTED without CAP_NET_ADMIN
 */
export function findElsewhere(socket: NetlinkSocket, dir: string): Elsewhere | undefined {
  const own = new Set(pinnedPrograms(dir));
  const found: { ifindex: number; name: string; id: number; isOurs: boolean | undefined }[] = [];
  const links = dumpLinks(socket);
  for (const { ifindex, name } of links) {
    for (const point of ['ingress', 'egress'] as const) {
      for (const program of chainPrograms(ifindex, point) ?? []) {
        if (own.has(program.id)) continue;
        const isOurs = program.name === undefined ? undefined : OUR_PROGRAMS.has(program.name);
        if (isOurs !== false) found.push({ ifindex, name, id: program.id, isOurs });
      }
    }
  }
  const filters = found.length === 0 && !hasMaps(dir) ? findOurFilters(socket) : [];
  if (found.length === 0 && filters.length === 0) return undefined;

  const others = findFolders(dir).map((limits) => ({ limits, programs: new Set(pinnedPrograms(limits)) }));
  const names = new Map(links.map(({ ifindex, name }) => [ifindex, name]));
  const interfaces = new Map<number, string>();
  const folders = new Set<string>();
  for (const { ifindex, name, id, isOurs } of found) {
    const by = others.find(({ programs }) => programs.has(id));
    if (by !== undefined) folders.add(dirname(by.limits));
    if (by !== undefined || isOurs === true) interfaces.set(ifindex, name);
  }
  for (const { limits, programs } of filters.length === 0 ? [] : others) {
    if (programs.size > 0 || !hasMaps(limits) || !isOfHere(limits)) continue;
    folders.add(dirname(limits));
    for (const { ifindex } of filters) interfaces.set(ifindex, names.get(ifindex) ?? `device ${ifindex}`);
  }
  if (interfaces.size === 0) return undefined;
  return { interfaces: [...interfaces].map(([ifindex, name]) => ({ ifindex, name })), folders: [...folders] };
}

/**
 * As findElsewhere, but waits for programs that nobody has pinned: the kernel takes a link away some time after its pin.
 */
export async function lookElsewhere(dir: string): Promise<Elsewhere | undefined> {
  const giveUp = performance.now() + LINK_GOES_MS;
  for (;;) {
    const found = withNetlink((socket) => findElsewhere(socket, dir));
    if (found === undefined || found.folders.length > 0 || performance.now() > giveUp) return found;
    await setTimeout(LOOK_MS);
  }
}

/** Interfaces at which limits run that are pinned in this folder; filters of clsact are those of the folder with maps. */
export function interfacesOf(socket: NetlinkSocket, dir: string): number[] {
  const linked = runningLinks(dir);
  const hooks = linked.length === 0 && hasMaps(dir) && isOfHere(dir) ? findOurFilters(socket) : linked;
  return [...new Set(hooks.map(({ ifindex }) => ifindex))];
}

/** "limits of another agent are in force at veth1 and 2 more, pinned in DIR". Pure. */
export function describeElsewhere({ interfaces, folders }: Elsewhere): string {
  const names = interfaces.slice(0, MAX_SHOWN).map(({ name }) => name);
  const more = interfaces.length - names.length;
  const where = `${names.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
  return `limits of another agent are in force at ${where}, ${pinnedWhere(folders)}`;
}

/** @param dir folder of the limits of this agent */
export function elsewhereError(elsewhere: Elsewhere, dir: string): NetloomError {
  return new NetloomError('AGENT_LIMITS_ELSEWHERE', 'limits that are not pinned here are in force on this node', {
    place: elsewhere.interfaces
      .map(({ name }) => name)
      .slice(0, MAX_SHOWN)
      .join(', '),
    expected: `none, or such as are pinned in ${dirname(dir)}`,
    found: `${elsewhere.interfaces.length} interfaces with limits ${pinnedWhere(elsewhere.folders)}`,
    remedy: remedyFor(elsewhere),
  });
}

/** The commands that take them away. Pure but for a look at mounts. */
export function remedyFor({ folders }: Elsewhere): string {
  if (folders.length === 0) {
    return 'Take them away where their bpffs is mounted: `netloom agent --detach --pins DIR` with the same --pins.';
  }
  const commands = folders.map((folder) => `\`${detachCommand(folder)}\``).join(' and ');
  return `Take them away: ${commands}; or go on with them: start with the same folder.`;
}

function pinnedWhere(folders: readonly string[]): string {
  return folders.length === 0 ? 'pinned on a bpffs that is not mounted here' : `pinned in ${folders.join(' and ')}`;
}

function detachCommand(folder: string): string {
  const isDefault = basename(folder) === DEFAULT_PINS && isOwnBpffs(folder);
  return `netloom agent --detach ${isDefault ? `--state ${dirname(folder)}` : `--pins ${folder}`}`;
}

/** Folders with pins of limits on every bpffs that is mounted here, but for this one. */
function findFolders(but: string): string[] {
  const found: string[] = [];
  let left = MAX_ENTRIES;
  const queue = bpffsMounts().map((dir) => ({ dir, depth: 0 }));
  for (let next = queue.shift(); next !== undefined && left > 0; next = queue.shift()) {
    const { dir, depth } = next;
    const entries = entriesOf(dir);
    left -= entries.length + 1;
    const isLimits = basename(dir) === LIMITS_FOLDER && entries.some(({ name }) => name === LINKS);
    if (isLimits && dir !== resolve(but)) found.push(dir);
    if (isLimits || depth === MAX_DEPTH) continue;
    for (const entry of entries) if (entry.isDirectory()) queue.push({ dir: join(dir, entry.name), depth: depth + 1 });
  }
  return [...new Set(found)];
}

function bpffsMounts(): string[] {
  // proc_pid_mounts(5): source, mount point, type; spaces in names are \040.
  return readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, , type]) => type === 'bpf')
    .map(([, dir]) => dir!.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8))));
}

function pinnedPrograms(limits: string): number[] {
  return runningLinks(limits).map(({ programId }) => programId);
}

function runningLinks(limits: string): { ifindex: number; programId: number }[] {
  return entriesOf(join(limits, LINKS)).flatMap(({ name }) => {
    if (!LINK_NAME.test(name)) return [];
    try {
      return runningAt(join(limits, LINKS, name)) ?? [];
    } catch {
      // Gone meanwhile, or no link: somebody else's folder of that name.
      return [];
    }
  });
}

function hasMaps(limits: string): boolean {
  return entriesOf(limits).some(({ name }) => MAPS_NAME.test(name));
}

/** Whether a folder is about devices of this network namespace: several may be mounted here. */
function isOfHere(limits: string): boolean {
  const here = `${NETNS_PREFIX}${currentNetnsName()}`;
  return entriesOf(limits).some(({ name }) => name === here);
}

function entriesOf(dir: string): Dirent[] {
  try {
    return readdirSync(dir, { withFileTypes: true });
  } catch {
    return [];
  }
}
