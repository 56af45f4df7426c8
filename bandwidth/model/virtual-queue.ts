import { LIMIT_FLOWS, LIMIT_QUEUE_BUCKETS } from '../bpf/layout.ts';
import type { SlotConfig } from '../slot-config.ts';

/**
 * The limit of limit.bpf.c once more, to say what it must do: tests run both on the same packets and compare every
 * decision, clock and counter. Times are ns of one clock.
 */
export interface QueueState {
  /** When everything charged so far will have been sent. */
  limitNs: bigint;
  /** The same for packets that passed at once, at their share of the rate. */
  sparseNs: bigint;
  /** Mode `htb`: when everything that left the pod would have been sent, whatever way it went. */
  policeNs: bigint;
  /** Of exempt packets, at their share of the rate. */
  exemptNs: bigint;
  /** By hash modulo LIMIT_FLOWS. */
  readonly flows: Map<number, { readonly hash: number; readonly departureNs: bigint }>;
}

export interface Arrival {
  readonly nowNs: bigint;
  readonly wireBytes: number;
  readonly hash: number;
  /** The packet can carry CE. */
  readonly ecn: boolean;
  /** 32 bits. */
  readonly random: number;
}

export type Verdict =
  | { readonly kind: 'pass'; readonly aheadNs: bigint; readonly marked: boolean }
  | { readonly kind: 'bypass'; readonly aheadNs: bigint }
  | {
      readonly kind: 'delay';
      readonly aheadNs: bigint;
      readonly departureNs: bigint;
      readonly marked: boolean;
      readonly throttledNs: bigint;
    }
  | { readonly kind: 'drop'; readonly aheadNs: bigint };

const NS_PER_S = 1_000_000_000n;
const FLOW_MAX_AHEAD_NS = 8n * NS_PER_S;
const MAX_RANDOM = 1n << 32n;

export function emptyQueue(): QueueState {
  return { limitNs: 0n, sparseNs: 0n, policeNs: 0n, exemptNs: 0n, flows: new Map() };
}

/**
 * Whether a packet of the exempt kinds passes unjudged; what exceeds their share of the rate is judged as any other.
 *
 * @param charged the clock that it is charged to: `police` is the backstop's
 */
export function passesExempt(
  config: SlotConfig,
  state: QueueState,
  { nowNs, wireBytes }: Pick<Arrival, 'nowNs' | 'wireBytes'>,
  charged: 'limit' | 'police',
): boolean {
  const durationNs = durationOf(config, wireBytes);
  state.exemptNs = shareClock(config, state.exemptNs, nowNs);
  if (state.exemptNs > nowNs) return false;
  state.exemptNs += durationNs << BigInt(config.sparseShift);
  if (charged === 'police') {
    state.policeNs = within(state.policeNs, nowNs, nowNs + config.policeMaxAheadNs) + durationNs;
  } else {
    state.limitNs = within(state.limitNs, nowNs, nowNs + config.maxAheadNs) + durationNs;
  }
  return true;
}

/** Judges one packet and moves `state`. `config.rateBytesPerSecond` is not 0. */
export function judge(config: SlotConfig, state: QueueState, packet: Arrival): Verdict {
  const { nowNs, hash } = packet;
  const durationNs = durationOf(config, packet.wireBytes);
  state.limitNs = within(state.limitNs, nowNs, nowNs + config.maxAheadNs);
  const aheadNs = state.limitNs - nowNs;
  const waitsUntil = flowDeparture(state, hash, nowNs);

  let marked = false;
  if (aheadNs > 0n) {
    if (waitsUntil === 0n && mayBypass(config, state, packet)) {
      state.limitNs += durationNs;
      state.sparseNs += durationNs << BigInt(config.sparseShift);
      return { kind: 'bypass', aheadNs };
    }
    marked = packet.ecn && config.ecn && aheadNs <= config.hardNs && rampMarks(config, aheadNs, packet.random);
    const roomNs = marked || waitsUntil === 0n ? config.hardNs : config.dropNs;
    if (aheadNs > roomNs) return { kind: 'drop', aheadNs };
  }

  const departureNs = waitsUntil > state.limitNs ? waitsUntil : state.limitNs;
  state.limitNs += durationNs;
  if (departureNs <= nowNs) return { kind: 'pass', aheadNs, marked };
  state.flows.set(hash % LIMIT_FLOWS, { hash, departureNs });
  const waitNs = departureNs - nowNs;
  return { kind: 'delay', aheadNs, departureNs, marked, throttledNs: waitNs < durationNs ? waitNs : durationNs };
}

export interface AtPod {
  readonly passes: boolean;
  readonly aheadNs: bigint;
  /** Its share of the time during which the backstop has a queue. */
  readonly throttledNs: bigint;
}

/** The backstop of mode `htb`: whether a packet may leave its pod. */
export function mayLeavePod(
  config: SlotConfig,
  state: QueueState,
  packet: Pick<Arrival, 'nowNs' | 'wireBytes'>,
): AtPod {
  const { nowNs, wireBytes } = packet;
  const durationNs = durationOf(config, wireBytes);
  const clockNs = within(state.policeNs, nowNs, nowNs + config.policeMaxAheadNs);
  const aheadNs = clockNs - nowNs;
  if (aheadNs > config.policeNs) {
    if (!mayBypass(config, state, packet)) return { passes: false, aheadNs, throttledNs: 0n };
    state.sparseNs += durationNs << BigInt(config.sparseShift);
  }
  state.policeNs = clockNs + durationNs;
  return { passes: true, aheadNs, throttledNs: aheadNs < durationNs ? aheadNs : durationNs };
}

/** As `judge`, of a packet that `mayLeavePod` let pass: what is dropped here is given back to the backstop. */
export function judgeAtUplink(config: SlotConfig, state: QueueState, packet: Arrival): Verdict {
  const verdict = judge(config, state, packet);
  if (verdict.kind === 'drop') {
    state.policeNs = BigInt.asUintN(64, state.policeNs - durationOf(config, packet.wireBytes));
  }
  return verdict;
}

/** Probability 0 at ceNs, 1 at dropNs. */
export function rampMarks(config: SlotConfig, aheadNs: bigint, random: number): boolean {
  if (aheadNs >= config.dropNs) return true;
  const [ce, drop] = [BigInt(config.ceNs), BigInt(config.dropNs)];
  return aheadNs > ce && BigInt(random) * (drop - ce) < (aheadNs - ce) * MAX_RANDOM;
}

/** Index in `SlotStat.queue`. */
export function queueBucket(aheadNs: bigint): number {
  const units = aheadNs / 1024n;
  return Math.min(units === 0n ? 0 : units.toString(2).length, LIMIT_QUEUE_BUCKETS - 1);
}

function durationOf({ rateBytesPerSecond }: SlotConfig, wireBytes: number): bigint {
  return ceilDiv(BigInt(wireBytes) * NS_PER_S, rateBytesPerSecond);
}

function mayBypass(config: SlotConfig, state: QueueState, packet: Pick<Arrival, 'nowNs' | 'wireBytes'>): boolean {
  if (packet.wireBytes > config.smallBytes) return false;
  state.sparseNs = shareClock(config, state.sparseNs, packet.nowNs);
  return state.sparseNs <= packet.nowNs;
}

/** The clock of a share of the rate, with no more saved up than it may. */
function shareClock(config: SlotConfig, time: bigint, nowNs: bigint): bigint {
  const credit = BigInt(config.sparseCreditNs);
  return within(time, nowNs > credit ? nowNs - credit : 0n, nowNs + config.maxAheadNs);
}

function flowDeparture(state: QueueState, hash: number, nowNs: bigint): bigint {
  const flow = state.flows.get(hash % LIMIT_FLOWS);
  if (flow?.hash !== hash) return 0n;
  return flow.departureNs > nowNs && flow.departureNs < nowNs + FLOW_MAX_AHEAD_NS ? flow.departureNs : 0n;
}

/** A clock that lags or is garbage starts anew at `floor`. */
function within(time: bigint, floor: bigint, ceiling: bigint): bigint {
  return time < floor || time > ceiling ? floor : time;
}

function ceilDiv(a: bigint, b: bigint): bigint {
  return (a + b - 1n) / b;
}
