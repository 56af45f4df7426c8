import {
  bpfObjectPath,
  chainPrograms,
  checkLayout,
  loadBpf,
  type BpfMap,
  type BpfObject,
} from '../../lib/bpf/index.ts';
import { LAYOUTS, LIMIT_CLOCK, LIMIT_CONFIG, LIMIT_FLOW, LIMIT_FLOWS, LIMIT_OWNER } from '../bpf/layout.ts';
import type { Hook, SlotUse } from '../enforce/types.ts';
import { ownerOf } from '../enforce/slots.ts';
import { decodeInterface, encodeInterface, encodeSlotConfig, type InterfaceEntry } from '../slot-config.ts';
import { decodeSlotStat, type SlotStat } from '../slot-stat.ts';
import { ClsactHooks, DIRECTION, TcxHooks, type Hooks } from './hooks.ts';
import { PINNED_MAPS, abiOf, type LimitPins } from './pins.ts';

/** Entries of limit_interfaces in limit.bpf.c. */
export const MAX_INTERFACES = 4096;

export interface LimitKernelOptions {
  readonly pins: LimitPins;
  /** Slots, with slot 0. */
  readonly slots: number;
  /** HTB holds packets back: see judge_senders in limit.bpf.c. */
  readonly judgeSenders: boolean;
  /** The compiled limit.bpf.c. Default: where scripts/build-bpf.sh puts it. */
  readonly object?: string;
  /** Default: tcx where the kernel has it. */
  readonly hooks?: 'tcx' | 'clsact';
}

export interface LeftSlot {
  readonly slot: number;
  /** As ownerOf() says. */
  readonly owner: string;
  /** Bits a second; 0: it only counted. */
  readonly bps: bigint;
}

/** What an agent before this one left in force. */
export interface Left {
  readonly slots: readonly LeftSlot[];
  readonly interfaces: ReadonlyMap<number, InterfaceEntry>;
}

/**
 * The limit programs with their maps, pinned. Every write is skipped that would change nothing, so that setting all of
 * it again is cheap.
 */
export class LimitKernel {
  readonly #object: BpfObject;
  readonly #pins: LimitPins;
  readonly #abi: string;
  readonly #hooks: Hooks;
  /** What is in the maps. */
  readonly #configs = new Map<number, string>();
  readonly #owners = new Map<number, string>();
  readonly #interfaces = new Map<number, InterfaceEntry>();

  private constructor(object: BpfObject, options: LimitKernelOptions, abi: string) {
    this.#object = object;
    this.#pins = options.pins;
    this.#abi = abi;
    const kind = options.hooks ?? (kernelHasTcx() ? 'tcx' : 'clsact');
    this.#hooks =
      kind === 'tcx' ? new TcxHooks(options.pins) : new ClsactHooks(() => this.#interfaces.keys(), this.#made());
  }

  /**
   * Loads the programs; those that run already go on until `setHook` replaces them.
   * @throws NetloomError of lib/bpf: BPF_LOAD_FAILED, BPF_LAYOUT_MISMATCH, BPF_NOT_PERMITTED, ...
   */
  static async load(options: LimitKernelOptions): Promise<LimitKernel> {
    const { pins, slots } = options;
    const abi = abiOf(slots);
    const object = await loadBpf({
      object: options.object ?? bpfObjectPath('limit'),
      constants: { judge_senders: options.judgeSenders ? 1 : 0 },
      maxEntries: {
        ...Object.fromEntries(
          PINNED_MAPS.filter((name) => name !== 'limit_interfaces').map((name) => [name, slots] as const),
        ),
        limit_interfaces: MAX_INTERFACES,
      },
      pins: { dir: pins.mapsDir(abi), maps: PINNED_MAPS },
    });
    try {
      for (const [name, layout] of Object.entries(LAYOUTS)) checkLayout(object.btf, name, layout);
      return new LimitKernel(object, options, abi);
    } catch (error) {
      object.close();
      throw error;
    }
  }

  get hookKind(): 'tcx' | 'clsact' {
    return this.#hooks.kind;
  }

  /** Reads what is in force; to be called once, before anything is set. */
  async takeUp(): Promise<Left> {
    const slots: LeftSlot[] = [];
    await this.#map('limit_owner').readAll((keys, values, count) => {
      for (let i = 0; i < count; i++) {
        const slot = keys.getUint32(4 * i, true);
        const bytes = new Uint8Array(values.buffer, values.byteOffset + i * LIMIT_OWNER.size, LIMIT_OWNER.size);
        if (bytes[LIMIT_OWNER.fields.direction.offset] === 0) continue;
        const owner = Buffer.from(bytes).toString('hex');
        this.#owners.set(slot, owner);
        slots.push({ slot, owner, bps: 0n });
      }
    });
    await this.#map('limit_interfaces').readAll((keys, values, count) => {
      for (let i = 0; i < count; i++) {
        const bytes = new Uint8Array(values.buffer, values.byteOffset + i * 12, 12);
        this.#interfaces.set(keys.getUint32(4 * i, true), decodeInterface(bytes));
      }
    });
    const withRates = slots.map((left) => {
      const config = this.#map('limit_config').lookup(u32(left.slot))!;
      this.#configs.set(left.slot, Buffer.from(config).toString('hex'));
      const view = new DataView(config.buffer, config.byteOffset, LIMIT_CONFIG.size);
      return { ...left, bps: view.getBigUint64(LIMIT_CONFIG.fields.rate.offset, true) * 8n };
    });
    return { slots: withRates, interfaces: new Map(this.#interfaces) };
  }

  /** A slot that was another's starts from nothing. */
  setSlot({ uid, direction, slot, config }: SlotUse): boolean {
    const owner = ownerOf(uid, direction);
    const isNew = this.#owners.get(slot) !== owner;
    if (isNew) {
      this.#zero(slot);
      this.#map('limit_owner').update(u32(slot), Buffer.from(owner, 'hex'));
      this.#owners.set(slot, owner);
    }
    const bytes = encodeSlotConfig(config);
    const text = Buffer.from(bytes).toString('hex');
    if (this.#configs.get(slot) === text) return isNew;
    this.#map('limit_config').update(u32(slot), bytes);
    this.#configs.set(slot, text);
    return true;
  }

  /** No interface may name it any more. */
  clearSlot(slot: number): void {
    this.#map('limit_config').update(u32(slot), new Uint8Array(LIMIT_CONFIG.size));
    this.#map('limit_owner').update(u32(slot), new Uint8Array(LIMIT_OWNER.size));
    this.#configs.delete(slot);
    this.#owners.delete(slot);
  }

  setInterface(ifindex: number, wanted: InterfaceEntry): boolean {
    const known = this.#interfaces.get(ifindex);
    const entry: InterfaceEntry = known?.madeClsact ? { ...wanted, madeClsact: true } : wanted;
    if (known !== undefined && sameEntry(known, entry)) return false;
    this.#map('limit_interfaces').update(u32(ifindex), encodeInterface(entry));
    this.#interfaces.set(ifindex, entry);
    return true;
  }

  removeInterface(ifindex: number): void {
    this.#map('limit_interfaces').delete(u32(ifindex));
    this.#interfaces.delete(ifindex);
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

  /** Where `hook` runs: id of its program. */
  programId(role: Hook['role']): number {
    return this.#object.program(role).id;
  }

  /** Maps of an older version have no user any more. */
  dropOtherMaps(): void {
    this.#pins.dropOtherMaps(this.#abi);
  }

  stat(slot: number): SlotStat {
    return decodeSlotStat(this.#map('limit_stat').lookup(u32(slot))!);
  }

  /** Limits stay in force. */
  close(): void {
    this.#object.close();
  }

  #map(name: (typeof PINNED_MAPS)[number]): BpfMap {
    return this.#object.map(name);
  }

  #zero(slot: number): void {
    this.#map('limit_config').update(u32(slot), new Uint8Array(LIMIT_CONFIG.size));
    this.#configs.delete(slot);
    this.#map('limit_clock').update(u32(slot), new Uint8Array(LIMIT_CLOCK.size));
    this.#map('limit_flow').update(u32(slot), new Uint8Array(LIMIT_FLOWS * LIMIT_FLOW.size));
    const stat = this.#map('limit_stat');
    stat.update(u32(slot), new Uint8Array(stat.valueStride));
  }

  #made(): { has(ifindex: number): boolean; add(ifindex: number): void; delete(ifindex: number): void } {
    const mark = (ifindex: number, madeClsact: boolean): void => {
      const { madeClsact: _, ...entry } = this.#interfaces.get(ifindex) ?? {};
      const marked: InterfaceEntry = madeClsact ? { ...entry, madeClsact } : entry;
      this.#map('limit_interfaces').update(u32(ifindex), encodeInterface(marked));
      this.#interfaces.set(ifindex, marked);
    };
    return {
      has: (ifindex) => this.#interfaces.get(ifindex)?.madeClsact === true,
      add: (ifindex) => mark(ifindex, true),
      delete: (ifindex) => mark(ifindex, false),
    };
  }
}

/** Asked of loopback, which every namespace has. */
export function kernelHasTcx(): boolean {
  return chainPrograms(1, DIRECTION.from_pod) !== undefined;
}

function sameEntry(a: InterfaceEntry, b: InterfaceEntry): boolean {
  return Buffer.compare(encodeInterface(a), encodeInterface(b)) === 0;
}

function u32(value: number): Uint8Array {
  return new Uint8Array(new Uint32Array([value]).buffer);
}
