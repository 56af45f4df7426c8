import { existsSync } from 'node:fs';
import {
  PinnedTcLink,
  clsactProgramId,
  removeClsactFilter,
  removeEmptyClsact,
  setClsactFilter,
  type BpfProgram,
  type TcDirection,
} from '../../lib/bpf/index.ts';
import type { Hook, Role } from '../enforce/types.ts';
import type { LimitPins } from './pins.ts';

export const DIRECTION: Readonly<Record<Role, TcDirection>> = {
  from_pod: 'ingress',
  to_pod: 'egress',
  leave: 'egress',
};

/** Puts programs on devices such that they stay when this process ends, and takes them away again. */
export interface Hooks {
  /** `tcx`: links, pinned. `clsact`: filters. */
  readonly kind: 'tcx' | 'clsact';
  /**
   * The program runs there, before all others. In the place of an older one of ours without a gap.
   * @throws NetloomError BPF_ATTACH_FAILED, BPF_NOT_PERMITTED, BPF_PIN_FAILED
   */
  ensure(hook: Hook, program: BpfProgram): 'kept' | 'replaced' | 'attached';
  /** Hooks at which something of ours is, or was until its device went. */
  present(): Hook[];
  remove(hook: Hook): void;
}

/** Links of tcx. */
export class TcxHooks implements Hooks {
  readonly kind = 'tcx';
  readonly #pins: LimitPins;

  constructor(pins: LimitPins) {
    this.#pins = pins;
  }

  ensure({ ifindex, role }: Hook, program: BpfProgram): 'kept' | 'replaced' | 'attached' {
    const path = this.#pins.linkPath(ifindex, role);
    if (existsSync(path)) {
      const link = new PinnedTcLink(path);
      try {
        const { ifindex: at, programId } = link.info;
        if (at === ifindex && programId === program.id) return 'kept';
        if (at === ifindex) {
          link.update(program);
          return 'replaced';
        }
        // Its device is gone, and this is another one with the same index.
        link.remove();
      } finally {
        link.close();
      }
    }
    const link = program.attachTcx(ifindex, DIRECTION[role], { kind: 'tcx' });
    try {
      link.pin(path);
    } catch (error) {
      link.detach();
      throw error;
    }
    link.close();
    return 'attached';
  }

  present(): Hook[] {
    return this.#pins.links();
  }

  remove({ ifindex, role }: Hook): void {
    const path = this.#pins.linkPath(ifindex, role);
    if (existsSync(path)) new PinnedTcLink(path).remove();
  }
}

/** Filters of clsact, for kernels before 6.6. Which devices have a clsact qdisc of ours is kept in the kernel, too. */
export class ClsactHooks implements Hooks {
  readonly kind = 'clsact';
  readonly #devices: () => Iterable<number>;
  readonly #made: { has(ifindex: number): boolean; add(ifindex: number): void; delete(ifindex: number): void };

  /** @param devices those on which filters of ours may be */
  constructor(
    devices: () => Iterable<number>,
    made: { has(ifindex: number): boolean; add(ifindex: number): void; delete(ifindex: number): void },
  ) {
    this.#devices = devices;
    this.#made = made;
  }

  ensure({ ifindex, role }: Hook, program: BpfProgram): 'kept' | 'replaced' | 'attached' {
    const direction = DIRECTION[role];
    const present = clsactProgramId(ifindex, direction);
    if (present === program.id) return 'kept';
    const { madeQdisc } = setClsactFilter(program, ifindex, direction);
    if (madeQdisc) this.#made.add(ifindex);
    return present === undefined ? 'attached' : 'replaced';
  }

  present(): Hook[] {
    return [...this.#devices()].flatMap((ifindex): Hook[] =>
      (['from_pod', 'to_pod'] as const)
        .filter((role) => clsactProgramId(ifindex, DIRECTION[role]) !== undefined)
        .map((role) => ({ ifindex, role })),
    );
  }

  remove({ ifindex, role }: Hook): void {
    removeClsactFilter(ifindex, DIRECTION[role]);
    if (this.#made.has(ifindex) && removeEmptyClsact(ifindex)) this.#made.delete(ifindex);
  }
}
