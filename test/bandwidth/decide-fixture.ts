import { decide, type DecideOptions } from '../../bandwidth/enforce/decide.ts';
import { Slots } from '../../bandwidth/enforce/slots.ts';
import type { Desired, NodeView, WishingPod } from '../../bandwidth/enforce/types.ts';
import { parseBandwidth } from '../../bandwidth/contract/bandwidth.ts';
import type { PodInterface, PodPlace, Uplink } from '../../bandwidth/interfaces/types.ts';
import type { DeviceState } from '../../bandwidth/qdiscs/types.ts';
import { TC_ROOT, tcHandle } from '../../lib/netlink/tc-message.ts';
import { link, pod as nodePod } from '../interfaces/fixture.ts';

/** Small parts of which the tests build what a decision is made of. */

type Found = DeviceState['qdiscs'][number];

/** What may be at the root of a device. */
export const ROOTS = {
  kernel: [{ kind: 'noqueue', handle: 0, parent: TC_ROOT, options: { kind: 'other' } }],
  ourHtb: [{ kind: 'htb', handle: tcHandle(0x4e4c), parent: TC_ROOT, options: { kind: 'htb', defaultMinor: 0 } }],
  tbf: [{ kind: 'tbf', handle: tcHandle(7), parent: TC_ROOT, options: { kind: 'other' } }],
  pfifo: [{ kind: 'pfifo', handle: tcHandle(5), parent: TC_ROOT, options: { kind: 'pfifo', limit: 1000 } }],
  wideFq: [fq(tcHandle(9), TC_ROOT, 1_000_000)],
  narrowFq: [fq(tcHandle(9), TC_ROOT, 100)],
  mqOfFq: [
    { kind: 'mq', handle: tcHandle(9), parent: TC_ROOT, options: { kind: 'mq' } },
    fq(tcHandle(11), tcHandle(9, 1), 1_000_000),
    fq(tcHandle(12), tcHandle(9, 2), 1_000_000),
  ],
  mqWithForeignLeaf: [
    { kind: 'mq', handle: tcHandle(9), parent: TC_ROOT, options: { kind: 'mq' } },
    fq(tcHandle(11), tcHandle(9, 1), 1_000_000),
    { kind: 'pfifo', handle: tcHandle(12), parent: tcHandle(9, 2), options: { kind: 'pfifo', limit: 1000 } },
  ],
} satisfies Record<string, Found[]>;
export type RootName = keyof typeof ROOTS;

function fq(handle: number, parent: number, limit: number): Found {
  return { kind: 'fq', handle, parent, options: { kind: 'fq', limit: 10 * limit, flowLimit: limit, orphanMask: 1023 } };
}

export function device(ifindex: number, name: string, root: RootName = 'kernel'): DeviceState {
  const qdiscs = ROOTS[root];
  return { ifindex, name, qdisc: qdiscs[0]!.kind, qdiscs, classes: [] };
}

export interface PodSpec {
  readonly name: string;
  readonly egress?: string;
  readonly ingress?: string;
  /** ifindexes; none: it has no place yet. */
  readonly at?: readonly number[];
  readonly place?: PodPlace;
  readonly finished?: boolean;
}

export interface ViewSpec {
  readonly pods: readonly PodSpec[];
  /** Roots of uplinks, which have the indexes 2, 3, ... */
  readonly uplinks?: readonly RootName[];
  /** By ifindex of pods' interfaces; default: the kernel's. */
  readonly roots?: Readonly<Record<number, RootName>>;
  readonly neighbours?: NodeView['neighbours'];
  readonly headerless?: readonly number[];
  readonly fq?: boolean;
  readonly unshapable?: ReadonlyMap<number, string>;
}

function podInterface(ifindex: number): PodInterface {
  return { ifindex, name: `veth${ifindex}`, kind: 'veth', netnsid: ifindex, sign: 'route' };
}

export function wishingPod({ name, egress, ingress, finished = false }: PodSpec): WishingPod {
  const wishes = { egress: parseBandwidth(egress), ingress: parseBandwidth(ingress) };
  return { ...nodePod({ uid: `uid-${name}`, name, finished }), wishes };
}

export function view({ pods, uplinks = ['kernel'], roots = {}, fq: hasFq = false, ...more }: ViewSpec): NodeView {
  const places = new Map(
    pods.map((spec): [string, PodPlace] => {
      const none: PodPlace = { found: false, reason: 'no-address', detail: 'it has no address yet' };
      const found: PodPlace = { found: true, interfaces: (spec.at ?? []).map(podInterface) };
      return [`uid-${spec.name}`, spec.place ?? (spec.at === undefined ? none : found)];
    }),
  );
  const uplinkOf = (i: number): Uplink => {
    const at = link(2 + i, `eth${i}`);
    return { ifindex: at.ifindex, name: at.name, isDefault: i === 0, queueing: [at] };
  };
  return {
    pods: pods.map(wishingPod),
    places,
    uplinks: uplinks.map((_, i) => uplinkOf(i)),
    warnings: [],
    devices: [
      ...uplinks.map((root, i) => device(2 + i, `eth${i}`, root)),
      ...pods.flatMap(({ at = [] }) => at.map((ifindex) => device(ifindex, `veth${ifindex}`, roots[ifindex]))),
    ],
    neighbours: more.neighbours ?? new Map(),
    headerless: new Set(more.headerless ?? []),
    abilities: { fq: hasFq, cpus: 2, unshapable: more.unshapable ?? new Map() },
  };
}

export interface DecideSpec extends ViewSpec {
  readonly purpose?: DecideOptions['purpose'];
  /** With slot 0. */
  readonly slotCount?: number;
  readonly slots?: Slots;
  /** Last valid settings, by "NAME DIRECTION". */
  readonly last?: Readonly<Record<string, bigint>>;
}

export function decided(spec: DecideSpec): Desired {
  return decide(view(spec), {
    purpose: spec.purpose ?? 'enforce',
    slots: spec.slots ?? new Slots(spec.slotCount ?? 64),
    lastBps: (uid, direction) => spec.last?.[`${uid.replace('uid-', '')} ${direction}`],
  });
}

/** "NAME DIRECTION: STATE at BPS (REASON)", sorted. */
export function told(desired: Desired): string[] {
  return [...desired.standings]
    .flatMap(([uid, of]) =>
      Object.entries(of).map(([direction, { state, reason, bps }]) => {
        const rate = bps === undefined ? '' : ` at ${bps}`;
        return `${uid.replace('uid-', '')} ${direction}: ${state}${rate}${reason === '' ? '' : ` (${reason})`}`;
      }),
    )
    .sort();
}

/** "IFINDEX ROLE", sorted. */
export function hooked(desired: Desired): string[] {
  return desired.hooks.map(({ ifindex, role }) => `${ifindex} ${role}`).sort();
}

/** "NAME DIRECTION MODE at BYTES/S", sorted. */
export function slotted(desired: Desired): string[] {
  return desired.slots
    .map(({ uid, direction, config }) => {
      const mode = config.shadow ? 'shadow' : config.mode;
      return `${uid.replace('uid-', '')} ${direction} ${mode} at ${config.rateBytesPerSecond}`;
    })
    .sort();
}

/** "IFINDEX MODE", sorted. */
export function needed(desired: Desired): string[] {
  return desired.needs.map(({ ifindex, mode }) => `${ifindex} ${mode}`).sort();
}
