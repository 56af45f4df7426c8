import { DIRECTIONS, type Direction } from '../contract/bandwidth.ts';
import type { NoInterface, PodInterface, PodPlace, Uplink } from '../interfaces/types.ts';
import { podClasses } from '../qdiscs/htb-tree.ts';
import type { DeviceNeed, ShapedPod } from '../qdiscs/types.ts';
import { isLimited, slotConfig, type InterfaceEntry, type LimitMode } from '../slot-config.ts';
import { joinReasons } from './reason.ts';
import { ownerOf, type Slots } from './slots.ts';
import type { Desired, Hook, NodeView, Purpose, SlotUse, Standing, WishingPod } from './types.ts';
import { MODE_STATE, obstacle, wayThrough, wayThroughUplinks, type Way } from './ways.ts';

export interface DecideOptions {
  readonly purpose: Purpose;
  /** Slots are taken here; those of pods that went are given back by the caller, after the kernel forgot them. */
  readonly slots: Slots;
  /** The last valid setting of a pod whose annotation cannot be used; undefined: it had none. */
  readonly lastBps: (uid: string, direction: Direction) => bigint | undefined;
}

/**
 * What is to be in the kernel for these pods, and how each of their directions then stands. Nothing at all while no pod
 * has a limit. Once one has, every pod's interface gets `from_pod`: a departure time that another pod set by itself
 * (SO_TXTIME) would fill the queues that pace, and with HTB would name another pod's slot. Pure but for the slots.
 */
export function decide(view: NodeView, options: DecideOptions): Desired {
  const draft = new Draft(view, options);
  for (const pod of view.pods) draft.settle(pod);
  return draft.finish();
}

/** A direction of a pod that has a limit, or as shadow counts. */
interface Limited {
  readonly pod: WishingPod;
  readonly direction: Direction;
  readonly interfaces: readonly PodInterface[];
  /** Bits a second; 0: counts only. */
  readonly bps: bigint;
  /** Of the annotation, if it is not what holds. */
  readonly complaint: string;
}

/** One that has a slot. */
interface Held extends Limited {
  readonly slot: number;
}

/** Of pods without an interface: it is of no use to wait. */
const LASTING: ReadonlySet<string> = new Set<NoInterface>([
  'host-network',
  'foreign-device',
  'bad-address',
  'not-coming',
]);

class Draft {
  readonly #view: NodeView;
  readonly #options: DecideOptions;
  readonly #limited: Limited[] = [];
  readonly #standings = new Map<string, Partial<Record<Direction, Standing>>>();
  /** Uplinks at which packets are held back. */
  #holdingUplinks: readonly Uplink[] = [];
  /** Of all pods that have one. */
  readonly #interfaces: { readonly pod: WishingPod; readonly device: PodInterface }[] = [];

  constructor(view: NodeView, options: DecideOptions) {
    this.#view = view;
    this.#options = options;
  }

  settle(pod: WishingPod): void {
    const place = this.#view.places.get(pod.uid);
    if (pod.finished || place === undefined) return;
    if (place.found) for (const device of place.interfaces) this.#interfaces.push({ pod, device });
    for (const direction of DIRECTIONS) this.#settle(pod, direction, place);
  }

  #settle(pod: WishingPod, direction: Direction, place: PodPlace): void {
    const wish = pod.wishes[direction];
    const counts = this.#options.purpose === 'shadow';
    if (wish.kind === 'none' && !(counts && place.found)) return;
    const { bps, complaint } = this.#holding(pod, direction);
    const hindrance = place.found ? '' : place.detail;
    const isLasting = !place.found && LASTING.has(place.reason);
    // What it asks for cannot be held wherever its interface is.
    if (bps === undefined && !(counts && place.found)) {
      this.#stand(pod, direction, {
        state: 'unsupported',
        reason: joinReasons(complaint, isLasting ? hindrance : ''),
        bps,
      });
      return;
    }
    if (!place.found) {
      this.#stand(pod, direction, {
        state: isLasting ? 'unsupported' : 'pending',
        reason: joinReasons(complaint, hindrance),
        bps,
      });
      return;
    }
    this.#limited.push({ pod, direction, interfaces: place.interfaces, bps: bps ?? 0n, complaint });
  }

  /** Those that have a slot, or get one that is free; of the others it is told that there is none. */
  #place(limited: readonly Limited[]): Held[] {
    const { slots } = this.#options;
    const owner = ({ pod, direction }: Limited): string => ownerOf(pod.uid, direction);
    return limited.flatMap((one): Held[] => {
      const slot = slots.take(owner(one));
      if (slot !== undefined) return [{ ...one, slot }];
      const reason = joinReasons(one.complaint, `all ${slots.most} slots are taken; raise --limit-slots`);
      this.#stand(one.pod, one.direction, { state: 'unsupported', reason, bps: one.bps === 0n ? undefined : one.bps });
      return [];
    });
  }

  /** What holds for the pod: what its annotation says, or what it said before that could not be used. */
  #holding(pod: WishingPod, direction: Direction): { bps: bigint | undefined; complaint: string } {
    const wish = pod.wishes[direction];
    if (wish.kind === 'none') return { bps: undefined, complaint: '' };
    if (wish.kind === 'limit') return { bps: wish.bps, complaint: '' };
    const bps = this.#options.lastBps(pod.uid, direction);
    const problem = wish.kind === 'invalid' ? wish.problem : wish.why;
    return { bps, complaint: bps === undefined ? problem : `${problem}; the last valid limit stays` };
  }

  finish(): Desired {
    const { purpose } = this.#options;
    if (purpose === 'shadow') return this.#shadow();
    const egress = this.#limited.filter(({ direction }) => direction === 'egress');
    const ways = new Map<Limited, Way>();
    const uplinkWay = this.#uplinkWay(egress);
    for (const limited of egress) ways.set(limited, this.#neighbourOf(limited) ?? uplinkWay);
    const stamped = egress.filter((limited) => ways.get(limited)?.mode === 'stamp');
    const senders = stamped.map(({ bps }) => bps / 8n);
    for (const limited of this.#limited) {
      if (limited.direction === 'ingress') ways.set(limited, this.#ingressWay(limited, senders));
    }
    return this.#assemble(ways, stamped);
  }

  #uplinkWay(egress: readonly Limited[]): Way {
    for (const uplink of this.#view.uplinks) {
      const who = this.#view.neighbours.get(uplink.ifindex)?.egress;
      if (who !== undefined) return { mode: 'other', reason: `${who} on ${uplink.name} is in charge` };
    }
    const { way, holding } = wayThroughUplinks(
      this.#view,
      egress.map(({ bps }) => bps / 8n),
    );
    this.#holdingUplinks = holding;
    return way;
  }

  #ingressWay(limited: Limited, senders: readonly bigint[]): Way {
    const ifindexes = limited.interfaces.map(({ ifindex }) => ifindex);
    return this.#neighbourOf(limited) ?? wayThrough(this.#view, 'pod', ifindexes, [limited.bps / 8n, ...senders]);
  }

  #neighbourOf({ interfaces, direction }: Limited): Way | undefined {
    for (const { ifindex, name } of interfaces) {
      const who = this.#view.neighbours.get(ifindex)?.[direction];
      if (who !== undefined) return { mode: 'other', reason: `${who} on ${name} is in charge` };
    }
    return undefined;
  }

  #assemble(ways: ReadonlyMap<Limited, Way>, stamped: readonly Limited[]): Desired {
    const { abilities } = this.#view;
    this.#tellStandings(ways, stamped);
    const modes = new Map<Held, LimitMode>();
    for (const limited of this.#limited) {
      const { mode } = ways.get(limited)!;
      if (mode !== 'other') for (const one of this.#place([limited])) modes.set(one, mode);
    }
    const held = [...modes.keys()];
    const slots = held.map((one) => this.#use(one, modes.get(one)!));
    const shaped = held.filter((one) => modes.get(one) === 'htb');
    if (held.length === 0) return this.#desired([], new Map(), [], []);

    const entries = this.#entries(held);
    const hooks: Hook[] = [];
    if (shaped.some(({ direction }) => direction === 'egress')) {
      for (const { ifindex } of this.#holdingUplinks) hooks.push({ ifindex, role: 'leave' });
    }
    // A new link takes the kernel some 13 ms, so those without which a limit does not hold come first.
    for (const [ifindex, entry] of [...entries].sort(([, a], [, b]) => Number(isLimited(b)) - Number(isLimited(a)))) {
      hooks.push({ ifindex, role: 'from_pod' });
      if (entry.ingressSlot !== undefined) hooks.push({ ifindex, role: 'to_pod' });
    }
    const needs = abilities.fq ? this.#pacing(held.filter((one) => modes.get(one) === 'stamp')) : this.#shaping(shaped);
    return this.#desired(slots, entries, hooks, needs);
  }

  /** One for every pod's interface. */
  #entries(held: readonly Held[]): Map<number, InterfaceEntry> {
    const slotOf = new Map(held.map(({ pod, direction, slot }) => [`${pod.uid} ${direction}`, slot]));
    return new Map(
      this.#interfaces.map(({ pod, device }) => {
        const egressSlot = slotOf.get(`${pod.uid} egress`);
        const ingressSlot = slotOf.get(`${pod.uid} ingress`);
        const entry: InterfaceEntry = {
          ...(egressSlot === undefined ? {} : { egressSlot }),
          ...(ingressSlot === undefined ? {} : { ingressSlot }),
          ...(this.#view.headerless.has(device.ifindex) ? { noMac: true } : {}),
        };
        return [device.ifindex, entry];
      }),
    );
  }

  /**
   * fq where stamped packets may leave: the uplinks, and every pod's interface, for a pod next door is reached without
   * an uplink. An interface of which only the ingress limit needs it as well.
   */
  #pacing(stamped: readonly Held[]): DeviceNeed[] {
    const senders = stamped.filter(({ direction }) => direction === 'egress').map(({ bps }) => bps / 8n);
    const needs = new Map<number, DeviceNeed>();
    const pace = (ifindex: number, podRates: readonly bigint[]): void => {
      if (!needs.has(ifindex)) needs.set(ifindex, { ifindex, mode: 'pace', podRates });
    };
    const receivers = new Map<number, bigint>();
    for (const { direction, interfaces, bps } of stamped) {
      if (direction === 'ingress') for (const { ifindex } of interfaces) receivers.set(ifindex, bps / 8n);
    }
    for (const [ifindex, rate] of receivers) pace(ifindex, [rate, ...senders]);
    if (senders.length > 0) {
      for (const { queueing } of this.#holdingUplinks) for (const { ifindex } of queueing) pace(ifindex, senders);
      for (const { device } of this.#interfaces) pace(device.ifindex, senders);
    }
    return [...needs.values()];
  }

  #shaping(shaped: readonly Held[]): DeviceNeed[] {
    const pods = new Map<number, ShapedPod[]>();
    const add = (ifindex: number, { slot, bps }: Held): void => {
      const list = pods.get(ifindex) ?? [];
      list.push({ slot, rateBytesPerSecond: bps / 8n });
      pods.set(ifindex, list);
    };
    for (const one of shaped) {
      const devices = one.direction === 'egress' ? this.#holdingUplinks : one.interfaces;
      for (const { ifindex } of devices) add(ifindex, one);
    }
    return [...pods].map(([ifindex, list]) => ({ ifindex, mode: 'shape', pods: list }));
  }

  #use({ pod, direction, slot, bps }: Held, mode: LimitMode, shadow = false): SlotUse {
    const { pod: _, bulk, sparse } = podClasses(slot);
    const classes = mode === 'htb' ? { classes: { bulk, sparse } } : {};
    const config = slotConfig({ rateBps: bps, mode, shadow, cpus: this.#view.abilities.cpus, ...classes });
    return { uid: pod.uid, direction, slot, config };
  }

  #tellStandings(ways: ReadonlyMap<Limited, Way>, stamped: readonly Limited[]): void {
    const blind = stamped.length === 0 ? [] : this.#blindPods();
    const dry = this.#options.purpose === 'dry-run';
    for (const [limited, way] of ways) {
      const { pod, direction, bps, complaint } = limited;
      const others = blind.filter((name) => name.uid !== pod.uid).map(({ text }) => text);
      const unheeded =
        direction === 'egress' && way.mode === 'stamp' && others.length > 0
          ? `not held towards ${others.slice(0, 2).join(' and ')}${others.length > 2 ? ', ...' : ''}`
          : '';
      const reason = joinReasons(complaint, way.reason, unheeded);
      const inPart = way.mode !== 'other' && way.policedInPart === true;
      const state = way.mode === 'other' ? 'unsupported' : inPart ? 'policed' : MODE_STATE[way.mode];
      if (!dry || state === 'unsupported') {
        this.#stand(pod, direction, { state, reason, bps, ...(inPart ? { inPart } : {}) });
      } else {
        this.#stand(pod, direction, { state: 'dry-run', reason: joinReasons(`would be ${state}`, reason), bps });
      }
    }
  }

  /** Pods towards which departure times are not heeded: another's qdisc is on an interface of theirs. By name. */
  #blindPods(): { readonly uid: string; readonly text: string }[] {
    const devices = new Map(this.#view.devices.map((device) => [device.ifindex, device]));
    const texts = new Map<string, string>();
    for (const { pod, device } of this.#interfaces) {
      const state = devices.get(device.ifindex);
      const what = state === undefined ? undefined : obstacle(state);
      if (what !== undefined && !texts.has(pod.uid)) texts.set(pod.uid, `${pod.namespace}/${pod.name} (${what})`);
    }
    return [...texts].map(([uid, text]) => ({ uid, text })).sort((a, b) => (a.text < b.text ? -1 : 1));
  }

  /** Judged at the pods' own interfaces, where nothing is held back. */
  #shadow(): Desired {
    const held = this.#place(this.#limited);
    const slots = held.map((one) => this.#use(one, 'stamp', true));
    for (const { pod, direction, bps, complaint } of held) {
      this.#stand(pod, direction, { state: 'shadow', reason: complaint, bps: bps === 0n ? undefined : bps });
    }
    const limitedPods = new Set(held.map(({ pod }) => pod.uid));
    const entries = new Map(
      [...this.#entries(held)]
        .filter(([ifindex]) =>
          this.#interfaces.some(({ pod, device }) => device.ifindex === ifindex && limitedPods.has(pod.uid)),
        )
        .map(([ifindex, entry]) => [ifindex, { ...entry, keepStamps: true }] as const),
    );
    const hooks = [...entries.keys()].flatMap((ifindex): Hook[] => [
      { ifindex, role: 'from_pod' },
      { ifindex, role: 'to_pod' },
    ]);
    return this.#desired(slots, entries, hooks, []);
  }

  #stand(pod: WishingPod, direction: Direction, standing: Standing): void {
    const known = this.#standings.get(pod.uid) ?? {};
    known[direction] = standing;
    this.#standings.set(pod.uid, known);
  }

  #desired(
    slots: readonly SlotUse[],
    interfaces: ReadonlyMap<number, InterfaceEntry>,
    hooks: readonly Hook[],
    needs: readonly DeviceNeed[],
  ): Desired {
    if (this.#options.purpose === 'dry-run') {
      return { slots: [], interfaces: new Map(), hooks: [], needs: [], standings: this.#standings };
    }
    return { slots, interfaces, hooks, needs, standings: this.#standings };
  }
}
