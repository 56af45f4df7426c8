import { existsSync } from 'node:fs';
import { join } from 'node:path';
import {
  bpfObjectPath,
  chainPrograms,
  checkLayout,
  clsactProgramId,
  loadBpf,
  removeEmptyClsact,
  type BpfMap,
  type BpfObject,
} from '../../lib/bpf/index.ts';
import { withNetlink } from '../../lib/netlink/index.ts';
import { LAYOUTS, LIMIT_CLOCK, LIMIT_CONFIG, LIMIT_FLOW, LIMIT_FLOWS, LIMIT_OWNER } from '../bpf/layout.ts';
import type { Hook, Role, SlotUse } from '../enforce/types.ts';
import { ownerOf } from '../enforce/slots.ts';
import { encodeInterface, encodeSlotConfig, isLimited, isShadowConfig, type InterfaceEntry } from '../slot-config.ts';
import { decodeSlotStat, type SlotStat } from '../slot-stat.ts';
import { findOurFilters } from './filters.ts';
import { ClsactHooks, DIRECTION, TcxHooks, type Hooks } from './hooks.ts';
import { PinnedMaps, canRead, copyLeft, readLeft, slotKey, type Left, type LeftSlot } from './left.ts';
import { PINNED_MAPS, type LimitPins, type PinnedMap } from './pins.ts';
import { kernelHasTcx } from './tcx.ts';

/** Entries of limit_interfaces in limit.bpf.c. */
export const MAX_INTERFACES = 4096;

export interface LimitKernelOptions {
  readonly pins: LimitPins;
  /** Slots, with slot 0. */
  readonly slots: number;
  /** The compiled limit.bpf.c. Default: where scripts/build-bpf.sh puts it. */
  readonly object?: string;
  /** Default: tcx where the kernel has it. */
  readonly hooks?: 'tcx' | 'clsact';
}

/**
 * The limit programs with their maps, pinned. Every write is skipped that would change nothing, so that setting all of
 * it again is cheap.
 */
export class LimitKernel {
  readonly #object: BpfObject;
  readonly #pins: LimitPins;
  readonly #slots: number;
  readonly #hooks: Hooks;
  /** Of the other kind, which agents before this one may have used. */
  readonly #otherHooks: Hooks;
  /** What is in the maps. */
  readonly #configs = new Map<number, string>();
  readonly #owners = new Map<number, string>();
  readonly #interfaces = new Map<number, InterfaceEntry>();
  readonly #programIds: Readonly<Record<Role, number>>;

  private constructor(object: BpfObject, options: LimitKernelOptions) {
    this.#object = object;
    this.#pins = options.pins;
    this.#slots = options.slots;
    const idOf = (role: Role): number => object.program(role).id;
    this.#programIds = { from_pod: idOf('from_pod'), to_pod: idOf('to_pod'), leave: idOf('leave') };
    const kind = options.hooks ?? (kernelHasTcx() ? 'tcx' : 'clsact');
    const tcx = new TcxHooks(options.pins);
    const clsact = new ClsactHooks(withNetlink(findOurFilters), {
      has: (ifindex) => this.#interfaces.get(ifindex)?.madeClsact === true,
      add: (ifindex) => this.#noteClsact(ifindex, true),
      delete: (ifindex) => this.#noteClsact(ifindex, false),
    });
    [this.#hooks, this.#otherHooks] = kind === 'tcx' ? [tcx, clsact] : [clsact, tcx];
  }

  /**
   * Loads the programs; those that run already go on until `setHook` replaces them.
   * @throws NetloomError of lib/bpf: BPF_LOAD_FAILED, BPF_LAYOUT_MISMATCH, BPF_NOT_PERMITTED, ...
   */
  static async load(options: LimitKernelOptions): Promise<LimitKernel> {
    const { pins, slots } = options;
    const object = await loadBpf({
      object: options.object ?? bpfObjectPath('limit'),
      maxEntries: {
        ...Object.fromEntries(
          PINNED_MAPS.filter((name) => name !== 'limit_interfaces').map((name) => [name, slots] as const),
        ),
        limit_interfaces: MAX_INTERFACES,
      },
      pins: { dir: pins.mapsDir(slots), maps: PINNED_MAPS },
    });
    try {
      for (const [name, layout] of Object.entries(LAYOUTS)) checkLayout(object.btf, name, layout);
      return new LimitKernel(object, options);
    } catch (error) {
      object.close();
      throw error;
    }
  }

  get hookKind(): 'tcx' | 'clsact' {
    return this.#hooks.kind;
  }

  /**
   * Takes up what is in force, also from maps with another number of slots, and what can be known of those of another
   * version; to be called once, before anything is set.
   */
  async takeUp(): Promise<Left> {
    const own = await readLeft(this.#map);
    const slots: LeftSlot[] = [...own.slots];
    const interfaces = new Map(own.interfaces);
    const alike = this.#pins.mapsDirsOfOthers(this.#slots);
    const ownDir = this.#pins.mapsDir(this.#slots);
    const unlike = this.#pins.mapsDirs().filter((dir) => dir !== ownDir && !alike.includes(dir));
    for (const dir of [...alike, ...unlike]) {
      // An agent that died while it made them.
      if (!PINNED_MAPS.every((name) => existsSync(join(dir, name)))) continue;
      const maps = new PinnedMaps(dir);
      try {
        const sameVersion = alike.includes(dir);
        if (!sameVersion && !canRead(maps.map)) continue;
        const copied = await copyLeft(maps.map, this.#map, { slots, interfaces }, sameVersion);
        slots.push(...copied.slots);
        for (const [ifindex, one] of copied.interfaces) {
          if (!interfaces.has(ifindex)) interfaces.set(ifindex, one);
        }
      } finally {
        maps.close();
      }
    }
    for (const { slot, owner } of slots) {
      if (slot === undefined) continue;
      this.#owners.set(slot, owner);
      this.#configs.set(slot, Buffer.from(this.#map('limit_config').lookup(slotKey(slot))!).toString('hex'));
    }
    const attached = new Set([...this.#hooks.live(), ...this.#otherHooks.live()].map(({ ifindex }) => ifindex));
    for (const [ifindex, { entry }] of interfaces) {
      this.#interfaces.set(ifindex, entry);
      // Nothing of ours runs there: the device of then is gone, and this is another one with its index.
      if (!attached.has(ifindex)) interfaces.set(ifindex, { entry, owners: [] });
    }
    return { slots, interfaces };
  }

  /**
   * Pins anew what somebody removed from the folder. Links are not seen to here: their programs ended with their pins.
   * @throws NetloomError BPFFS_UNUSABLE, AGENT_PINS_IN_USE, BPF_PIN_FAILED
   */
  keepPinned(): void {
    this.#pins.keep();
    const dir = this.#pins.mapsDir(this.#slots);
    for (const name of PINNED_MAPS) {
      const path = join(dir, name);
      if (!existsSync(path)) this.#map(name).pin(path);
    }
  }

  /** Whether our program runs there; true also where that cannot be told. */
  runsAt({ ifindex, role }: Hook): boolean {
    const id = this.#programIds[role];
    try {
      const chain = chainPrograms(ifindex, DIRECTION[role]) ?? [];
      return chain.some((program) => program.id === id) || clsactProgramId(ifindex, DIRECTION[role]) === id;
    } catch {
      return true;
    }
  }

  /** A slot that was another's starts from nothing; so does one that only counted, for its drops were none. */
  setSlot({ uid, direction, slot, config }: SlotUse): boolean {
    const owner = ownerOf(uid, direction);
    const known = this.#configs.get(slot);
    const otherPurpose = known !== undefined && isShadowConfig(Buffer.from(known, 'hex')) !== config.shadow;
    const isNew = this.#owners.get(slot) !== owner || otherPurpose;
    if (isNew) {
      this.#zero(slot);
      this.#map('limit_owner').update(slotKey(slot), Buffer.from(owner, 'hex'));
      this.#owners.set(slot, owner);
    }
    const bytes = encodeSlotConfig(config);
    const text = Buffer.from(bytes).toString('hex');
    if (this.#configs.get(slot) === text) return isNew;
    this.#map('limit_config').update(slotKey(slot), bytes);
    this.#configs.set(slot, text);
    return true;
  }

  /** No interface may name it any more. */
  clearSlot(slot: number): void {
    this.#map('limit_config').update(slotKey(slot), new Uint8Array(LIMIT_CONFIG.size));
    this.#map('limit_owner').update(slotKey(slot), new Uint8Array(LIMIT_OWNER.size));
    this.#configs.delete(slot);
    this.#owners.delete(slot);
  }

  setInterface(ifindex: number, wanted: InterfaceEntry): boolean {
    const known = this.#interfaces.get(ifindex);
    const entry: InterfaceEntry = known?.madeClsact ? { ...wanted, madeClsact: true } : wanted;
    if (known !== undefined && sameEntry(known, entry)) return false;
    this.#map('limit_interfaces').update(slotKey(ifindex), encodeInterface(entry));
    this.#interfaces.set(ifindex, entry);
    return true;
  }

  /** An entry stays, without slots, while its clsact qdisc is ours and somebody else has a filter there. */
  removeInterface(ifindex: number): void {
    if (this.#interfaces.get(ifindex)?.madeClsact === true && !removeEmptyClsact(ifindex)) {
      this.setInterface(ifindex, {});
      return;
    }
    this.#map('limit_interfaces').delete(slotKey(ifindex));
    this.#interfaces.delete(ifindex);
  }

  /** A qdisc of ours that is not there any more was taken away, or went with its device: a later one is another's. */
  seeQdiscs(hasClsact: (ifindex: number) => boolean): void {
    for (const [ifindex, { madeClsact }] of this.#interfaces) {
      if (madeClsact === true && !hasClsact(ifindex)) this.#noteClsact(ifindex, false);
    }
  }

  /** ifindexes of which a direction has a slot. */
  limited(): number[] {
    return [...this.#interfaces].filter(([, entry]) => isLimited(entry)).map(([ifindex]) => ifindex);
  }

  /** ifindexes that have an entry. */
  interfaces(): number[] {
    return [...this.#interfaces.keys()];
  }

  /** @throws NetloomError BPF_ATTACH_FAILED, BPF_PIN_FAILED, BPF_NOT_PERMITTED */
  setHook(hook: Hook): boolean {
    return this.#hooks.ensure(hook, this.#object.program(hook.role)) !== 'kept';
  }

  /** Hooks at which something of ours is, also of devices that went. */
  hooks(): Hook[] {
    return this.#hooks.present();
  }

  removeHook(hook: Hook): void {
    this.#hooks.remove(hook);
  }

  /** The kernel's number of the program. */
  programId(role: Role): number {
    return this.#programIds[role];
  }

  /** What agents before this one left that is not of use any more, once `setHook` was called for all that is. */
  dropOthers(): void {
    for (const hook of this.#otherHooks.present()) this.#otherHooks.remove(hook);
    if (this.hookKind === 'tcx') {
      for (const [ifindex, { madeClsact }] of this.#interfaces) {
        if (madeClsact === true && removeEmptyClsact(ifindex)) this.#noteClsact(ifindex, false);
      }
    }
    this.#pins.dropOtherMaps(this.#slots);
  }

  stat(slot: number): SlotStat {
    return decodeSlotStat(this.#map('limit_stat').lookup(slotKey(slot))!);
  }

  /** Limits stay in force. */
  close(): void {
    this.#object.close();
  }

  readonly #map = (name: PinnedMap): BpfMap => this.#object.map(name);

  #zero(slot: number): void {
    this.#map('limit_config').update(slotKey(slot), new Uint8Array(LIMIT_CONFIG.size));
    this.#configs.delete(slot);
    this.#map('limit_clock').update(slotKey(slot), new Uint8Array(LIMIT_CLOCK.size));
    this.#map('limit_flow').update(slotKey(slot), new Uint8Array(LIMIT_FLOWS * LIMIT_FLOW.size));
    const stat = this.#map('limit_stat');
    stat.update(slotKey(slot), new Uint8Array(stat.valueStride));
  }

  #noteClsact(ifindex: number, madeClsact: boolean): void {
    const { madeClsact: _, ...entry } = this.#interfaces.get(ifindex) ?? {};
    const noted: InterfaceEntry = madeClsact ? { ...entry, madeClsact } : entry;
    this.#map('limit_interfaces').update(slotKey(ifindex), encodeInterface(noted));
    this.#interfaces.set(ifindex, noted);
  }
}

function sameEntry(a: InterfaceEntry, b: InterfaceEntry): boolean {
  return Buffer.compare(encodeInterface(a), encodeInterface(b)) === 0;
}
