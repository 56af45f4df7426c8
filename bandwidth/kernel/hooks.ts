import { existsSync, unlinkSync } from 'node:fs';
import {
  PinnedTcLink,
  clsactProgramId,
  removeClsactFilter,
  setClsactFilter,
  type BpfProgram,
  type TcDirection,
} from '../../lib/bpf/index.ts';
import { NetloomError } from '../../lib/errors.ts';
import { TC_CLSACT_PARENT, dumpQdiscs, withNetlink } from '../../lib/netlink/index.ts';
import type { Hook, Role } from '../enforce/types.ts';
import type { LimitPins } from './pins.ts';
import { runningAt } from './tcx.ts';

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
  /** Hooks at which something of ours runs. */
  live(): Hook[];
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

  live(): Hook[] {
    return this.#pins.links().filter(({ ifindex, path }) => runningAt(path)?.ifindex === ifindex);
  }

  remove({ ifindex, role }: Hook): void {
    const path = this.#pins.linkPath(ifindex, role);
    if (!existsSync(path)) return;
    // Looked at, whether it is a link of ours; and closed before: the kernel then takes it away in the background.
    new PinnedTcLink(path).close();
    unlinkSync(path);
  }
}

/** Which devices have a clsact qdisc that was made for filters of ours; kept in the kernel, for the next agent. */
export interface MadeQdiscs {
  has(ifindex: number): boolean;
  add(ifindex: number): void;
  delete(ifindex: number): void;
}

/** Filters of clsact, for kernels before 6.6. The qdisc below them is taken away by LimitKernel, if it is ours. */
export class ClsactHooks implements Hooks {
  readonly kind = 'clsact';
  readonly #made: MadeQdiscs;
  /** By device and direction. */
  readonly #known = new Map<string, Hook>();

  /** @param left what agents before this one left */
  constructor(left: readonly Hook[], made: MadeQdiscs) {
    for (const hook of left) this.#known.set(placeOf(hook), hook);
    this.#made = made;
  }

  ensure(hook: Hook, program: BpfProgram): 'kept' | 'replaced' | 'attached' {
    const { ifindex, role } = hook;
    const direction = DIRECTION[role];
    const present = clsactProgramId(ifindex, direction);
    if (present === program.id) return 'kept';
    const other = clsactProgramId(ifindex, direction === 'ingress' ? 'egress' : 'ingress');
    // Ours may be there already: somebody else's filter kept it.
    const isFirst = present === undefined && other === undefined && !this.#made.has(ifindex);
    if (direction === 'egress' && hasIngressOnly(ifindex)) {
      throw new NetloomError('BPF_ATTACH_FAILED', `program ${program.name} cannot be attached`, {
        place: `interface ${ifindex}, ${direction}`,
        found: 'an ingress qdisc, which takes the place of clsact and has no filters for egress',
        remedy: 'Remove it (tc qdisc del dev DEVICE ingress), or have whoever made it use clsact.',
      });
    }
    // Noted before it is made: whoever dies in between leaves a note too many, which the next one takes back.
    if (isFirst) this.#made.add(ifindex);
    const { madeQdisc } = setClsactFilter(program, ifindex, direction);
    if (isFirst && !madeQdisc) this.#made.delete(ifindex);
    this.#known.set(placeOf(hook), hook);
    return present === undefined ? 'attached' : 'replaced';
  }

  present(): Hook[] {
    for (const [place, { ifindex, role }] of this.#known) {
      if (clsactProgramId(ifindex, DIRECTION[role]) === undefined) this.#known.delete(place);
    }
    return [...this.#known.values()];
  }

  live(): Hook[] {
    return this.present();
  }

  remove(hook: Hook): void {
    removeClsactFilter(hook.ifindex, DIRECTION[hook.role]);
    this.#known.delete(placeOf(hook));
  }
}

/** The kernel would put a filter for egress among those of ingress. */
function hasIngressOnly(ifindex: number): boolean {
  return withNetlink(dumpQdiscs).some(
    ({ ifindex: at, parent, kind }) => at === ifindex && parent === TC_CLSACT_PARENT && kind === 'ingress',
  );
}

function placeOf({ ifindex, role }: Hook): string {
  return `${ifindex} ${DIRECTION[role]}`;
}
