import type { HtbClass, HtbClassPlace, HtbClassSettings } from '../../lib/netlink/htb-classes.ts';
import type { QdiscSettings } from '../../lib/netlink/qdisc-options.ts';
import type { Qdisc, QdiscPlace } from '../../lib/netlink/qdiscs.ts';

/** What a device is wanted to do for the pods whose packets it sends. */
export type DeviceNeed =
  /** Honour departure times. */
  | { readonly ifindex: number; readonly mode: 'pace'; readonly podRates: readonly bigint[] }
  /** Where the kernel has no fq: hold each pod's packets back by a class tree of its own. */
  | { readonly ifindex: number; readonly mode: 'shape'; readonly pods: readonly ShapedPod[] };

export interface ShapedPod {
  /** 0 to MAX_SLOT; decides the class ids, so it must be the pod's for as long as it lives. */
  readonly slot: number;
  readonly rateBytesPerSecond: bigint;
}

/** A device as it is. */
export interface DeviceState {
  readonly ifindex: number;
  readonly name: string;
  /** `Link.qdisc`: noop for a device that was never up, of which no qdisc is listed. */
  readonly qdisc: string;
  readonly qdiscs: readonly Pick<Qdisc, 'kind' | 'handle' | 'parent' | 'options'>[];
  /** Of an HTB of ours. */
  readonly classes: readonly Pick<HtbClass, 'classId' | 'parent' | 'settings'>[];
}

export type Operation =
  /** Over the kernel's default only: the kernel refuses it where another qdisc is. */
  | { readonly op: 'add'; readonly place: QdiscPlace; readonly settings: QdiscSettings }
  | { readonly op: 'change'; readonly place: QdiscPlace; readonly settings: QdiscSettings }
  /** Queue of a class of ours. */
  | { readonly op: 'set-leaf'; readonly place: QdiscPlace; readonly settings: QdiscSettings }
  | { readonly op: 'delete'; readonly place: QdiscPlace }
  | { readonly op: 'set-class'; readonly place: HtbClassPlace; readonly settings: HtbClassSettings }
  | { readonly op: 'delete-class'; readonly place: HtbClassPlace };

export type DeviceVerdict =
  /** As wanted, once the operations are done. */
  | { readonly state: 'ours' }
  /** Ours of another mode goes away first: look and plan again. */
  | { readonly state: 'changing' }
  /** Nobody needs anything of it: as the kernel made it, once the operations are done. */
  | { readonly state: 'untouched' }
  /**
   * Another's qdisc is in charge. `what` names it: "tbf 8001: at root". `paces`: it honours departure
   * times all the same, though it may drop what ours would hold (fq's own limit of a flow is 100 packets).
   */
  | { readonly state: 'foreign'; readonly what: string; readonly paces: boolean }
  /** Never up, so it has no qdisc yet and sends nothing. */
  | { readonly state: 'not-up' };

export interface QdiscPlan {
  /** To be done in this order. */
  readonly operations: readonly Operation[];
  /** By ifindex, of every device that is needed or has something of ours. */
  readonly verdicts: ReadonlyMap<number, DeviceVerdict>;
}
