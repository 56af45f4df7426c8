import { LIMIT_CONFIG } from '../../../bandwidth/bpf/layout.ts';
import { ownerOf } from '../../../bandwidth/enforce/slots.ts';
import { findOurFilters } from '../../../bandwidth/kernel/filters.ts';
import { readLeft, slotKey, type Left } from '../../../bandwidth/kernel/left.ts';
import { PINNED_MAPS } from '../../../bandwidth/kernel/pins.ts';
import { readDevices } from '../../../bandwidth/qdiscs/apply.ts';
import { rootOf } from '../../../bandwidth/qdiscs/handles.ts';
import { podClasses } from '../../../bandwidth/qdiscs/htb-tree.ts';
import type { DeviceState } from '../../../bandwidth/qdiscs/types.ts';
import { PinnedTcLink, chainPrograms, openPinnedMap, type BpfMap } from '../../../lib/bpf/index.ts';
import { NetlinkSocket, TC_CLSACT_PARENT, dumpFilters, formatTcHandle } from '../../../lib/netlink/index.ts';
import { DIRECTIONS, type LimitState } from './limits-model.ts';
import type { LimitsRig } from './limits-rig.ts';

/** What is found in the kernel: ours by name, and what is of others as text. */
export interface FoundState extends Omit<LimitState, 'told'> {
  /** Roots, clsact qdiscs, filters and tcx programs of others, by device. */
  readonly others: string[];
  /** Devices whose clsact qdisc was made for ours. */
  readonly made: string[];
  /** What should never be. */
  readonly problems: string[];
}

const MODES = ['stamp', 'htb', 'police'];
const OUR_PROGRAM = /^(from_pod|to_pod|leave)(:|$)/;
const POINTS = ['ingress', 'egress'] as const;

/** Reads it all from the kernel's own lists, as `tc` and `bpftool` do. */
export class StateReader {
  readonly #rig: LimitsRig;
  readonly #socket: NetlinkSocket;

  constructor(rig: LimitsRig) {
    this.#rig = rig;
    this.#socket = rig.node.inside(() => new NetlinkSocket());
  }

  close(): void {
    this.#socket.close();
  }

  /** @param uids of all pods that there ever were: owners are digests of them */
  async read(uids: readonly string[]): Promise<FoundState> {
    const devices = readDevices(this.#socket);
    const names = new Map(devices.map(({ ifindex, name }) => [ifindex, name]));
    const nameOf = (ifindex: number): string => names.get(ifindex) ?? `gone:${ifindex}`;
    const problems: string[] = [];
    const { left, owners, slots } = await this.#slots(uids, problems);
    const others: string[] = [];
    const hooks = this.#hooks(devices, problems, others).sort();
    const classes: string[] = [];
    const roots: string[] = [];
    const made: string[] = [];
    for (const device of devices) {
      const { name, ifindex } = device;
      const root = rootOf(device);
      if (root.owner === 'other') others.push(`${name} root ${root.qdisc.kind} ${formatTcHandle(root.qdisc.handle)}`);
      if (root.owner === 'us') {
        roots.push(name);
        classes.push(...classesOf(device, owners, problems));
      }
      const clsact = device.qdiscs.find(({ parent }) => parent === TC_CLSACT_PARENT);
      if (clsact === undefined) continue;
      if (left.interfaces.get(ifindex)?.entry.madeClsact === true) made.push(name);
      else others.push(`${name} ${clsact.kind}`);
    }
    const ownerAt = (slot: number | undefined): string =>
      slot === undefined ? '-' : (owners.get(slot) ?? `slot:${slot}`).split(' ')[0]!;
    const entries = [...left.interfaces].flatMap(([ifindex, { entry }]) => {
      const { egressSlot, ingressSlot, madeClsact } = entry;
      const name = nameOf(ifindex);
      // Only remembered because somebody has a filter in a qdisc of ours.
      if (madeClsact === true && !hooks.some((hook) => hook.startsWith(`${name} `))) return [];
      return [`${name} ${ownerAt(egressSlot)} ${ownerAt(ingressSlot)}`];
    });
    return {
      hooks,
      entries: entries.sort(),
      slots: slots.sort(),
      classes: classes.sort(),
      roots: roots.sort(),
      others: [...new Set(others)].sort(),
      made: made.sort(),
      problems,
    };
  }

  #hooks(devices: readonly DeviceState[], problems: string[], others: string[]): string[] {
    const found: string[] = [];
    const programs = new Set<number>();
    const linked = new Map<string, number>();
    for (const path of this.#rig.links()) {
      const [, index, role] = /\/(\d+)_(\w+)$/.exec(path)!;
      const link = new PinnedTcLink(path);
      const { ifindex, programId } = link.info;
      link.close();
      if (ifindex !== Number(index)) problems.push(`link ${index}_${role} is at ${ifindex}`);
      linked.set(`${index} ${role === 'from_pod' ? 'ingress' : 'egress'}`, programId);
      programs.add(programId);
      found.push(`${devices.find((device) => device.ifindex === ifindex)?.name ?? `gone:${index}`} ${role}`);
    }
    const filters = findOurFilters(this.#socket);
    if (found.length > 0 && filters.length > 0) problems.push('links and filters at once');
    for (const { ifindex, role } of filters) {
      found.push(`${devices.find((device) => device.ifindex === ifindex)!.name} ${role}`);
    }
    for (const { ifindex, name, qdiscs } of devices) {
      for (const point of POINTS) {
        const ours = linked.get(`${ifindex} ${point}`);
        const chain = this.#rig.node.inside(() => chainPrograms(ifindex, point)) ?? [];
        if (ours !== undefined && !chain.some(({ id }) => id === ours)) problems.push(`${name} ${point}: not linked`);
        for (const { id, name: program = '' } of chain) {
          if (id === ours) continue;
          if (OUR_PROGRAM.test(program)) problems.push(`${name} ${point}: ${program} beside ours`);
          else others.push(`${name} tcx ${point} ${program}`);
        }
        if (!qdiscs.some(({ parent }) => parent === TC_CLSACT_PARENT)) continue;
        for (const { kind, priority, bpf } of dumpFilters(this.#socket, ifindex, point)) {
          if (OUR_PROGRAM.test(bpf?.name ?? '')) programs.add(bpf!.programId!);
          else others.push(`${name} filter ${point} ${kind} ${priority}`);
        }
      }
    }
    if (programs.size > 3) problems.push(`${programs.size} programs of ours run`);
    return found;
  }

  async #slots(
    uids: readonly string[],
    problems: string[],
  ): Promise<{ left: Left; owners: ReadonlyMap<number, string>; slots: string[] }> {
    const dirs = this.#rig.mapsDirs();
    if (dirs.length > 1) problems.push(`${dirs.length} folders of maps`);
    if (dirs[0] === undefined) return { left: { slots: [], interfaces: new Map() }, owners: new Map(), slots: [] };
    const known = new Map(
      uids.flatMap((uid) => DIRECTIONS.map((direction) => [ownerOf(uid, direction), `${uid} ${direction}`] as const)),
    );
    const maps = new Map<string, BpfMap>();
    try {
      for (const name of PINNED_MAPS) maps.set(name, openPinnedMap(`${dirs[0]}/${name}`, { readOnly: true }));
      const left = await readLeft((name) => maps.get(name)!);
      const owners = new Map(left.slots.map(({ slot, owner }) => [slot, known.get(owner) ?? `stranger ${owner}`]));
      const slots = left.slots.map(({ slot, bps }) => {
        const config = maps.get('limit_config')!.lookup(slotKey(slot))!;
        const isShadow = (config[LIMIT_CONFIG.fields.flags.offset]! & 2) !== 0;
        return `${owners.get(slot)!} ${isShadow ? 'shadow' : MODES[config[LIMIT_CONFIG.fields.mode.offset]!]!} ${bps}`;
      });
      return { left, owners, slots };
    } finally {
      for (const map of maps.values()) map.close();
    }
  }
}

function classesOf(device: DeviceState, owners: ReadonlyMap<number, string>, problems: string[]): string[] {
  const kinds = new Map(device.qdiscs.map((qdisc) => [qdisc.parent, qdisc.kind]));
  const slotOf = new Map([...owners.keys()].map((slot) => [podClasses(slot).pod, slot]));
  const pods = device.classes.filter(({ classId }) => slotOf.has(classId));
  if (device.classes.length !== 3 * pods.length) {
    problems.push(`${device.name} has ${device.classes.length} classes of ${pods.length} pods`);
  }
  return pods.map(({ classId, settings }) => {
    const slot = slotOf.get(classId)!;
    for (const leaf of [podClasses(slot).bulk, podClasses(slot).sparse]) {
      if (kinds.get(leaf) !== 'pfifo') problems.push(`${device.name} ${formatTcHandle(leaf)} has no queue`);
    }
    return `${device.name} ${owners.get(slot)!} ${Number(settings.rateBytesPerSecond) * 8}`;
  });
}
