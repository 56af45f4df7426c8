import { accumulateGains, knownTraffic, type Level, type Scratch, type Trace } from './gains.ts';
import { floorFactor, replicaCap } from './min-marginal.ts';
import type { PlacementSettings } from './settings.ts';
import type { PlacementView } from './view.ts';

export interface ScoreRequest {
  /** Index of the pod's workload in the view; undefined: not known. */
  readonly workload: number | undefined;
  /** Breaks ties between equal nodes; each pod its own way. */
  readonly podUid: string;
  /** Node indices; -1 or an index outside the view: a node that is not known, scored 0. */
  readonly candidates: ArrayLike<number>;
}

/**
 * Why there is no opinion:
 * unknown-workload: not in the view; one-per-node: DaemonSet and static pods, which have no choice of node;
 * no-traffic: nothing measured with workloads that could be near; no-difference: no candidate is better than another.
 */
export type Silence = 'unknown-workload' | 'one-per-node' | 'no-traffic' | 'no-difference';

/** The figures that hold for all candidates of a call. */
export interface Basis {
  readonly workload: number;
  /** R_a, at least 1. */
  readonly replicas: number;
  /** V_a, bytes per second. */
  readonly knownBytesPerSecond: number;
  readonly floorFactor: number;
  /** Replicas from which on a node gets nothing more. */
  readonly cap: number;
  /** From summed bytes per second per replica to a share of the pod's traffic: R_a / V_a. */
  readonly toShare: number;
}

/** Share of the pod's own known traffic that becomes local within each level, 0..1, and what that is worth. */
export interface NodeValue {
  readonly gains: Readonly<Record<Level, number>>;
  readonly capped: boolean;
  readonly value: number;
}

const UNKNOWN_NODE: NodeValue = { gains: { node: 0, zone: 0, region: 0 }, capped: false, value: 0 };

/** Owner kinds whose pods stand where they must: DaemonSets; Node owns static (mirror) pods. */
const ONE_PER_NODE_KINDS: ReadonlySet<string> = new Set(['DaemonSet', 'Node']);

/** Looks up what the workload's traffic and replicas are, and sums the gains into `scratch`. */
export function prepare(
  view: PlacementView,
  workload: number | undefined,
  settings: PlacementSettings,
  scratch: Scratch,
  trace?: Trace,
): Basis | Silence {
  if (workload === undefined || !(workload >= 0 && workload < view.workloadCount)) return 'unknown-workload';
  if (ONE_PER_NODE_KINDS.has(kindOf(view.names.workloads[workload]!))) return 'one-per-node';
  const knownBytesPerSecond = knownTraffic(view, workload);
  if (knownBytesPerSecond === 0 || view.peerStart[workload] === view.peerStart[workload + 1]) return 'no-traffic';
  // A workload that is gone and comes back under its name still has its traffic, though not yet its replicas.
  const replicas = Math.max(1, view.replicas[workload]!);
  accumulateGains(view, workload, replicas, scratch, trace);
  return {
    workload,
    replicas,
    knownBytesPerSecond,
    floorFactor: view.hasUnits ? floorFactor(knownBytesPerSecond / replicas, settings.floorBytesPerSecond) : 1,
    cap: replicaCap(replicas, settings.maxReplicaShare),
    toShare: replicas / knownBytesPerSecond,
  };
}

/**
 * What the node is worth, 0..1: g_node·w_node + (g_zone − g_node)·w_zone + (g_region − g_zone)·w_region.
 * A node whose zone (region) is not known is taken as alone in it.
 */
export function nodeValue(
  view: PlacementView,
  node: number,
  basis: Basis,
  settings: PlacementSettings,
  scratch: Scratch,
): NodeValue {
  if (!isKnownNode(view, node)) return UNKNOWN_NODE;
  const { gains, own } = scratch;
  const zone = view.nodeZone[node]!;
  const region = view.nodeRegion[node]!;
  const gNode = basis.toShare * gains.node.get(node);
  const gZone = zone < 0 ? gNode : basis.toShare * gains.zone.get(zone);
  const gRegion = region < 0 ? gZone : basis.toShare * gains.region.get(region);
  const capped = own.node.get(node) >= basis.cap;
  const weights = settings.levelWeights;
  const worth = gNode * weights.node + (gZone - gNode) * weights.zone + (gRegion - gZone) * weights.region;
  return {
    gains: { node: gNode, zone: gZone, region: gRegion },
    capped,
    value: capped ? 0 : Math.min(1, worth * basis.floorFactor),
  };
}

export function isKnownNode(view: PlacementView, node: number): boolean {
  return node >= 0 && node < view.nodeCount && view.nodeLive[node] === 1;
}

/** Nearest whole number; the slack keeps float noise of equal sums on one side of a half. */
export function toScore(value: number, least: number, scoreRange: number): number {
  return Math.min(scoreRange, Math.floor((value - least) * scoreRange + 0.5 + 1e-9));
}

/** "namespace/Kind/name" -> Kind. */
export function kindOf(workloadKey: string): string {
  const start = workloadKey.indexOf('/') + 1;
  return workloadKey.slice(start, workloadKey.indexOf('/', start));
}
