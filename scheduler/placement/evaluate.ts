import { floorOf } from './floor.ts';
import { lossTo } from './claims.ts';
import { accumulateGains, type AssumedPod, type Trace } from './gains.ts';
import type { Hints } from './hints.ts';
import { headroomWith, type Headroom } from './link-use.ts';
import { floorFactor, replicaCap } from './min-marginal.ts';
import { scarcityFactor } from './scarcity.ts';
import type { Scratch } from './scratch.ts';
import type { LevelWeights, PlacementSettings } from './settings.ts';
import { hintedSubject, subjectOf, type Subject } from './subject.ts';
import type { PlacementView } from './view.ts';
import { isOnePerNode } from './workload-kind.ts';

export interface ScoreRequest {
  /** Index of the pod's workload in the view; undefined: not known. */
  readonly workload: number | undefined;
  /** Breaks ties between equal nodes; each pod its own way. */
  readonly podUid: string;
  /** Node indices; -1 or an index outside the view: a node that is not known, scored 0. */
  readonly candidates: ArrayLike<number>;
  /** Its owner states preferences that kube-scheduler weighs: the range shrinks by settings.softShare. */
  readonly soft?: boolean;
  /** Pods that were answered for and that the view does not show yet; not the pod itself. */
  readonly assumed?: readonly AssumedPod[];
  /** What is thought of the pod's peers where the view knows of no traffic. */
  readonly hints?: Hints | undefined;
  /** The answer is to say what a plan wanted for it. */
  readonly tellPlan?: boolean;
}

/**
 * Why there is no opinion:
 * switched-off: netloom.io/placement is "off" on the pod or its namespace; unknown-workload: not in the view; one-per-node: DaemonSet and static pods, which have no choice of node;
 * no-traffic: nothing measured with workloads that could be near, no plan, and no link that it could fill; no-difference: no candidate is better than another, or not by minGain.
 */
export type Silence = 'switched-off' | 'unknown-workload' | 'one-per-node' | 'no-traffic' | 'no-difference';

/** What a plan says to a call. */
export interface PlanBasis {
  readonly version: number;
  /**
   * open: a candidate lacks replicas that the plan wants there; full: the plan has the workload, and no candidate lacks any;
   * absent: it does not have the workload.
   */
  readonly state: 'open' | 'full' | 'absent';
}

/** The figures that hold for all candidates of a call. */
export interface Basis {
  readonly subject: Subject;
  /** It has no known traffic that could be local anywhere: only plan and links have an opinion. */
  readonly silent: boolean;
  readonly floorFactor: number;
  /** What the pod's traffic counts for while room is scarce (scarcity.ts), 0..1. */
  readonly scarcityFactor: number;
  /** Replicas from which on a node gets nothing more. */
  readonly cap: number;
  /** The same of a zone; Infinity: no limit, or all candidates lie in one zone. */
  readonly zoneCap: number;
  /** From summed bytes per second per replica to a share of the pod's traffic: R_a / V_a. */
  readonly toShare: number;
  /** undefined: there is none. */
  readonly plan: PlanBasis | undefined;
}

/** Looks up what the workload's traffic, replicas and target are, and sums the gains into `scratch`. */
export function prepare(
  view: PlacementView,
  request: Pick<ScoreRequest, 'workload' | 'candidates' | 'assumed' | 'hints'>,
  settings: PlacementSettings,
  scratch: Scratch,
  trace?: Trace,
): Basis | Silence {
  const { workload, candidates, assumed, hints } = request;
  let subject: Subject;
  if (workload !== undefined && workload >= 0 && workload < view.workloadCount) {
    if (view.placementOff[workload] === 1) return 'switched-off';
    if (isOnePerNode(view.names.workloads[workload]!)) return 'one-per-node';
    subject = subjectOf(view, workload, hints);
  } else if (hints !== undefined) subject = hintedSubject(hints);
  else return 'unknown-workload';

  const { peers, knownBytesPerSecond, replicas } = subject;
  const silent = knownBytesPerSecond === 0 || peers.start === peers.end;
  const fills = view.hasLinks && Math.max(subject.tx, subject.rx) > 0;
  if (silent && view.target === undefined && !fills && view.claims.count === 0) return 'no-traffic';
  accumulateGains(view, subject, scratch, trace, assumed);
  if (settings.lookAhead > 0) {
    const { placedStart, placedEnd, placedNode } = view;
    const ownNodes = placedNode.subarray(
      placedStart[subject.workload] ?? 0,
      subject.replaced ? (placedStart[subject.workload] ?? 0) : placedEnd[subject.workload],
    );
    scratch.lookAhead.prepare(view, subject, scratch.own.node, ownNodes, settings.maxReplicaShare);
  }
  const zoneCap = replicaCap(replicas, settings.maxZoneReplicaShare);
  return {
    subject,
    silent,
    floorFactor: silent ? 1 : floorFactor(knownBytesPerSecond / replicas, floorOf(view, settings)),
    scarcityFactor: silent ? 1 : scarcityFactor(view.scarcities, subject),
    cap: replicaCap(replicas, settings.maxReplicaShare),
    zoneCap: zoneCap < replicas && hasTwoZones(view, candidates) ? zoneCap : Infinity,
    toShare: silent ? 0 : replicas / knownBytesPerSecond,
    plan: planBasis(view, subject.workload, candidates, scratch),
  };
}

/** Fills scratch.wanted. */
function planBasis(
  view: PlacementView,
  workload: number,
  candidates: ArrayLike<number>,
  { wanted, own }: Scratch,
): PlanBasis | undefined {
  const { target } = view;
  wanted.reset(view.nodeCount);
  if (target === undefined) return undefined;
  const { version, start, node, count } = target;
  if (workload < 0 || start[workload] === start[workload + 1]) return { version, state: 'absent' };
  for (let t = start[workload]!; t < start[workload + 1]!; t++) wanted.add(node[t]!, count[t]!);
  for (let c = 0; c < candidates.length; c++) {
    const n = candidates[c]!;
    if (isKnownNode(view, n) && wanted.get(n) > own.node.get(n)) return { version, state: 'open' };
  }
  return { version, state: 'full' };
}

function hasTwoZones(view: PlacementView, candidates: ArrayLike<number>): boolean {
  let first = -1;
  for (let c = 0; c < candidates.length; c++) {
    if (!isKnownNode(view, candidates[c]!)) continue;
    const zone = view.nodeZone[candidates[c]!]!;
    if (zone < 0) continue;
    if (first >= 0 && zone !== first) return true;
    first = zone;
  }
  return false;
}

/** What the node is worth, -1..1: the plan's wish where one is open, else the share of traffic less what is taken off. */
export function nodeValue(
  view: PlacementView,
  node: number,
  basis: Basis,
  settings: PlacementSettings,
  scratch: Scratch,
): number {
  if (basis.plan?.state === 'open') return intentValue(view, node, basis, scratch);
  return nodeWorth(view, node, basis, settings, scratch) - deduction(view, node, basis, settings, scratch);
}

/**
 * The share of the pod's own traffic that the node is worth, 0..1:
 * g_node·w_node + (g_zone − g_node)·w_zone + (g_region − g_zone)·w_region + future·(w_node − w_zone)·lookAhead,
 * times floor and scarcity factor; 0 for a node that is barred, and for one that is not known.
 */
export function nodeWorth(
  view: PlacementView,
  node: number,
  basis: Basis,
  settings: PlacementSettings,
  scratch: Scratch,
): number {
  if (!isKnownNode(view, node) || isBarred(view, node, basis, scratch)) return 0;
  const gNode = nodeGain(node, basis, scratch);
  const gZone = zoneGain(view, node, basis, scratch);
  const gRegion = regionGain(view, node, basis, scratch);
  const weights = settings.levelWeights;
  const now = gNode * weights.node + (gZone - gNode) * weights.zone + (gRegion - gZone) * weights.region;
  const future = futureGain(view, node, settings, scratch) * nodeWeightBeyond(view, node, weights) * settings.lookAhead;
  return Math.min(1, (now + future) * basis.floorFactor * basis.scarcityFactor);
}

/**
 * What a share that becomes local on the node counts for beyond what it counts for in its zone (or, that unknown, its
 * region): a peer to come counts for less than one that has come.
 */
export function nodeWeightBeyond(view: PlacementView, node: number, { node: own, zone, region }: LevelWeights): number {
  return own - (view.nodeZone[node]! >= 0 ? zone : view.nodeRegion[node]! >= 0 ? region : 0);
}

/** A gain below minGain of the pod's traffic, at whichever level, moves nobody. */
export function isSlight(
  view: PlacementView,
  node: number,
  basis: Basis,
  settings: PlacementSettings,
  scratch: Scratch,
): boolean {
  if (basis.plan?.state === 'open' || !isKnownNode(view, node)) return false;
  const least = settings.minGain - 1e-9;
  if (zoneGain(view, node, basis, scratch) >= least || regionGain(view, node, basis, scratch) >= least) return false;
  return nodeGain(node, basis, scratch) + settings.lookAhead * futureGain(view, node, settings, scratch) < least;
}

/**
 * The value, without the worth if that is slight, and not below the least: that stays what it was, so that one more peer on
 * a node never lowers it by lifting others over the bar.
 */
export function heededValue(
  view: PlacementView,
  node: number,
  value: number,
  least: number,
  basis: Basis,
  settings: PlacementSettings,
  scratch: Scratch,
): number {
  if (!isSlight(view, node, basis, settings, scratch)) return value;
  return Math.max(least, -deduction(view, node, basis, settings, scratch));
}

/** What a share of its traffic counts for beside a plan's wish; more lets nearness fight the plan (placement-study.md §2.3). */
const NOW_BESIDE_PLAN = 0.3;

/**
 * With a plan that is open for the workload: 1 - 0.3·(1 - g_node) where it wants one more replica (1 for a workload without known traffic), elsewhere
 * 0.3·g_node - 0.5·over, at least 0 (placement-study.md §2.3).
 */
export function intentValue(view: PlacementView, node: number, basis: Basis, scratch: Scratch): number {
  if (!isKnownNode(view, node) || isBarred(view, node, basis, scratch)) return 0;
  const now = nodeGain(node, basis, scratch);
  if (isWanted(node, scratch)) {
    return basis.silent ? 1 : 1 - NOW_BESIDE_PLAN * (1 - now);
  }
  return Math.max(0, NOW_BESIDE_PLAN * now - 0.5 * overReserved(view, node, basis.subject));
}

/** 0..1: how far a pod of the workload would take room on the node that a plan keeps for others; a tenth of the node or a whole pod counts in full. */
export function overReserved(view: PlacementView, node: number, subject: Subject): number {
  const { target } = view;
  if (target === undefined || !isKnownNode(view, node)) return 0;
  const of = (reserved: Float64Array, free: Float64Array, request: number, all: Float64Array): number => {
    const left = free[node]! - request;
    return left === Infinity ? 0 : (reserved[node]! - left) / (0.1 * all[node]!);
  };
  const cpu = of(target.reservedMilliCpu, view.freeMilliCpu, subject.milliCpu, view.nodeMilliCpu);
  const memory = of(target.reservedMemoryBytes, view.freeMemoryBytes, subject.memoryBytes, view.nodeMemoryBytes);
  const pods = target.reservedPods[node]! - (view.freePods[node]! - 1);
  return Math.min(1, Math.max(0, cpu, memory, pods));
}

/** What is taken off a node's worth, 0..1. Not for pods that a plan places: it has seen to that itself. */
export function deduction(
  view: PlacementView,
  node: number,
  basis: Basis,
  settings: PlacementSettings,
  scratch: Scratch,
): number {
  if (basis.plan?.state === 'open' || !isKnownNode(view, node)) return 0;
  const full = settings.headroomPenalty * headroom(view, node, basis, scratch).penalty;
  return Math.min(1, full + keptForPlan(view, node, basis) + keptForPeers(view, node, basis, settings));
}

/**
 * Of the deduction: what replicas to come lose with the room, as a share of the pod's own traffic (at least the floor), 0..1.
 * Where there is a plan, that says who needs which room.
 */
export function keptForPeers(
  view: PlacementView,
  node: number,
  { subject, plan }: Basis,
  settings: PlacementSettings,
): number {
  if (plan !== undefined || !isKnownNode(view, node)) return 0;
  const loss = lossTo(view, node, subject);
  const perReplica = subject.knownBytesPerSecond / subject.replicas;
  return loss > 0 ? Math.min(1, loss / Math.max(perReplica, floorOf(view, settings))) : 0;
}

/** Of the deduction: the plan keeps room on the node for others. */
export function keptForPlan(view: PlacementView, node: number, { subject, plan }: Basis): number {
  if (plan === undefined || plan.state === 'open') return 0;
  return (plan.state === 'full' ? 0.25 : 0.5) * overReserved(view, node, subject);
}

/** The node's link, were the pod there. */
export function headroom(view: PlacementView, node: number, basis: Basis, scratch: Scratch): Headroom {
  const { subject } = basis;
  const local = basis.silent ? 0 : (nodeGain(node, basis, scratch) * subject.knownBytesPerSecond) / subject.replicas;
  return headroomWith(view, subject, node, local);
}

/** Shares of the pod's own known traffic that become local, 0..1. A node whose zone (region) is not known is taken as alone in it. */
export function nodeGain(node: number, basis: Basis, scratch: Scratch): number {
  return basis.toShare * scratch.gains.node.get(node);
}

export function zoneGain(view: PlacementView, node: number, basis: Basis, scratch: Scratch): number {
  const zone = view.nodeZone[node]!;
  return zone < 0 ? nodeGain(node, basis, scratch) : basis.toShare * scratch.gains.zone.get(zone);
}

export function regionGain(view: PlacementView, node: number, basis: Basis, scratch: Scratch): number {
  const region = view.nodeRegion[node]!;
  return region < 0 ? zoneGain(view, node, basis, scratch) : basis.toShare * scratch.gains.region.get(region);
}

/** What becomes local on the node once the peers to come have come, 0..1. */
export function futureGain(
  view: PlacementView,
  node: number,
  settings: PlacementSettings,
  { lookAhead }: Scratch,
): number {
  if (settings.lookAhead === 0 || !lookAhead.active) return 0;
  const worth = lookAhead.worth(node);
  return worth === 0 ? 0 : worth * lookAhead.room(view, node);
}

/** Nothing draws the pod there: the node or its zone has its fill, or it is tainted PreferNoSchedule. */
export function isBarred(view: PlacementView, node: number, basis: Basis, scratch: Scratch): boolean {
  return view.nodeAvoided[node] === 1 || isCapped(view, node, basis, scratch);
}

export function isCapped(view: PlacementView, node: number, basis: Basis, scratch: Scratch): boolean {
  return scratch.own.node.get(node) >= basis.cap || isZoneCapped(view, node, basis, scratch);
}

/** Where a plan wants one more than its zone's cap, there was no room for it elsewhere. */
export function isZoneCapped(view: PlacementView, node: number, basis: Basis, scratch: Scratch): boolean {
  const zone = view.nodeZone[node]!;
  return zone >= 0 && scratch.own.zone.get(zone) >= basis.zoneCap && !isWanted(node, scratch);
}

/** By the plan, one more. */
function isWanted(node: number, { wanted, own }: Scratch): boolean {
  return wanted.get(node) > own.node.get(node);
}

export function isKnownNode(view: PlacementView, node: number): boolean {
  return node >= 0 && node < view.nodeCount && view.nodeLive[node] === 1;
}

/** The scores' range for a request. */
export function rangeOf({ soft }: Pick<ScoreRequest, 'soft'>, { scoreRange, softShare }: PlacementSettings): number {
  return soft === true ? Math.max(1, Math.round(scoreRange * softShare)) : scoreRange;
}

/** Nearest whole number, at most scoreRange; the slack keeps float noise of equal sums on one side of a half. */
export function toScore(value: number, least: number, scoreRange: number): number {
  return Math.min(scoreRange, Math.floor((value - least) * scoreRange + 0.5 + 1e-9));
}
