import { join } from 'node:path';
import { openPinnedMap, type BpfMap } from '../../lib/bpf/index.ts';
import { LIMIT_CONFIG, LIMIT_INTERFACE, LIMIT_OWNER } from '../bpf/layout.ts';
import { decodeInterface, encodeInterface, type InterfaceEntry } from '../slot-config.ts';
import { PINNED_MAPS, type PinnedMap } from './pins.ts';

export interface LeftSlot {
  /** undefined: these maps have no place for it. */
  readonly slot: number | undefined;
  /** As ownerOf() says. */
  readonly owner: string;
  /** Bits a second; 0: it only counted. */
  readonly bps: bigint;
}

export interface PlacedSlot extends LeftSlot {
  readonly slot: number;
}

export interface LeftInterface {
  readonly entry: InterfaceEntry;
  /**
   * Owners of the slots that it had, whether or not they have a place now. Numbers of slots are not kept for it: those of
   * other maps may be another's here.
   */
  readonly owners: readonly string[];
}

/** What an agent before this one left in force. */
export interface Left {
  readonly slots: readonly LeftSlot[];
  /** By ifindex. */
  readonly interfaces: ReadonlyMap<number, LeftInterface>;
}

/** What is in maps, all of it in its slot. */
export interface PlacedLeft extends Left {
  readonly slots: readonly PlacedSlot[];
}

export type LimitMaps = (name: PinnedMap) => BpfMap;

/** What the maps say of slots and interfaces. */
export async function readLeft(maps: LimitMaps): Promise<PlacedLeft> {
  const owners: { slot: number; owner: string }[] = [];
  await maps('limit_owner').readAll((keys, values, count) => {
    for (let i = 0; i < count; i++) {
      const bytes = new Uint8Array(values.buffer, values.byteOffset + i * LIMIT_OWNER.size, LIMIT_OWNER.size);
      if (bytes[LIMIT_OWNER.fields.direction.offset] === 0) continue;
      owners.push({ slot: keys.getUint32(4 * i, true), owner: Buffer.from(bytes).toString('hex') });
    }
  });
  const ownerOf = new Map(owners.map(({ slot, owner }) => [slot, owner]));
  const interfaces = new Map<number, LeftInterface>();
  await maps('limit_interfaces').readAll((keys, values, count) => {
    for (let i = 0; i < count; i++) {
      const at = values.byteOffset + i * LIMIT_INTERFACE.size;
      const entry = decodeInterface(new Uint8Array(values.buffer, at, LIMIT_INTERFACE.size));
      const slots = [entry.egressSlot, entry.ingressSlot].filter((slot) => slot !== undefined);
      const ofSlots = slots.map((slot) => ownerOf.get(slot)).filter((owner) => owner !== undefined);
      interfaces.set(keys.getUint32(4 * i, true), { entry, owners: ofSlots });
    }
  });
  const slots = owners.map(({ slot, owner }) => {
    const config = maps('limit_config').lookup(slotKey(slot))!;
    const view = new DataView(config.buffer, config.byteOffset, config.byteLength);
    return { slot, owner, bps: view.getBigUint64(LIMIT_CONFIG.fields.rate.offset, true) * 8n };
  });
  return { slots, interfaces };
}

/** Maps of an agent that had another number of slots, or was of another version. */
export class PinnedMaps {
  readonly #dir: string;
  readonly #open = new Map<PinnedMap, BpfMap>();

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** @throws NetloomError BPF_PIN_FAILED, BPF_NOT_PERMITTED */
  readonly map = (name: PinnedMap): BpfMap => {
    const map = this.#open.get(name) ?? openPinnedMap(join(this.#dir, name));
    this.#open.set(name, map);
    return map;
  };

  close(): void {
    for (const map of this.#open.values()) map.close();
  }
}

/** Whether owners, interfaces and rates can be read in maps of another version. */
export function canRead(maps: LimitMaps): boolean {
  return (
    maps('limit_owner').valueSize === LIMIT_OWNER.size &&
    maps('limit_interfaces').valueSize === LIMIT_INTERFACE.size &&
    maps('limit_config').valueSize >= RATE_END
  );
}

const RATE_END = LIMIT_CONFIG.fields.rate.offset + LIMIT_CONFIG.fields.rate.size;

/** A configuration of another version, of which only the rate is known. */
function rateOnly(config: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(LIMIT_CONFIG.size);
  bytes.set(config.subarray(0, RATE_END));
  return bytes;
}

/**
 * Copies what other maps have of pods that these do not know: limits, clocks and counters go on. In the same slot if it is
 * there and free, for classes of HTB are called by their slot; what finds no place is not copied. Of maps of another
 * version whose each slot is and at which rate: enough for the pods' classes to stay until the programs are replaced.
 * @returns all of what the other maps had; of what was copied, with the slot that it has now
 */
export async function copyLeft(from: LimitMaps, to: LimitMaps, known: Left, sameVersion: boolean): Promise<Left> {
  const left = await readLeft(from);
  const owners = new Set(known.slots.map(({ owner }) => owner));
  const taken = new Set(known.slots.flatMap(({ slot }) => slot ?? []));
  const most = to('limit_owner').maxEntries - 1;
  const moved = new Map<number, number>();
  const inPlace = (slot: number): boolean => slot <= most && !taken.has(slot);
  const strangers = left.slots.filter(({ owner }) => !owners.has(owner));
  for (const { slot } of strangers) {
    if (!inPlace(slot)) continue;
    moved.set(slot, slot);
    taken.add(slot);
  }
  let free = 1;
  for (const { slot } of strangers) {
    if (moved.has(slot)) continue;
    while (free <= most && taken.has(free)) free++;
    if (free > most) break;
    moved.set(slot, free);
    taken.add(free);
  }
  // The owner last: until it is there the slot is nobody's.
  const slotMaps = PINNED_MAPS.filter((name) => name !== 'limit_interfaces' && name !== 'limit_owner');
  for (const [old, slot] of moved) {
    const copy = (name: PinnedMap, read = (value: Uint8Array): Uint8Array => value): void =>
      to(name).update(slotKey(slot), read(from(name).lookup(slotKey(old))!));
    if (sameVersion) for (const name of slotMaps) copy(name);
    else copy('limit_config', rateOnly);
    copy('limit_owner');
  }
  const interfaces = new Map<number, LeftInterface>();
  for (const [ifindex, { entry: old, owners }] of left.interfaces) {
    const { egressSlot, ingressSlot, ...rest } = old;
    const egress = egressSlot === undefined ? undefined : moved.get(egressSlot);
    const ingress = ingressSlot === undefined ? undefined : moved.get(ingressSlot);
    const entry: InterfaceEntry = {
      ...rest,
      ...(egress === undefined ? {} : { egressSlot: egress }),
      ...(ingress === undefined ? {} : { ingressSlot: ingress }),
    };
    interfaces.set(ifindex, { entry, owners });
    if (!known.interfaces.has(ifindex)) to('limit_interfaces').update(slotKey(ifindex), encodeInterface(entry));
  }
  return {
    slots: strangers.map((one) => ({ ...one, slot: moved.get(one.slot) })),
    interfaces,
  };
}

export function slotKey(value: number): Uint8Array {
  return new Uint8Array(new Uint32Array([value]).buffer);
}
