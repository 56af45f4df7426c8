import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { TC_ROOT, dumpQdiscs, type NetlinkSocket } from '../../../lib/netlink/index.ts';
import { queueBucketStartNs, type SlotStat } from '../../../bandwidth/slot-stat.ts';
import type { Figures } from '../cases/case.ts';
import type { Limits, PodLimit } from './limits.ts';
import {
  PODS,
  SLOW_UPLINK,
  UPLINK,
  addressOf,
  buildNetkitPod,
  buildSlowLink,
  ifindexOf,
  type Place,
} from './topology.ts';

/** Arguments of a role of load.c; `netns` is where it runs. */
export interface Role {
  readonly kind: 'sink' | 'echo' | 'bulk' | 'udp' | 'rr' | 'txtime';
  readonly netns: Place;
  readonly [key: string]: string | number;
}

export interface Measured {
  /** In the order of the roles. */
  readonly told: readonly Told[];
  readonly seconds: number;
  /** CLOCK_MONOTONIC when the senders began. */
  readonly startNs: bigint;
  /** `fqDropped`: of every fq of the node, meanwhile; `wirePercent`: if it was asked for. */
  readonly figures: Readonly<Record<string, number>> & { readonly fqDropped: number };
}

/** What a role printed; see load.c. */
export interface Told {
  readonly role: string;
  readonly [key: string]: unknown;
}

/** Latencies of a role `rr`, microseconds. */
export interface Latencies {
  readonly count: number;
  readonly p50Us: number;
  readonly p90Us: number;
  readonly p99Us: number;
  readonly maxUs: number;
}

/** Mbit/s by pod. */
export type WantedLimits = Readonly<Partial<Record<Place, { readonly egress?: number; readonly ingress?: number }>>>;

export interface Window {
  /** Of the measurement, from the start of the senders. */
  readonly fromMs: number;
  readonly untilMs: number;
  readonly everyMs?: number;
  /** Of which device the bytes on the wire are measured, and as a share of which rate. */
  readonly wire?: { readonly device: string; readonly limitMbit: number };
  /** Done meanwhile, at these times from the start. */
  readonly meanwhile?: readonly { readonly atMs: number; readonly work: () => void | Promise<void> }[];
}

export interface Traffic {
  readonly from: Place;
  readonly to: Place;
  readonly family?: 4 | 6;
  readonly warmMs?: number;
  readonly ms?: number;
}

export interface TcpTraffic extends Traffic {
  readonly flows: number;
  readonly cc?: 'cubic' | 'bbr' | 'dctcp';
  readonly ecn?: boolean;
  /** Of the limit that holds, for `efficiencyPercent`. */
  readonly limitMbit: number;
  /** Request/response connections beside the bulk flows; 0: none. */
  readonly callers?: number;
  /** Between a response and the next request. */
  readonly pauseMs?: number;
}

export interface UdpTraffic extends Traffic {
  readonly offeredMbit: number;
  readonly segments?: number;
  /** Of the receiver, if it is another one than that of its place. */
  readonly address?: string;
  /** Payload of a datagram. */
  readonly size?: number;
  /** With departure times so far ahead (SO_TXTIME). */
  readonly aheadMs?: number;
}

export const FULL_FRAME = 1514;
/** Payload of a full TCP frame with timestamps. */
export const TCP_PAYLOAD = { 4: 1448, 6: 1428 } as const;
export const UDP_PAYLOAD = 1400;
export const UDP_FRAME = { 4: 1442, 6: 1462 } as const;
const REQUEST = 100;
const REQUEST_FRAME = { 4: REQUEST + 66, 6: REQUEST + 86 } as const;

const LOOK_EARLY_MS = 10;

let ports = 5000;

/** What cases measure with. */
export class Bench {
  readonly limits: Limits;
  readonly socket: NetlinkSocket;

  constructor(limits: Limits, socket: NetlinkSocket) {
    this.limits = limits;
    this.socket = socket;
  }

  /** The pods of the node with these limits, Mbit/s; pods that are not named have none. */
  async limit(limits: WantedLimits): Promise<void> {
    await this.limits.applyLimits(podsWith(limits));
  }

  /** Makes the place `far` reachable, and the agent see the new uplink. */
  useSlowLink(): void {
    if (buildSlowLink()) this.limits.forget();
  }

  /** Makes the place NETKIT_POD. */
  useNetkitPod(): void {
    if (buildNetkitPod()) this.limits.forget();
  }

  /** Of a device's root qdisc; undefined: the kernel lists none. */
  rootKind(device: string): string | undefined {
    const ifindex = ifindexOf(device);
    return dumpQdiscs(this.socket).find((qdisc) => qdisc.ifindex === ifindex && qdisc.parent === TC_ROOT)?.kind;
  }

  /** Bulk TCP flows, and request/response connections beside them, each in a process of its own. */
  async tcp(traffic: TcpTraffic): Promise<Figures> {
    const {
      from,
      to,
      family = 4,
      flows,
      cc = 'cubic',
      ecn = false,
      warmMs = 500,
      ms = 1000,
      callers = 1,
      pauseMs = 1,
    } = traffic;
    const [bulkPort, callPort] = [ports++, ports++];
    const client = { netns: from, to: addressOf(to, family), cc, ecn: ecn ? 1 : 2 };
    const roles: Role[] = [
      { kind: 'sink', netns: to, port: bulkPort, cc },
      { kind: 'echo', netns: to, port: callPort, size: REQUEST, cc },
      ...(callers > 0
        ? [
            {
              kind: 'rr',
              ...client,
              port: callPort,
              size: REQUEST,
              connections: callers,
              pause_us: 1000 * pauseMs,
            } as const,
          ]
        : []),
      { kind: 'bulk', ...client, port: bulkPort, flows },
    ];
    const wire = { device: lastDevice(to), limitMbit: traffic.limitMbit };
    const { told, seconds, figures } = await this.measure({ fromMs: warmMs, untilMs: warmMs + ms, wire }, roles);
    const [sink, bulk, calls] = [told[0]!, told.at(-1)!, callers > 0 ? told[2]! : undefined];
    const goodputMbit = mbit(Number(sink['bytes']), seconds);
    const latencies = calls as (Latencies & { readonly connections: readonly Latencies[] }) | undefined;
    const bulkWire = (goodputMbit * FULL_FRAME) / TCP_PAYLOAD[family];
    const callWire = mbit((latencies?.count ?? 0) * REQUEST_FRAME[family], seconds);
    return {
      goodputMbit,
      efficiencyPercent: (100 * (bulkWire + callWire)) / traffic.limitMbit,
      ...(latencies === undefined
        ? {}
        : {
            p50Ms: latencies.p50Us / 1000,
            p99Ms: latencies.p99Us / 1000,
            worstP99Ms: Math.max(...latencies.connections.map(({ p99Us }) => p99Us)) / 1000,
            calls: latencies.count,
          }),
      retransmits: Number(bulk['retransmits']),
      ...figures,
    };
  }

  /** Datagrams, of 1,400 bytes if nothing else is said, at a rate of payload. */
  async udp(traffic: UdpTraffic): Promise<Figures> {
    const {
      from,
      to,
      family = 4,
      warmMs = 500,
      ms = 1000,
      offeredMbit,
      segments = 1,
      size = UDP_PAYLOAD,
      aheadMs,
    } = traffic;
    const port = ports++;
    const { told, seconds, figures } = await this.measure({ fromMs: warmMs, untilMs: warmMs + ms }, [
      { kind: 'sink', netns: to, port, proto: 'udp' },
      {
        ...(aheadMs === undefined ? { kind: 'udp', segments } : { kind: 'txtime', ahead_ms: aheadMs }),
        netns: from,
        to: traffic.address ?? addressOf(to, family),
        port,
        kbps: offeredMbit * 1000,
        size,
      },
    ]);
    const [sink, sender] = [told[0]!, told[1]!];
    return {
      goodputMbit: mbit(Number(sink['bytes']), seconds),
      sent: Number(sender['sent']),
      refused: Number(sender['refused']),
      delivered: Number(sink['allDatagrams']),
      ...figures,
    };
  }

  /** Runs roles of load.c; resolves when all have ended. */
  async measure(window: Window, roles: readonly Role[]): Promise<Measured> {
    const before = this.#fqDrops();
    const looks: { bytes: bigint; ns: bigint }[] = [];
    const { device } = window.wire ?? {};
    const look = (): void => {
      if (device !== undefined) looks.push({ ns: process.hrtime.bigint(), bytes: this.wireBytes(device) });
    };
    // A little early: this process takes the guest's only CPU for a millisecond.
    const edges = device === undefined ? [] : [window.fromMs, window.untilMs];
    const steps = edges.map((atMs) => ({ atMs: atMs - LOOK_EARLY_MS, work: look }));
    const meanwhile = [...steps, ...(window.meanwhile ?? [])].sort((a, b) => a.atMs - b.atMs);
    const args = [window.fromMs, window.untilMs, ...(window.everyMs === undefined ? [] : [window.everyMs])].map(String);
    for (const { kind, ...options } of roles) {
      args.push('--', kind, ...Object.entries(options).map(([key, value]) => `${key}=${value}`));
    }
    const child = spawn('/bin/load', args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const told: Told[] = [];
    let work: Promise<void> | undefined;
    createInterface({ input: child.stdout }).on('line', (line) => {
      told.push(JSON.parse(line) as Told);
      if (told.length === 1) work = doMeanwhile(BigInt(told[0]!['startNs'] as string), meanwhile);
    });
    const code = await new Promise((done) => child.on('close', done));
    await work;
    if (code !== 0) throw new Error(`load ${args.join(' ')} ended with ${String(code)}`);
    const startNs = BigInt(told[0]!['startNs'] as string);
    const seconds = (window.untilMs - window.fromMs) / 1000;
    const figures = { ...wireShare(looks, window.wire?.limitMbit ?? 0), fqDropped: this.#fqDrops() - before };
    return { told: told.slice(1), seconds, startNs, figures };
  }

  /** Bytes that left a device by its root qdisc, segments with their headers. */
  wireBytes(device: string): bigint {
    const ifindex = ifindexOf(device);
    const root = dumpQdiscs(this.socket).find((qdisc) => qdisc.ifindex === ifindex && qdisc.parent === TC_ROOT);
    return root?.stats.bytes ?? 0n;
  }

  /** Those fq of the node that would fold forwarded packets into fewer flows than they can tell apart. */
  otherOrphanMasks(): number {
    return dumpQdiscs(this.socket).filter(({ options }) => options.kind === 'fq' && options.orphanMask !== 65_535)
      .length;
  }

  /** Packets that any fq of the node dropped, for whatever reason. */
  #fqDrops(): number {
    const all = dumpQdiscs(this.socket).filter(({ kind }) => kind === 'fq');
    return all.reduce((sum, { stats, fqStats }) => {
      const counted = Number(fqStats?.flowsPlimit ?? 0n) + Number(fqStats?.horizonDrops ?? 0n);
      return sum + Math.max(stats.drops, counted);
    }, 0);
  }
}

/** The pods of the node with these limits. */
export function podsWith(limits: WantedLimits): PodLimit[] {
  const names = new Set<Place>([...PODS.map((number) => `pod${number}` as const), ...(Object.keys(limits) as Place[])]);
  return [...names].map((name): PodLimit => {
    const { egress, ingress } = limits[name] ?? {};
    return {
      namespace: 'default',
      name,
      ips: [addressOf(name, 4), addressOf(name, 6)],
      ...(egress === undefined ? {} : { egress: bitsPerSecond(egress) }),
      ...(ingress === undefined ? {} : { ingress: bitsPerSecond(ingress) }),
    };
  });
}

/** The device of the node by which packets leave for a place. */
function lastDevice(to: Place): string {
  if (to === 'world') return UPLINK;
  return to === 'far' ? SLOW_UPLINK : to;
}

function wireShare(looks: readonly { bytes: bigint; ns: bigint }[], limitMbit: number): Record<string, number> {
  const [first, last] = [looks[0], looks.at(-1)];
  if (first === undefined || last === undefined || last.bytes === first.bytes) return {};
  const rate = mbit(Number(last.bytes - first.bytes), Number(last.ns - first.ns) / 1e9);
  return { wirePercent: (100 * rate) / limitMbit };
}

async function doMeanwhile(startNs: bigint, steps: NonNullable<Window['meanwhile']>): Promise<void> {
  for (const { atMs, work } of steps) {
    const wait = atMs - Number(process.hrtime.bigint() - startNs) / 1e6;
    if (wait > 0) await sleep(wait);
    await work();
  }
}

/** What a slot did between two looks. */
export function growth(before: SlotStat, after: SlotStat): Record<string, number> {
  const names = [
    'offeredPackets',
    'packets',
    'bytes',
    'delayed',
    'marked',
    'droppedPackets',
    'bypassed',
    'stampsCleared',
  ] as const;
  return Object.fromEntries(names.map((name) => [name, Number(after[name] - before[name])]));
}

/** The longest virtual queue that a packet found, at least, ms. */
export function longestQueueMs(before: SlotStat, after: SlotStat): number {
  const bucket = after.queue.findLastIndex((count, i) => count > before.queue[i]!);
  return bucket < 0 ? 0 : queueBucketStartNs(bucket) / 1e6;
}

export function mbit(bytes: number, seconds: number): number {
  return (bytes * 8) / seconds / 1e6;
}

export function bitsPerSecond(megabits: number): bigint {
  return BigInt(Math.round(megabits * 1e6));
}
