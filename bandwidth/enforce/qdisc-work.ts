import { sentenceOf } from '../../lib/errors.ts';
import type { Changes, NetlinkSocket } from '../../lib/netlink/index.ts';
import { applyNeeds, type Applied } from '../qdiscs/apply.ts';
import type { DeviceNeed, DeviceState } from '../qdiscs/types.ts';
import type { Fault } from './types.ts';

/** A class tree that could not be set up is tried again after this time. */
const UNSHAPABLE_MS = 60_000;

/** Sets qdiscs up, remembers for a while where that cannot be done, and knows its own changes when it hears of them. */
export class QdiscWork {
  readonly #unshapable = new Map<number, { readonly reason: string; readonly untilMs: number }>();
  /** Devices that this process changed and looked at again a moment ago: what it hears of them now is no news. */
  #justSeen: ReadonlySet<number> = new Set();

  /** Devices on which no class tree can be had just now, with the reason. */
  unshapable(nowMs: number): ReadonlyMap<number, string> {
    for (const [ifindex, { untilMs }] of this.#unshapable) if (untilMs <= nowMs) this.#unshapable.delete(ifindex);
    return new Map([...this.#unshapable].map(([ifindex, { reason }]) => [ifindex, reason]));
  }

  /** @param hear reads what the kernel told meanwhile: `isOwn` is asked of it */
  apply(
    socket: NetlinkSocket,
    needs: readonly DeviceNeed[],
    devices: readonly DeviceState[],
    hear: () => void,
  ): Fault[] {
    let applied: Applied;
    try {
      applied = applyNeeds(socket, needs, devices);
    } catch (error) {
      return needs.map(({ ifindex }) => ({ ifindex, part: 'qdisc', text: sentenceOf(error) }));
    }
    if (applied.verified.size > 0) {
      this.#justSeen = applied.verified;
      hear();
      this.#justSeen = new Set();
    }
    const untilMs = performance.now() + UNSHAPABLE_MS;
    return applied.failures.map(({ operation, outcome }) => {
      const { ifindex } = operation.place;
      const reason =
        outcome.outcome === 'kind-unknown'
          ? `the kernel has no ${outcome.kind} (module ${outcome.module})`
          : `${operation.op}: ${outcome.words}`;
      if (outcome.outcome === 'kind-unknown') this.#unshapable.set(ifindex, { reason, untilMs });
      return { ifindex, part: 'qdisc', text: `device ${ifindex}: ${reason}` };
    });
  }

  /** What `apply` did itself, and looked at again right after. */
  isOwn({ topics, ifindexes, overrun }: Changes): boolean {
    const isOfQdiscs = [...topics].every((topic) => topic === 'tc');
    return isOfQdiscs && !overrun && [...ifindexes].every((ifindex) => this.#justSeen.has(ifindex));
  }
}
