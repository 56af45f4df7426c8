import type { NetlinkSocket } from '../../lib/netlink/index.ts';
import type { Role } from '../enforce/types.ts';
import { DIRECTION } from '../kernel/hooks.ts';
import { BypassWatch, type Passage } from './bypass.ts';
import { whoIsBefore, type Before, type GateDevice } from './chain.ts';

const UNKNOWN = 'another program';

/**
 * A place that packets of a limit must pass: programs of ours at the interfaces of a pod. Whether they do is told by
 * counters, and who kept them away by the list of those that run there before ours.
 */
export class Gate {
  readonly role: Role;
  readonly devices: readonly GateDevice[];
  readonly #watch = new BypassWatch();
  #by: string | undefined;

  constructor(role: Role, devices: readonly GateDevice[]) {
    this.role = role;
    this.devices = devices;
  }

  /** Who ends the chain before our program, in words. */
  get by(): string | undefined {
    return this.#by;
  }

  /** Of the same devices? */
  isAt(devices: readonly GateDevice[]): boolean {
    return sameDevices(this.devices, devices);
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
    const { who, inPlace } = this.#whoIsBefore(programId, socket);
    const wasNamed = this.#by !== undefined && this.#by !== UNKNOWN;
    if (who !== undefined) {
      this.#by = who;
    } else if (wasNamed || !inPlace) {
      this.#watch.clear();
      this.#by = undefined;
    } else if (this.#watch.bypassed) {
      this.#by = UNKNOWN;
    }
    return inPlace;
  }

  /** The first at one of the devices. */
  #whoIsBefore(ours: number, socket: NetlinkSocket): Before {
    let inPlace = true;
    for (const device of this.devices) {
      const before = whoIsBefore(socket, device, DIRECTION[this.role], ours);
      inPlace &&= before.inPlace;
      if (before.who !== undefined) return { who: before.who, inPlace };
    }
    return { who: undefined, inPlace };
  }
}

export function sameDevices(a: readonly GateDevice[], b: readonly GateDevice[]): boolean {
  return a.length === b.length && a.every(({ ifindex }, i) => ifindex === b[i]!.ifindex);
}
