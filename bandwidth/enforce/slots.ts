import { createHash } from 'node:crypto';
import { DIRECTIONS, type Direction } from '../contract/bandwidth.ts';
import { LIMIT_OWNER } from '../bpf/layout.ts';

/** Which pod's direction has which slot. Slot 0 is nobody's. The owners are also in the kernel, for the next agent. */
export class Slots {
  readonly #most: number;
  readonly #byOwner = new Map<string, number>();
  readonly #owners = new Map<number, string>();
  /** Given back and not cleared yet are not free. */
  #next = 1;
  readonly #free = new Set<number>();

  /** @param count entries of the maps, with slot 0 */
  constructor(count: number) {
    this.#most = count - 1;
  }

  get used(): number {
    return this.#byOwner.size;
  }

  get most(): number {
    return this.#most;
  }

  /** What an agent before this one left. */
  adopt(slot: number, owner: string): void {
    if (slot < 1 || slot > this.#most || this.#owners.has(slot) || this.#byOwner.has(owner)) return;
    this.#free.delete(slot);
    this.#byOwner.set(owner, slot);
    this.#owners.set(slot, owner);
  }

  of(owner: string): number | undefined {
    return this.#byOwner.get(owner);
  }

  /** The owner's slot, or a free one; undefined: none is left. */
  take(owner: string): number | undefined {
    const known = this.#byOwner.get(owner);
    if (known !== undefined) return known;
    let [slot] = this.#free;
    while (slot === undefined && this.#next <= this.#most) {
      const candidate = this.#next++;
      if (!this.#owners.has(candidate)) slot = candidate;
    }
    if (slot === undefined) return undefined;
    this.#free.delete(slot);
    this.#byOwner.set(owner, slot);
    this.#owners.set(slot, owner);
    return slot;
  }

  /** Owners that are not among these. */
  others(owners: ReadonlySet<string>): [owner: string, slot: number][] {
    return [...this.#byOwner].filter(([owner]) => !owners.has(owner));
  }

  /** The slot was cleared and may be another's. */
  release(owner: string): void {
    const slot = this.#byOwner.get(owner);
    if (slot === undefined) return;
    this.#byOwner.delete(owner);
    this.#owners.delete(slot);
    this.#free.add(slot);
  }
}

const DIGEST_BYTES = LIMIT_OWNER.fields.digest.size;

/** Digests take more time than all the rest of a decision; these are of the pods of a node, several times over. */
const MAX_KNOWN = 4096;
const known = new Map<string, string>();

/** Who owns a slot: uids are of any length, so a digest stands for them. Hexadecimal of the value of map limit_owner. */
export function ownerOf(uid: string, direction: Direction): string {
  const key = `${direction} ${uid}`;
  let owner = known.get(key);
  if (owner === undefined) {
    owner = digestOf(uid, direction);
    if (known.size >= MAX_KNOWN) known.clear();
    known.set(key, owner);
  }
  return owner;
}

function digestOf(uid: string, direction: Direction): string {
  const value = Buffer.alloc(LIMIT_OWNER.size);
  createHash('sha256').update(uid).digest().copy(value, LIMIT_OWNER.fields.digest.offset, 0, DIGEST_BYTES);
  value.writeUInt8(DIRECTIONS.indexOf(direction) + 1, LIMIT_OWNER.fields.direction.offset);
  return value.toString('hex');
}
