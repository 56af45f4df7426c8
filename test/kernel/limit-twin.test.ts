import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CARRIED_JUDGED, LIMIT_FLOWS, SLOT_END } from '../../bandwidth/bpf/layout.ts';
import {
  judge,
  emptyQueue,
  judgeAtUplink,
  mayLeavePod,
  passesExempt,
  queueBucket,
  type QueueState,
  type Verdict,
} from '../../bandwidth/model/virtual-queue.ts';
import { slotConfig, type SlotConfig } from '../../bandwidth/slot-config.ts';
import type { SlotStat } from '../../bandwidth/slot-stat.ts';
import { buildBpf } from '../support/bpf.ts';
import { ETHERTYPE, PROTOCOL, ethernet, ipv4, udpFrame } from './limit-support/frames.ts';
import { DROP, LOOPBACK, LimitObject, NEXT, monotonicNs, type Hook } from './limit-support/limit-object.ts';

const MS = 1_000_000n;
const U64_MAX = (1n << 64n) - 1n;
const SLOT = 1;
const FLOWS = 6;
const PRIORITY_BEFORE = 3;

let limit: LimitObject;
const hashes = new Map<string, number>();

beforeAll(async () => {
  buildBpf();
  limit = await LimitObject.load();
  limit.setInterface(LOOPBACK, { egressSlot: SLOT, ingressSlot: SLOT });
});
afterAll(() => limit.close());

/** One packet, and what is done to the clocks before it. Offsets are from the time at which it is sent. */
interface Step {
  readonly flow: number;
  readonly length: number;
  readonly tos: number;
  /** IGMP instead of UDP: exempt up to 256 bytes. */
  readonly igmp: boolean;
  /** The packet's own departure time. */
  readonly own: bigint | undefined;
  readonly clock: Readonly<Record<'limit' | 'sparse' | 'police' | 'exempt', bigint>> | undefined;
  readonly flowDeparture: bigint | undefined;
}

const offset = fc.oneof(
  fc.bigInt(-50n * MS, 90n * MS),
  fc.bigInt(0n, 3n * MS),
  fc.constantFrom(-(1n << 62n), -1n, 0n, 1n, 20n * MS, 9_000n * MS),
);

const step: fc.Arbitrary<Step> = fc.record({
  flow: fc.integer({ min: 0, max: FLOWS - 1 }),
  length: fc.oneof(fc.integer({ min: 60, max: 300 }), fc.integer({ min: 60, max: 1514 })),
  tos: fc.integer({ min: 0, max: 3 }),
  igmp: fc.integer({ min: 0, max: 3 }).map((one) => one === 0),
  own: fc.option(fc.oneof(offset, fc.constant(8_000n * MS)), { nil: undefined, freq: 2 }),
  clock: fc.option(
    fc.record({
      limit: fc.oneof(offset, fc.constant(1n << 63n)),
      sparse: offset,
      exempt: offset,
      police: fc.oneof(offset, fc.bigInt(240n * MS, 260n * MS), fc.constant(1n << 63n)),
    }),
    { nil: undefined },
  ),
  flowDeparture: fc.option(offset, { nil: undefined, freq: 1 }),
});

const rateBps = fc.oneof(
  fc.constantFrom(64_000n, 10n ** 6n, 10n ** 7n, 10n ** 8n, 10n ** 9n, 10n ** 10n, 10n ** 15n),
  fc.bigInt(1_000n, 10n ** 15n),
);

const config = (modes: readonly SlotConfig['mode'][]): fc.Arbitrary<SlotConfig> =>
  fc
    .record({
      rateBps,
      mode: fc.constantFrom(...modes),
      shadow: fc.boolean(),
      ecn: fc.boolean(),
      thresholds: fc.option(
        fc
          .tuple(...[1, 2, 3].map(() => fc.integer({ min: 0, max: 100_000_000 })))
          .map((values) => [...values].sort((a, b) => a - b)),
        { nil: undefined },
      ),
      smallBytes: fc.constantFrom(0, 60, 256, 1600),
      sparseShift: fc.integer({ min: 0, max: 4 }),
      sparseCreditNs: fc.constantFrom(0, 2_000_000, 50_000_000),
    })
    .map(({ rateBps: bps, mode, shadow, thresholds, ...rest }) => ({
      ...slotConfig({ rateBps: bps, mode, shadow, cpus: 2, classes: { bulk: 0x4e4c_0010, sparse: 0x4e4c_0011 } }),
      ...(thresholds && {
        ceNs: thresholds[0]!,
        dropNs: thresholds[1]!,
        hardNs: thresholds[2]!,
        policeNs: thresholds[2]!,
      }),
      ...rest,
    }));

function frameOf({ flow, length, tos, igmp }: Step): Uint8Array {
  if (igmp) {
    return ethernet(ETHERTYPE.ipv4, ipv4({ tos, ttl: 1, protocol: PROTOCOL.igmp }, Buffer.alloc(length - 34)));
  }
  return udpFrame(length, { tos }, 5000, 4000 + flow);
}

const isExempt = ({ igmp, length }: Step): boolean => igmp && length <= 256;

function hashOf(frame: Uint8Array, { flow, igmp }: Step): number {
  const key = igmp ? 'igmp' : String(flow);
  const known = hashes.get(key) ?? limit.hashOf(frame);
  hashes.set(key, known);
  return known;
}

function clampU64(value: bigint): bigint {
  return value < 0n ? 0n : value > U64_MAX ? U64_MAX : value;
}

/** What is to be found in the packet afterwards. */
function expectedPacket(
  hook: Hook,
  cfg: SlotConfig,
  verdict: Verdict,
  own: bigint,
  nowNs: bigint,
): { tstamp: bigint; priority: number; cleared: bigint } {
  const untouched = { tstamp: own, priority: PRIORITY_BEFORE, cleared: 0n };
  if (cfg.shadow || verdict.kind === 'drop') return untouched;
  const priority =
    cfg.mode === 'htb' ? (verdict.kind === 'bypass' ? cfg.sparsePriority : cfg.bulkPriority) : PRIORITY_BEFORE;
  if (verdict.kind === 'delay' && cfg.mode === 'stamp') {
    const tstamp = hook === 'from_pod' || own < verdict.departureNs ? verdict.departureNs : own;
    return { tstamp, priority, cleared: hook === 'from_pod' && own > nowNs ? 1n : 0n };
  }
  const forbidden = own !== 0n && (own > nowNs || own < BigInt(SLOT_END));
  if (hook === 'from_pod' && forbidden) return { tstamp: 0n, priority, cleared: 1n };
  return { ...untouched, priority };
}

function expectedStat(
  before: SlotStat,
  length: number,
  verdict: Verdict,
  cleared: bigint,
  reset: boolean,
): Partial<SlotStat> {
  const passed = verdict.kind !== 'drop';
  const one = (condition: boolean): bigint => (condition ? 1n : 0n);
  const bytes = BigInt(length);
  return {
    offeredPackets: before.offeredPackets + 1n,
    offeredBytes: before.offeredBytes + bytes,
    packets: before.packets + one(passed),
    bytes: before.bytes + (passed ? bytes : 0n),
    delayed: before.delayed + one(verdict.kind === 'delay'),
    marked: before.marked + one((verdict.kind === 'delay' || verdict.kind === 'pass') && verdict.marked),
    droppedPackets: before.droppedPackets + one(!passed),
    droppedBytes: before.droppedBytes + (passed ? 0n : bytes),
    bypassed: before.bypassed + one(verdict.kind === 'bypass'),
    exemptPackets: before.exemptPackets,
    stampsCleared: before.stampsCleared + cleared,
    clockResets: before.clockResets + one(reset),
    throttledNs: before.throttledNs + (verdict.kind === 'delay' ? verdict.throttledNs : 0n),
    queue: before.queue.map((count, i) => count + one(i === queueBucket(verdict.aheadNs))),
  };
}

/** Puts clocks and flows where the step wants them. */
function arrange(state: QueueState, { clock, flowDeparture }: Step, hash: number, sentNs: bigint): void {
  if (clock !== undefined) {
    state.limitNs = clampU64(sentNs + clock.limit);
    state.sparseNs = clampU64(sentNs + clock.sparse);
    state.policeNs = clampU64(sentNs + clock.police);
    state.exemptNs = clampU64(sentNs + clock.exempt);
    limit.setClock(SLOT, state);
  }
  if (flowDeparture !== undefined) {
    state.flows.set(hash % LIMIT_FLOWS, { hash, departureNs: clampU64(sentNs + flowDeparture) });
    limit.setFlows(SLOT, [...state.flows.values()]);
  }
}

/**
 * Whether the share of exempt packets lets this one pass. The program reads the time for that, and anew to judge what it
 * refuses: only the latter is told, so a share that comes to be free in between was refused.
 */
function exemptPasses(
  cfg: SlotConfig,
  state: QueueState,
  arrival: { readonly nowNs: bigint; readonly wireBytes: number },
  charged: 'limit' | 'police',
  found: { readonly refused: boolean; readonly sinceNs: bigint },
): boolean {
  const { exemptNs } = state;
  const isFreedMeanwhile = found.refused && exemptNs > found.sinceNs && exemptNs <= arrival.nowNs;
  return passesExempt(cfg, state, { ...arrival, nowNs: isFreedMeanwhile ? exemptNs - 1n : arrival.nowNs }, charged);
}

const notNegative = (value: bigint): bigint => (value < 0n ? 0n : value);
const clocksOf = ({ limitNs, sparseNs, policeNs, exemptNs }: QueueState): unknown => ({
  limitNs,
  sparseNs,
  policeNs,
  exemptNs,
});

/** Of a packet that passes unjudged nothing else is counted; a departure time that the pod must not set is taken away. */
function expectExempt(
  hook: Hook,
  cfg: SlotConfig,
  own: bigint,
  outcome: { retval: number; tstamp: bigint },
  before: SlotStat,
  length: number,
): void {
  const after = limit.stat(SLOT);
  const mayClear = hook === 'from_pod' && !cfg.shadow && own !== 0n;
  // Departure times are looked at a moment later than `lastNs`: one that was over by then stays.
  const isOverMeanwhile = own > after.lastNs && own < monotonicNs() && outcome.tstamp === own;
  const cleared = mayClear && !isOverMeanwhile && (own > after.lastNs || own < BigInt(SLOT_END));
  expect(outcome).toMatchObject({ retval: NEXT, tstamp: cleared ? 0n : own });
  expect(after).toEqual({
    ...before,
    offeredPackets: before.offeredPackets + 1n,
    offeredBytes: before.offeredBytes + BigInt(length),
    exemptPackets: before.exemptPackets + 1n,
    exemptBytes: before.exemptBytes + BigInt(length),
    stampsCleared: before.stampsCleared + (cleared ? 1n : 0n),
    // Of the CPU that ran it, which need not be the one before.
    lastNs: after.lastNs,
    lastRandom: after.lastRandom,
  });
}

/** Runs the packets through the program and through the twin, and compares after each. */
function compare(hook: Hook, cfg: SlotConfig, steps: readonly Step[]): Set<string> {
  const kinds = new Set<string>();
  const state = emptyQueue();
  limit.setConfig(SLOT, cfg);
  limit.setClock(SLOT, state);
  limit.setFlows(SLOT, []);
  for (const current of steps) {
    const frame = frameOf(current);
    const hash = hashOf(frame, current);
    const sentNs = monotonicNs();
    arrange(state, current, hash, sentNs);
    const own = current.own === undefined ? 0n : clampU64(sentNs + current.own);
    const context = { priority: PRIORITY_BEFORE };
    const before = limit.stat(SLOT);
    const limitBefore = state.limitNs;

    const outcome = own === 0n ? limit.run(hook, frame, context) : limit.runStamped(hook, frame, own, context);
    const after = limit.stat(SLOT);
    const arrival = { nowNs: after.lastNs, wireBytes: frame.length, hash, ecn: current.tos !== 0 };
    if (isExempt(current)) {
      const refused = after.exemptPackets === before.exemptPackets;
      if (exemptPasses(cfg, state, arrival, 'limit', { refused, sinceNs: sentNs })) {
        expectExempt(hook, cfg, own, outcome, before, frame.length);
        expect(limit.clock(SLOT)).toEqual(clocksOf(state));
        kinds.add('exempt');
        continue;
      }
      kinds.add('exempt no more');
    }
    const verdict = judge(cfg, state, { ...arrival, random: after.lastRandom });

    const dropped = verdict.kind === 'drop';
    expect(outcome.retval).toBe(dropped && !cfg.shadow ? DROP : NEXT);
    const packet = expectedPacket(hook, cfg, verdict, own, after.lastNs);
    expect({ tstamp: outcome.tstamp, priority: outcome.priority }).toEqual({
      tstamp: packet.tstamp,
      priority: packet.priority,
    });
    const marked = (verdict.kind === 'delay' || verdict.kind === 'pass') && verdict.marked;
    expect(outcome.frame[15]! & 3).toBe(marked && !cfg.shadow ? 3 : current.tos);
    expect(limit.clock(SLOT)).toEqual(clocksOf(state));
    const reset = limitBefore > after.lastNs + cfg.maxAheadNs;
    expect(after).toMatchObject(expectedStat(before, frame.length, verdict, packet.cleared, reset));
    kinds.add(verdict.kind);
    if (marked) kinds.add('marked');
    if (reset) kinds.add('reset');
  }
  expect(limit.flows(SLOT)).toEqual(new Map([...state.flows].filter(([, { departureNs }]) => departureNs !== 0n)));
  return kinds;
}

/** The same where HTB holds packets back: out of the pod, and what passes there to the uplink. */
function compareToUplink(cfg: SlotConfig, steps: readonly Step[]): Set<string> {
  const met = new Set<string>();
  const state = emptyQueue();
  let throttledNs = 0n;
  limit.clearStat(SLOT);
  limit.setConfig(SLOT, cfg);
  limit.setClock(SLOT, state);
  limit.setFlows(SLOT, []);
  for (const current of steps) {
    const frame = frameOf(current);
    const hash = hashOf(frame, current);
    const bytes = BigInt(frame.length);
    const one = (condition: boolean): bigint => (condition ? 1n : 0n);
    const sentNs = monotonicNs();
    arrange(state, current, hash, sentNs);
    const own = current.own === undefined ? 0n : clampU64(sentNs + current.own);
    const before = limit.stat(SLOT);
    const policeBefore = state.policeNs;

    const outcome = own === 0n ? limit.run('from_pod', frame) : limit.runStamped('from_pod', frame, own);
    const atPod = limit.stat(SLOT);
    if (isExempt(current)) {
      const refused = atPod.exemptPackets === before.exemptPackets;
      const arrival = { nowNs: atPod.lastNs, wireBytes: frame.length };
      if (exemptPasses(cfg, state, arrival, 'police', { refused, sinceNs: sentNs })) {
        expectExempt('from_pod', cfg, own, outcome, before, frame.length);
        expect(limit.clock(SLOT)).toEqual(clocksOf(state));
        const left = limit.run('leave', frame, { ingressIfindex: LOOPBACK, priority: PRIORITY_BEFORE });
        expect(left).toMatchObject({ retval: NEXT, tstamp: 0n, priority: PRIORITY_BEFORE });
        expect(limit.stat(SLOT)).toEqual(atPod);
        met.add('exempt');
        continue;
      }
      met.add('exempt no more');
    }
    const {
      passes,
      aheadNs,
      throttledNs: someNs,
    } = mayLeavePod(cfg, state, { nowNs: atPod.lastNs, wireBytes: frame.length });
    expect(outcome).toMatchObject(passes ? { retval: NEXT, tstamp: BigInt(SLOT) } : { retval: DROP, tstamp: own });
    expect(limit.clock(SLOT)).toEqual(clocksOf(state));
    throttledNs += someNs;
    const reset = policeBefore > atPod.lastNs + cfg.policeMaxAheadNs;
    expect(atPod).toMatchObject({
      offeredPackets: before.offeredPackets + 1n,
      packets: before.packets + one(passes),
      bytes: before.bytes + (passes ? bytes : 0n),
      droppedPackets: before.droppedPackets + one(!passes),
      droppedBytes: before.droppedBytes + (passes ? 0n : bytes),
      throttledNs: notNegative(throttledNs),
      clockResets: before.clockResets + one(reset),
      delayed: before.delayed,
      queue: before.queue,
    });
    if (!passes) {
      met.add('dropped at the pod');
      continue;
    }
    if (aheadNs > cfg.policeNs) met.add('bypassed at the pod');
    if (reset) met.add('reset at the pod');

    const left = limit.runStamped('leave', frame, BigInt(SLOT), { priority: PRIORITY_BEFORE });
    const after = limit.stat(SLOT);
    const arrival = { nowNs: after.lastNs, wireBytes: frame.length, hash, ecn: current.tos !== 0 };
    const verdict = judgeAtUplink(cfg, state, { ...arrival, random: after.lastRandom });
    const dropped = verdict.kind === 'drop';
    expect(left).toMatchObject({
      retval: dropped ? DROP : NEXT,
      tstamp: BigInt(dropped ? SLOT : CARRIED_JUDGED),
      priority: dropped ? PRIORITY_BEFORE : verdict.kind === 'bypass' ? cfg.sparsePriority : cfg.bulkPriority,
    });
    expect(limit.clock(SLOT)).toEqual(clocksOf(state));
    const durationNs = (bytes * 1_000_000_000n + cfg.rateBytesPerSecond - 1n) / cfg.rateBytesPerSecond;
    if (dropped) throttledNs -= verdict.aheadNs < durationNs ? verdict.aheadNs : durationNs;
    expect(after).toMatchObject({
      offeredPackets: atPod.offeredPackets,
      packets: dropped ? before.packets : atPod.packets,
      bytes: dropped ? before.bytes : atPod.bytes,
      droppedPackets: atPod.droppedPackets + one(dropped),
      droppedBytes: atPod.droppedBytes + (dropped ? bytes : 0n),
      droppedAtUplinks: atPod.droppedAtUplinks + one(dropped),
      delayed: before.delayed + one(verdict.kind === 'delay'),
      bypassed: before.bypassed + one(verdict.kind === 'bypass'),
      throttledNs: notNegative(throttledNs),
    });
    // Whichever of several uplinks comes first has judged it.
    if (!dropped) {
      const again = limit.runStamped('leave', frame, left.tstamp, { ingressIfindex: LOOPBACK });
      expect(again).toMatchObject({ retval: NEXT, tstamp: left.tstamp });
      expect(limit.stat(SLOT)).toEqual(after);
    }
    met.add(verdict.kind);
  }
  return met;
}

describe('the limit program and its twin', () => {
  it.each([
    ['from_pod', ['stamp', 'police']],
    ['to_pod', ['stamp', 'police', 'htb']],
  ] as const)('%s: decide, stamp, charge and count alike, to the ns', (hook, modes) => {
    const met = new Set<string>();
    fc.assert(
      fc.property(config(modes), fc.array(step, { minLength: 1, maxLength: 12 }), (cfg, steps) => {
        for (const kind of compare(hook, cfg, steps)) met.add(kind);
      }),
      { numRuns: 400 },
    );
    // Else the property has shown nothing.
    expect([...met].sort()).toEqual(['bypass', 'delay', 'drop', 'exempt', 'exempt no more', 'marked', 'pass', 'reset']);
  });

  it('out of the pod and through an uplink with HTB: all four clocks and every counter alike', () => {
    const met = new Set<string>();
    fc.assert(
      fc.property(config(['htb']), fc.array(step, { minLength: 1, maxLength: 12 }), (cfg, steps) => {
        for (const kind of compareToUplink({ ...cfg, shadow: false }, steps)) met.add(kind);
      }),
      { numRuns: 400 },
    );
    expect([...met].sort()).toEqual([
      'bypass',
      'bypassed at the pod',
      'delay',
      'drop',
      'dropped at the pod',
      'exempt',
      'exempt no more',
      'pass',
      'reset at the pod',
    ]);
  });

  it('agree over a long run of one queue that nobody touches', () => {
    const cfg = slotConfig({ rateBps: 10_000_000n, mode: 'stamp', cpus: 2 });
    const steps = Array.from({ length: 3000 }, (_, i) => ({
      flow: i % FLOWS,
      length: i % 7 === 0 ? 80 : 1514,
      tos: i % 2 === 0 ? 0 : 2,
      igmp: false,
      own: undefined,
      clock: undefined,
      flowDeparture: undefined,
    }));
    expect([...compare('from_pod', cfg, steps)].sort()).toEqual(['bypass', 'delay', 'drop', 'marked', 'pass']);
  });
});
