import type { Direction, Wish } from '../contract/bandwidth.ts';
import type { NodePod, PodPlace, Uplink } from '../interfaces/types.ts';
import type { DeviceNeed, DeviceState } from '../qdiscs/types.ts';
import type { InterfaceEntry, SlotConfig } from '../slot-config.ts';

/** What is done with the limits: held; counted as if they were held; only computed. */
export type Purpose = 'enforce' | 'shadow' | 'dry-run';

/** A pod with what its annotations ask for. */
export interface WishingPod extends NodePod {
  readonly wishes: Readonly<Record<Direction, Wish>>;
}

/** All that a decision is made of, at one moment. */
export interface NodeView {
  readonly pods: readonly WishingPod[];
  /** By pod uid. */
  readonly places: ReadonlyMap<string, PodPlace>;
  readonly uplinks: readonly Uplink[];
  /** Of what was looked at, a sentence each: devices that were named and are no uplinks. */
  readonly warnings: readonly string[];
  readonly devices: readonly DeviceState[];
  /** Who else limits there, by ifindex, in words: "Cilium's bandwidth manager". */
  readonly neighbours: ReadonlyMap<number, Partial<Record<Direction, string>>>;
  /** ifindexes of devices whose frames have no link-layer header (ARPHRD_NONE). */
  readonly headerless: ReadonlySet<number>;
  readonly abilities: Abilities;
}

export interface Abilities {
  /** The kernel has sch_fq. */
  readonly fq: boolean;
  /** Possible CPUs. */
  readonly cpus: number;
  /** Devices on which no class tree could be set up, with the reason. */
  readonly unshapable: ReadonlyMap<number, string>;
}

export type LimitState = 'enforced' | 'shaped-htb' | 'policed' | 'pending' | 'unsupported' | 'shadow' | 'dry-run';

/** How one direction of a pod stands. */
export interface Standing {
  readonly state: LimitState;
  /** A phrase for people; empty: nothing to add. */
  readonly reason: string;
  /** Bits a second that hold, or would; undefined: none. */
  readonly bps: bigint | undefined;
  /** The state is not that of all ways that its packets take; the reason says of which. `policed`: that of the weakest. */
  readonly inPart?: boolean;
}

/** Where a program of ours runs: from_pod at ingress, to_pod at egress of a pod's interface, leave at egress of an uplink. */
export type Role = 'from_pod' | 'to_pod' | 'leave';

export interface Hook {
  readonly ifindex: number;
  readonly role: Role;
}

/** What could not be done, and where. */
export interface Fault {
  readonly ifindex: number;
  /** Absent: something that is not needed any more could not be taken away. */
  readonly part?: Role | 'qdisc';
  readonly text: string;
}

export interface SlotUse {
  readonly uid: string;
  readonly direction: Direction;
  readonly slot: number;
  readonly config: SlotConfig;
}

/** What is to be in the kernel. */
export interface Desired {
  readonly slots: readonly SlotUse[];
  /** By ifindex. */
  readonly interfaces: ReadonlyMap<number, InterfaceEntry>;
  readonly hooks: readonly Hook[];
  readonly needs: readonly DeviceNeed[];
  /** By pod uid; of directions of which nothing is wished or counted there is none. */
  readonly standings: ReadonlyMap<string, Readonly<Partial<Record<Direction, Standing>>>>;
}
