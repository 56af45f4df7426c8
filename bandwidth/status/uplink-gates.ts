import type { NetlinkSocket } from '../../lib/netlink/index.ts';
import { DIRECTION } from '../kernel/hooks.ts';
import type { Passage } from './bypass.ts';
import { whoIsBefore, type GateDevice } from './chain.ts';
import { sameDevices } from './gate.ts';
import { missedForSure, suspicions, type Departure } from './missed.ts';

const POINT = DIRECTION.leave;

/**
 * The uplinks at which `leave` must see what goes out. Packets may also leave without tc (XDP), so that some are missing says
 * nothing by itself: somebody must be seen who runs there before us.
 */
export class UplinkGates {
  readonly devices: readonly GateDevice[];
  #last: { readonly left: ReadonlyMap<number, Passage>; readonly met: Passage } | undefined;
  readonly #suspected = new Set<number>();
  /** By ifindex, who ends the chain before our program, in words. */
  readonly #by = new Map<number, string>();
  /** It is one of these, and it cannot be told which. */
  #isUnsure = false;

  constructor(devices: readonly GateDevice[]) {
    this.devices = devices;
  }

  isAt(devices: readonly GateDevice[]): boolean {
    return sameDevices(this.devices, devices);
  }

  /** Who ends the chain before our program at one of the uplinks, in words; undefined: nobody. */
  get by(): string | undefined {
    return this.#by.size === 0 ? undefined : [...this.#by.values()].join(this.#isUnsure ? ' or ' : ' and ');
  }

  /** Uplinks at which our program sees what leaves, as far as that was noticed. */
  get seeing(): readonly GateDevice[] {
    return this.devices.filter(({ ifindex }) => !this.#by.has(ifindex));
  }

  /**
   * @param left cumulative, by ifindex, what left through each
   * @param met cumulative, what met our program at all of them together
   * @param programId ours
   * @returns false: our program is not where it should be
   */
  add(left: ReadonlyMap<number, Passage>, met: Passage, programId: number, socket: NetlinkSocket): boolean {
    const last = this.#last;
    this.#last = { left, met };
    if (last === undefined) return true;
    const departures = this.devices.flatMap(({ ifindex }): Departure[] => {
      const [before, now] = [last.left.get(ifindex), left.get(ifindex)];
      return before === undefined || now === undefined ? [] : [{ ifindex, ...since(before, now) }];
    });
    const metSince = since(last.met, met);
    for (const [ifindex, suspicion] of suspicions(departures, metSince)) {
      if (suspicion === 'missed') this.#suspected.add(ifindex);
      if (suspicion === 'met') this.#suspected.delete(ifindex);
    }
    return this.#lookAtSuspected(departures, metSince, programId, socket);
  }

  #lookAtSuspected(departures: readonly Departure[], met: Passage, programId: number, socket: NetlinkSocket): boolean {
    let inPlace = true;
    const seen = new Map<number, string>();
    for (const device of this.devices) {
      if (!this.#suspected.has(device.ifindex)) continue;
      const before = whoIsBefore(socket, device, POINT, programId);
      inPlace &&= before.inPlace;
      if (before.who === undefined) this.#suspected.delete(device.ifindex);
      else seen.set(device.ifindex, before.who);
    }
    const known = [...seen.keys()].every((ifindex) => this.#by.has(ifindex));
    const candidates = new Set(seen.keys());
    const sure = missedForSure(departures, met, candidates);
    // Where nothing more can be told than before, what was told stays.
    if (sure.size > 0 || !known) this.#isUnsure = sure.size === 0;
    const named = sure.size > 0 ? sure : known ? new Set(this.#by.keys()) : candidates;
    this.#by.clear();
    for (const [ifindex, who] of seen) if (named.has(ifindex)) this.#by.set(ifindex, who);
    if (this.#by.size <= 1) this.#isUnsure = false;
    return inPlace;
  }
}

function since(before: Passage, now: Passage): Passage {
  return { packets: now.packets - before.packets, bytes: now.bytes - before.bytes };
}
