import { chainPrograms } from '../../lib/bpf/index.ts';
import { dumpFilters, type NetlinkSocket } from '../../lib/netlink/index.ts';
import type { Role } from '../enforce/types.ts';
import { DIRECTION } from '../kernel/hooks.ts';
import { BypassWatch, type Passage } from './bypass.ts';

export interface GateDevice {
  readonly ifindex: number;
  readonly name: string;
}

const UNKNOWN = 'another program';

/**
 * A place that packets of a limit must pass: programs of ours at some devices. Whether they do is told by counters, and
 * who kept them away by the list of those that run there before ours.
 */
export class Gate {
  readonly role: Role;
  readonly devices: readonly GateDevice[];
  readonly #hasOtherWays: boolean;
  readonly #watch = new BypassWatch();
  #by: string | undefined;

  /** @param hasOtherWays packets may also have gone elsewhere: only somebody who is seen there is told */
  constructor(role: Role, devices: readonly GateDevice[], hasOtherWays = false) {
    this.role = role;
    this.devices = devices;
    this.#hasOtherWays = hasOtherWays;
  }

  /** Who ends the chain before our program, in words. */
  get by(): string | undefined {
    return this.#by;
  }

  /** Of the same devices? */
  isAt(devices: readonly GateDevice[]): boolean {
    return (
      devices.length === this.devices.length && devices.every(({ ifindex }, i) => ifindex === this.devices[i]!.ifindex)
    );
  }

  /**
   * @param came cumulative, what should have met our program
   * @param met cumulative, what did
   * @param programId ours
   * @returns false: our program is not where it should be
   */
  add(came: Passage, met: Passage, programId: number, socket: NetlinkSocket): boolean {
    this.#watch.add(came, met);
    if (!this.#watch.suspected) {
      this.#by = undefined;
      return true;
    }
    const { name, inPlace } = this.#whoIsBefore(programId, socket);
    const wasNamed = this.#by !== undefined && this.#by !== UNKNOWN;
    if (name !== undefined) {
      this.#by = name;
    } else if (wasNamed || !inPlace) {
      this.#watch.clear();
      this.#by = undefined;
    } else if (this.#watch.bypassed && !this.#hasOtherWays) {
      this.#by = UNKNOWN;
    }
    return inPlace;
  }

  /** The first of the programs that run before ours at one of the devices; undefined: nobody is seen there. */
  #whoIsBefore(ours: number, socket: NetlinkSocket): { name: string | undefined; inPlace: boolean } {
    const point = DIRECTION[this.role];
    let inPlace = true;
    for (const { ifindex, name } of this.devices) {
      const chain = chainPrograms(ifindex, point) ?? [];
      const at = chain.findIndex(({ id }) => id === ours);
      const [first] = at < 0 ? chain : chain.slice(0, at);
      if (first !== undefined) {
        return { name: `${first.name ?? `program ${first.id}`} (tcx ${point} of ${name})`, inPlace };
      }
      if (at >= 0) continue;
      const filters = dumpFilters(socket, ifindex, point);
      const place = filters.findIndex(({ bpf }) => bpf?.programId === ours);
      const [filter] = place < 0 ? filters : filters.slice(0, place);
      if (filter !== undefined) {
        const who = filter.bpf?.name ?? filter.kind;
        return { name: `${who} (filter ${filter.priority} at ${point} of ${name})`, inPlace };
      }
      if (place < 0) inPlace = false;
    }
    return { name: undefined, inPlace };
  }
}
