import { chainPrograms } from '../../lib/bpf/index.ts';
import { dumpFilters, dumpLinks, type Link, type NetlinkSocket } from '../../lib/netlink/index.ts';
import { DIRECTIONS, type Direction } from '../contract/bandwidth.ts';
import type { Desired, SlotUse, Standing, WishingPod } from '../enforce/types.ts';
import type { PodPlace } from '../interfaces/types.ts';
import type { LimitKernel } from '../kernel/limit-kernel.ts';
import { queueBucketStartNs } from '../slot-stat.ts';
import { BypassWatch, type Passage } from './bypass.ts';
import { Meter } from './meter.ts';
import type { LimitReport, LimitRow } from './report.ts';

/** Below it a limit is no use to TCP. */
const LEAST_SUGGESTED_BPS = 1_000_000;
const UNKNOWN = 'another program';
/** Where programs of ours count what a pod sends and receives. */
const HOOK = { egress: 'ingress', ingress: 'egress' } as const;

interface Entry {
  readonly pod: WishingPod;
  readonly direction: Direction;
  readonly standing: Standing;
  readonly interfaces: readonly { readonly ifindex: number; readonly name: string }[];
  readonly slot: number | undefined;
  readonly meter: Meter;
  readonly bypass: BypassWatch;
  /** Who ended the chain before our program, when that was noticed. */
  bypassedBy: string | undefined;
}

/** Reads the counters of every limit once a second, and tells of them. Bounded by the slots. */
export class Watcher {
  readonly #node: string;
  #entries = new Map<string, Entry>();
  #kernel: LimitKernel | undefined;

  constructor(node: string) {
    this.#node = node;
  }

  useKernel(kernel: LimitKernel): void {
    this.#kernel = kernel;
  }

  /** What is in force from now on. Meters of what stays go on. */
  set(pods: readonly WishingPod[], desired: Desired, places: ReadonlyMap<string, PodPlace>): void {
    const slotOf = new Map(desired.slots.map((use) => [keyOf(use), use.slot]));
    const entries = new Map<string, Entry>();
    for (const pod of pods) {
      const standings = desired.standings.get(pod.uid);
      for (const direction of DIRECTIONS) {
        const standing = standings?.[direction];
        if (standing === undefined) continue;
        const key = keyOf({ uid: pod.uid, direction });
        const place = places.get(pod.uid);
        const slot = slotOf.get(key);
        const known = this.#entries.get(key);
        const goesOn = known !== undefined && known.slot === slot;
        entries.set(key, {
          pod,
          direction,
          standing,
          slot,
          interfaces: place?.found === true ? place.interfaces : [],
          meter: goesOn ? known.meter : new Meter(),
          bypass: goesOn ? known.bypass : new BypassWatch(),
          bypassedBy: goesOn ? known.bypassedBy : undefined,
        });
      }
    }
    this.#entries = entries;
  }

  /** How each direction of a pod stands, with what was noticed since. */
  *standings(): Generator<{ pod: WishingPod; direction: Direction; standing: Standing }> {
    for (const entry of this.#entries.values()) {
      yield { pod: entry.pod, direction: entry.direction, standing: standingOf(entry) };
    }
  }

  /** Reads the counters. @returns whether all programs of ours are where they should be, as far as that was noticed */
  sample(atMs: number, socket: NetlinkSocket): boolean {
    const kernel = this.#kernel;
    const measured = [...this.#entries.values()].filter(({ slot }) => slot !== undefined);
    if (kernel === undefined || measured.length === 0) return true;
    const links = new Map(dumpLinks(socket).map((link) => [link.ifindex, link]));
    let inPlace = true;
    for (const entry of measured) {
      const stat = kernel.stat(entry.slot!);
      entry.meter.add({ atMs, stat });
      entry.bypass.add(passedAt(entry, links), { packets: stat.offeredPackets, bytes: stat.offeredBytes });
      if (entry.bypass.bypassed) inPlace = this.#nameBypass(entry, kernel, socket) && inPlace;
      else entry.bypassedBy = undefined;
    }
    return inPlace;
  }

  /** @returns whether our program is where it should be */
  #nameBypass(entry: Entry, kernel: LimitKernel, socket: NetlinkSocket): boolean {
    const found = whoIsBefore(entry, kernel, socket);
    const wasNamed = entry.bypassedBy !== undefined && entry.bypassedBy !== UNKNOWN;
    if (found.name === undefined && (wasNamed || !found.inPlace)) {
      entry.bypass.clear();
      entry.bypassedBy = undefined;
    } else {
      entry.bypassedBy = found.name ?? UNKNOWN;
    }
    return found.inPlace;
  }

  report(
    head: Omit<LimitReport, 'node' | 'rows' | 'kernel'> & { fq: boolean; hooks: 'tcx' | 'clsact' | null },
  ): LimitReport {
    const { fq, hooks, ...rest } = head;
    const rows = [...this.#entries.values()].map(rowOf);
    rows.sort(
      (a, b) =>
        compare(a.namespace, b.namespace) ||
        compare(a.pod, b.pod) ||
        DIRECTIONS.indexOf(a.direction) - DIRECTIONS.indexOf(b.direction),
    );
    return { node: this.#node, ...rest, kernel: { fq, hooks }, rows };
  }
}

function passedAt({ interfaces, direction }: Entry, links: ReadonlyMap<number, Link>): Passage {
  let [packets, bytes] = [0n, 0n];
  for (const { ifindex } of interfaces) {
    const stats = links.get(ifindex)?.stats;
    if (stats === undefined) continue;
    packets += direction === 'egress' ? stats.rxPackets : stats.txPackets;
    bytes += direction === 'egress' ? stats.rxBytes : stats.txBytes;
  }
  return { packets, bytes };
}

/** The first of the programs that run before ours at an interface of the pod; undefined: nobody is seen there. */
function whoIsBefore(
  { interfaces, direction }: Entry,
  kernel: LimitKernel,
  socket: NetlinkSocket,
): { name: string | undefined; inPlace: boolean } {
  const point = HOOK[direction];
  const ours = kernel.programId(direction === 'egress' ? 'from_pod' : 'to_pod');
  let inPlace = true;
  for (const { ifindex, name } of interfaces) {
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

function standingOf({ standing, bypassedBy }: Entry): Standing {
  if (bypassedBy === undefined) return standing;
  return {
    state: standing.state === 'shadow' ? 'shadow' : 'unsupported',
    reason: `bypassed by ${bypassedBy}`,
    bps: standing.bps,
  };
}

function rowOf(entry: Entry): LimitRow {
  const { pod, direction, meter } = entry;
  const { state, reason, bps } = standingOf(entry);
  const stat = meter.latest;
  const { measuredBps, throttledShare } = meter.reading();
  return {
    namespace: pod.namespace,
    pod: pod.name,
    direction,
    configuredBps: bps === undefined ? null : Number(bps),
    measuredBps: measuredBps ?? null,
    state,
    reason,
    invalid: pod.wishes[direction].kind === 'invalid' || pod.wishes[direction].kind === 'unsupported',
    throttledShare: throttledShare ?? null,
    delayed: Number(stat?.delayed ?? 0n),
    marked: Number(stat?.marked ?? 0n),
    dropped: Number(stat?.droppedPackets ?? 0n),
    passed: Number(stat?.packets ?? 0n),
    passedBytes: Number(stat?.bytes ?? 0n),
    droppedBytes: Number(stat?.droppedBytes ?? 0n),
    queue: (stat?.queue ?? []).map((packets, i, all) => ({
      belowNs: i === all.length - 1 ? null : queueBucketStartNs(i + 1),
      packets: Number(packets),
    })),
    interfaces: entry.interfaces.map(({ name }) => name),
    demandP99Bps: meter.demandP99Bps() ?? null,
    suggestedBps: meter.suggestedBps(LEAST_SUGGESTED_BPS) ?? null,
    secondsSeen: meter.seconds,
  };
}

function keyOf({ uid, direction }: Pick<SlotUse, 'uid' | 'direction'>): string {
  return `${uid} ${direction}`;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
