import { chainPrograms } from '../../lib/bpf/index.ts';
import { dumpFilters, dumpLinks, type NetlinkSocket } from '../../lib/netlink/index.ts';
import { DIRECTIONS, type Direction } from '../contract/bandwidth.ts';
import type { Desired, SlotUse, Standing, WishingPod } from '../enforce/types.ts';
import type { PodPlace } from '../interfaces/types.ts';
import type { LimitKernel } from '../kernel/limit-kernel.ts';
import { queueBucketStartNs } from '../slot-stat.ts';
import { BypassWatch } from './bypass.ts';
import { Meter } from './meter.ts';
import type { LimitReport, LimitRow } from './report.ts';

/** Below it a limit is no use to TCP. */
const LEAST_SUGGESTED_BPS = 1_000_000;
/** TCX_NEXT and cls_bpf's own: who ends the chain before us is named. */
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

  sample(atMs: number, socket: NetlinkSocket): void {
    const kernel = this.#kernel;
    if (kernel === undefined) return;
    const measured = [...this.#entries.values()].filter(({ slot }) => slot !== undefined);
    if (measured.length === 0) return;
    const links = new Map(dumpLinks(socket).map((link) => [link.ifindex, link]));
    for (const entry of measured) {
      const stat = kernel.stat(entry.slot!);
      entry.meter.add({ atMs, stat });
      let packets = 0n;
      for (const { ifindex } of entry.interfaces) {
        const stats = links.get(ifindex)?.stats;
        packets += (entry.direction === 'egress' ? stats?.rxPackets : stats?.txPackets) ?? 0n;
      }
      entry.bypass.add(packets, stat.offeredPackets);
      entry.bypassedBy = entry.bypass.bypassed ? (entry.bypassedBy ?? this.#whoIsBefore(entry, socket)) : undefined;
    }
  }

  /** The first of the programs that run before ours at the interface. */
  #whoIsBefore({ interfaces, direction }: Entry, socket: NetlinkSocket): string {
    const point = HOOK[direction];
    const ours = this.#kernel!.programId(direction === 'egress' ? 'from_pod' : 'to_pod');
    for (const { ifindex, name } of interfaces) {
      const chain = chainPrograms(ifindex, point) ?? [];
      const at = chain.findIndex(({ id }) => id === ours);
      const before = at < 0 ? chain : chain.slice(0, at);
      const [first] = before;
      if (first !== undefined) return `${first.name ?? `program ${first.id}`} (tcx ${point} of ${name})`;
      const filters = dumpFilters(socket, ifindex, point);
      const place = filters.findIndex(({ bpf }) => bpf?.programId === ours);
      const [filter] = place < 0 ? filters : filters.slice(0, place);
      if (filter !== undefined)
        return `${filter.bpf?.name ?? filter.kind} (filter ${filter.priority} at ${point} of ${name})`;
    }
    return 'another program';
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

function rowOf(entry: Entry): LimitRow {
  const { pod, direction, standing, meter, bypassedBy } = entry;
  const stat = meter.latest;
  const { measuredBps, throttledShare } = meter.reading();
  const bypassed = bypassedBy !== undefined;
  return {
    namespace: pod.namespace,
    pod: pod.name,
    direction,
    configuredBps: standing.bps === undefined ? null : Number(standing.bps),
    measuredBps: measuredBps ?? null,
    state: bypassed && standing.state !== 'shadow' ? 'unsupported' : standing.state,
    reason: bypassed ? `bypassed by ${bypassedBy}` : standing.reason,
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
