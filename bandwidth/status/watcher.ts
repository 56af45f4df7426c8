import { dumpLinks, type Link, type NetlinkSocket } from '../../lib/netlink/index.ts';
import { DIRECTIONS, type Direction } from '../contract/bandwidth.ts';
import type { Desired, NodeView, SlotUse, Standing, WishingPod } from '../enforce/types.ts';
import type { LimitKernel } from '../kernel/limit-kernel.ts';
import { queueBucketStartNs, type SlotStat } from '../slot-stat.ts';
import type { Passage } from './bypass.ts';
import type { GateDevice } from './chain.ts';
import { Gate } from './gate.ts';
import { NO_SLOT } from '../bpf/layout.ts';
import { Meter } from './meter.ts';
import { standingNoticed } from './noticed.ts';
import { PastPod } from './past-pod.ts';
import type { LimitReport, LimitRow } from './report.ts';
import { UplinkGates } from './uplink-gates.ts';

/** Below it a limit is no use to TCP. `netloom limits --suggest` tells of it. */
const LEAST_SUGGESTED_BPS = 1_000_000;

interface Entry {
  readonly pod: WishingPod;
  readonly direction: Direction;
  readonly standing: Standing;
  readonly interfaces: readonly GateDevice[];
  readonly slot: number | undefined;
  readonly meter: Meter;
  /** At the pod's interfaces. */
  readonly atPod: Gate;
  /** Where HTB holds back what the pod sends. */
  readonly uplinks: readonly GateDevice[];
  readonly past: PastPod;
}

/** Reads the counters of every limit once a second, and tells of them. Bounded by the slots. */
export class Watcher {
  readonly #node: string;
  #entries = new Map<string, Entry>();
  #kernel: LimitKernel | undefined;
  /** Of all pods whose packets HTB holds back there. */
  #atUplinks = new UplinkGates([]);

  constructor(node: string) {
    this.#node = node;
  }

  useKernel(kernel: LimitKernel): void {
    this.#kernel = kernel;
  }

  /** What is in force from now on. Meters of what stays go on. */
  set(desired: Desired, { pods, places, uplinks }: Pick<NodeView, 'pods' | 'places' | 'uplinks'>): void {
    const seen = new Set(desired.hooks.flatMap(({ ifindex, role }) => (role === 'leave' ? [ifindex] : [])));
    const holding = uplinks.filter(({ ifindex }) => seen.has(ifindex));
    const useOf = new Map(desired.slots.map((use) => [keyOf(use), use]));
    const entries = new Map<string, Entry>();
    for (const pod of pods) {
      const standings = desired.standings.get(pod.uid);
      for (const direction of DIRECTIONS) {
        const standing = standings?.[direction];
        if (standing === undefined) continue;
        const key = keyOf({ uid: pod.uid, direction });
        const place = places.get(pod.uid);
        const use = useOf.get(key);
        const known = this.#entries.get(key);
        const goesOn = known !== undefined && known.slot === use?.slot ? known : undefined;
        const interfaces = place?.found === true ? place.interfaces : [];
        entries.set(key, {
          pod,
          direction,
          standing,
          slot: use?.slot,
          interfaces,
          meter: goesOn?.meter ?? new Meter(),
          atPod: goesOn?.atPod.isAt(interfaces)
            ? goesOn.atPod
            : new Gate(direction === 'egress' ? 'from_pod' : 'to_pod', interfaces),
          uplinks: use?.config.mode === 'htb' && direction === 'egress' && !use.config.shadow ? holding : [],
          past: goesOn?.past ?? new PastPod(),
        });
      }
    }
    this.#entries = entries;
    if (!this.#atUplinks.isAt(holding)) this.#atUplinks = new UplinkGates(holding);
  }

  /** How each direction of a pod stands, with what was noticed since. */
  *standings(): Generator<{ pod: WishingPod; direction: Direction; standing: Standing }> {
    for (const entry of this.#entries.values()) {
      yield { pod: entry.pod, direction: entry.direction, standing: standingOf(entry, this.#atUplinks) };
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
      const { atPod, interfaces, direction } = entry;
      const passed = passedAt(interfaces, direction === 'egress' ? 'rx' : 'tx', links);
      if (!atPod.add(passed, offered(stat), kernel.programId(atPod.role), socket)) inPlace = false;
      entry.past.add(stat, atPod.by !== undefined);
    }
    const { devices } = this.#atUplinks;
    if (devices.length > 0) {
      const met = offered(kernel.stat(NO_SLOT));
      const left = new Map(devices.map((device) => [device.ifindex, passedAt([device], 'tx', links)]));
      if (!this.#atUplinks.add(left, met, kernel.programId('leave'), socket)) inPlace = false;
    }
    return inPlace;
  }

  report(
    head: Omit<LimitReport, 'node' | 'rows' | 'kernel'> & { fq: boolean; hooks: 'tcx' | 'clsact' | null },
  ): LimitReport {
    const { fq, hooks, ...rest } = head;
    const rows = [...this.#entries.values()].map((entry) => rowOf(entry, standingOf(entry, this.#atUplinks)));
    rows.sort(
      (a, b) =>
        compare(a.namespace, b.namespace) ||
        compare(a.pod, b.pod) ||
        DIRECTIONS.indexOf(a.direction) - DIRECTIONS.indexOf(b.direction),
    );
    return { node: this.#node, ...rest, kernel: { fq, hooks }, rows };
  }
}

function passedAt(devices: readonly GateDevice[], way: 'rx' | 'tx', links: ReadonlyMap<number, Link>): Passage {
  let [packets, bytes] = [0n, 0n];
  for (const { ifindex } of devices) {
    const stats = links.get(ifindex)?.stats;
    if (stats === undefined) continue;
    packets += stats[`${way}Packets`];
    bytes += stats[`${way}Bytes`];
  }
  return { packets, bytes };
}

function offered({ offeredPackets: packets, offeredBytes: bytes }: SlotStat): Passage {
  return { packets, bytes };
}

function standingOf({ standing, atPod, uplinks, past }: Entry, atUplinks: UplinkGates): Standing {
  const { by, seeing } = atUplinks;
  return standingNoticed(standing, {
    atPod: atPod.by,
    atUplinks: uplinks.length === 0 ? undefined : { by, seeing: seeing.map(({ name }) => name) },
    isSeenAtUplinks: past.isSeenAtUplinks,
  });
}

function rowOf(entry: Entry, { state, reason, bps }: Standing): LimitRow {
  const { pod, direction, meter } = entry;
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
    suggestedBps: (meter.demandP99Bps() ?? 0) > 0 ? (meter.suggestedBps(LEAST_SUGGESTED_BPS) ?? null) : null,
    secondsSeen: meter.seconds,
  };
}

function keyOf({ uid, direction }: Pick<SlotUse, 'uid' | 'direction'>): string {
  return `${uid} ${direction}`;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
