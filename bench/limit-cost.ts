/**
 * What the limit costs a packet, and what two CPUs make of it.
 *
 *   node bench/limit-cost.ts [--rounds N] [--repeat N]
 *
 * 1. ns for each run of the programs against an empty one, measured in turn (BPF_PROG_TEST_RUN, best of the rounds): one
 *    run is one packet, or one super-packet of up to 64 KB and more.
 * 2. Two pinned CPUs flood one limit of 10 and 1 Gbit/s with a queue of 4 s: how much more passes than rate and queue allow,
 *    for our program and for the formula that reads and writes back (Cilium's, restated). Median of 5.
 */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import type { BpfProgram } from '../lib/bpf/index.ts';
import { slotConfig, type SlotConfig } from '../bandwidth/slot-config.ts';
import { floodBaseline, floodLimit, type FloodResult } from '../test/kernel/limit-support/flood.ts';
import { udpFrame } from '../test/kernel/limit-support/frames.ts';
import {
  LOOPBACK,
  LimitObject,
  encodeContext,
  monotonicNs,
  u32,
  type Context,
  type Hook,
} from '../test/kernel/limit-support/limit-object.ts';

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '20' }, repeat: { type: 'string', default: '100000' } },
});
const ROUNDS = Number(values.rounds);
const REPEAT = Number(values.repeat);
const FLOODS = 5;
/** On each CPU: more than 10 Gbit/s and the queue let pass. */
const FLOOD_RUNS = 3_000_000;
const SLOT = 1;
const POD = 50;
const ecnFrame = udpFrame(1514, { tos: 2 });
const SUPER_PACKET: Context = { gsoSegs: 44, gsoSize: 1448, wireLen: 65_000 };

/** Programs of limit-probes.bpf.c. */
type Preparation = 'out_of_pod' | 'of_slot_1';

interface Row {
  readonly name: string;
  readonly hook: Hook;
  readonly config?: SlotConfig;
  readonly context?: Context;
  /** What puts the packet right before each run; its own cost is not counted. */
  readonly after?: Preparation;
  /** Queue at the start; the longest that a u32 of ns can hold back. */
  readonly aheadNs?: bigint;
}

const roomy = { ceNs: 0, dropNs: 4_200_000_000, hardNs: 4_200_000_000, maxAheadNs: 8_000_000_000n };
const limited = (mode: SlotConfig['mode'], change: Partial<SlotConfig> = {}): SlotConfig => ({
  ...slotConfig({ rateBps: 10_000_000_000n, mode, cpus: 2, classes: { bulk: 0x10010, sparse: 0x10011 } }),
  ...change,
});
const ROWS: readonly Row[] = [
  { name: 'from_pod: no limit', hook: 'from_pod' },
  { name: 'from_pod: counted only', hook: 'from_pod', config: limited('stamp', { rateBytesPerSecond: 0n }) },
  {
    name: 'from_pod: limit far above',
    hook: 'from_pod',
    config: limited('stamp', { rateBytesPerSecond: 10n ** 14n }),
  },
  {
    name: 'from_pod: queued, stamped',
    hook: 'from_pod',
    config: limited('stamp', { ...roomy, ecn: false }),
    aheadNs: 1n,
  },
  { name: 'from_pod: queued, stamped, ECN', hook: 'from_pod', config: limited('stamp', roomy), aheadNs: 1n },
  {
    name: 'from_pod: the same, of a super-packet',
    hook: 'from_pod',
    config: limited('stamp', { ...roomy, rateBytesPerSecond: 50n * 10n ** 9n }),
    context: { ...SUPER_PACKET, wireLen: 0 },
    aheadNs: 1n,
  },
  {
    name: 'from_pod: dropping',
    hook: 'from_pod',
    config: limited('stamp', { dropNs: 1, hardNs: 1 }),
    aheadNs: 1_000_000n,
  },
  { name: 'to_pod: queued, stamped, ECN', hook: 'to_pod', config: limited('stamp', roomy), aheadNs: 1n },
  {
    name: 'from_pod: backstop of HTB',
    hook: 'from_pod',
    config: limited('htb', { policeNs: 4_200_000_000, policeMaxAheadNs: 8_000_000_000n }),
    after: 'out_of_pod',
    aheadNs: 1n,
  },
  {
    name: 'from_pod: backstop of HTB, dropping',
    hook: 'from_pod',
    config: limited('htb', { policeNs: 1 }),
    aheadNs: 1_000_000n,
  },
  {
    name: 'leave: packet of no limited pod',
    hook: 'leave',
    after: 'out_of_pod',
  },
  {
    name: 'leave: queue of HTB, ECN',
    hook: 'leave',
    config: limited('htb', roomy),
    context: { ingressIfindex: POD },
    after: 'of_slot_1',
    aheadNs: 1n,
  },
  {
    name: 'from_pod: shadow, ECN',
    hook: 'from_pod',
    config: limited('stamp', { ...roomy, shadow: true }),
    aheadNs: 1n,
  },
];

const limit = await LimitObject.load();
const empty = limit.probes.program('empty');

function costOf(row: Row): number {
  const slots = row.config === undefined ? {} : { egressSlot: SLOT, ingressSlot: SLOT };
  limit.setInterface(LOOPBACK, slots);
  limit.setInterface(POD, slots);
  if (row.config !== undefined) limit.setConfig(SLOT, row.config);
  limit.setFlows(SLOT, []);
  const queueNs = monotonicNs() + (row.aheadNs ?? 0n) * 1_000n;
  limit.setClock(SLOT, { limitNs: queueNs, sparseNs: 0n, policeNs: queueNs });
  const program = limit.object.program(row.hook);
  return row.after === undefined ? run(program, row.context) : behind(row.after, program, row.context);
}

function behind(preparation: Preparation, program: BpfProgram, context?: Context): number {
  limit.probes.map('under_test').update(u32(0), u32(program.fd));
  return run(limit.probes.program(preparation), context);
}

function run(program: BpfProgram, context: Context = {}): number {
  return program.testRun(ecnFrame, REPEAT, encodeContext(context)).durationNs;
}

const least = new Map<string, number>();
const note = (name: string, ns: number): unknown => least.set(name, Math.min(least.get(name) ?? Infinity, ns));
for (let round = 0; round < ROUNDS; round++) {
  for (const row of ROWS) {
    note('', run(empty));
    if (row.after !== undefined) note(row.after, behind(row.after, empty));
    note(row.name, costOf(row));
  }
}
limit.close();
const emptyNs = least.get('')!;
const above = new Map(ROWS.map(({ name, after = '' }) => [name, least.get(name)! - least.get(after)!]));
console.table(
  Object.fromEntries(
    [['empty program', 0] as const, ...above].map(([name, ns]) => [
      name,
      { 'ns a run': emptyNs + ns, 'above empty': ns },
    ]),
  ),
);

const cpus = availableParallelism() < 2 ? [0] : [0, 1];
if (cpus.length < 2) console.log('one CPU: the overshoot of two at once cannot be shown here');
const overshoots: Record<string, Record<'ours' | 'baseline', { overshoot: number; lost: number; ns: number }>> = {};
for (const [name, rateBps] of [
  ['10 Gbit/s', 10_000_000_000n],
  ['1 Gbit/s', 1_000_000_000n],
] as const) {
  const [ours, baseline]: [FloodResult[], FloodResult[]] = [[], []];
  for (let round = 0; round < FLOODS; round++) {
    ours.push(await floodLimit(rateBps, cpus, FLOOD_RUNS));
    baseline.push(await floodBaseline(rateBps, cpus, FLOOD_RUNS));
  }
  overshoots[name] = { ours: medians(ours), baseline: medians(baseline) };
}
console.table(
  Object.fromEntries(
    Object.entries(overshoots).flatMap(([name, { ours, baseline }]) =>
      Object.entries({ ours, 'read, moved, written back': baseline }).map(([program, each]) => [
        `two CPUs, ${name}: ${program}`,
        {
          'passed without charge %': percent(each.lost),
          'over rate and queue %': percent(each.overshoot),
          'ns a run': each.ns,
        },
      ]),
    ),
  ),
);
console.log(
  'passed without charge: the share by which a limit with a standing queue is exceeded for good; below 0 is rounding',
);
console.log('over rate and queue: far below 0 where other load kept the two CPUs from reaching the limit at all');
const worst = Math.max(...above.values());
console.log(
  JSON.stringify({
    name: 'limit-cost',
    figures: {
      emptyNs,
      everythingAboveEmptyNs: above.get('from_pod: queued, stamped, ECN'),
      worstAboveEmptyNs: worst,
      overshootPercent10G: percent(overshoots['10 Gbit/s']!.ours.lost),
      overshootPercent1G: percent(overshoots['1 Gbit/s']!.ours.lost),
    },
    baseline: {
      name: "Cilium's formula restated: time read, moved, written back",
      overshootPercent10G: percent(overshoots['10 Gbit/s']!.baseline.lost),
      overshootPercent1G: percent(overshoots['1 Gbit/s']!.baseline.lost),
    },
    ratio: Number((least.get('from_pod: queued, stamped, ECN')! / emptyNs).toPrecision(3)),
  }),
);

function medians(results: readonly FloodResult[]): { overshoot: number; lost: number; ns: number } {
  return {
    overshoot: median(results.map(({ overshoot }) => overshoot)),
    lost: median(results.map(({ chargeLost }) => chargeLost)),
    ns: median(results.map(({ nsPerPacket }) => nsPerPacket)),
  };
}

function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)]!;
}

function percent(share: number): number {
  return Number((100 * share).toFixed(4));
}
