import { accumulateGains, knownTraffic, type Scratch, type Trace } from './gains.ts';
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
 * switched-off: netloom.io/placement is "off" on the pod or its namespace; unknown-workload: not in the view; one-per-node: DaemonSet and static pods, which have no choice of node;
 * no-traffic: nothing measured with workloads that could be near; no-difference: no candidate is better than another.
 */
export type Silence = 'switched-off' | 'unknown-workload' | 'one-per-node' | 'no-traffic' | 'no-difference';

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
  if (view.placementOff[workload] === 1) return 'switched-off';
  if (ONE_PER_NODE_KINDS.has(kindOf(view.names.workloads[workload]!))) return 'one-per-node';
  const knownBytesPerSecond = knownTraffic(view, workload);
  if (knownBytesPerSecond === 0 || view.peerStart[workload] === view.peerStart[workload + 1]) return 'no-traffic';
  // A workload that is gone and comes back under its name still has its traffic, though not yet its replicas.
  const replicas = Math.max(1, view.replicas[workload]!);
  accumulateGains(view, workload, replicas, isReplaced(view, workload, replicas), scratch, trace);
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
 * A Deployment of one replica gets a second pod only to replace the first (a rolling update, an eviction): the one that is
 * about to go is no reason to stand elsewhere. Of more replicas the old ones count like any other.
 */
function isReplaced(view: PlacementView, workload: number, replicas: number): boolean {
  return replicas === 1 && kindOf(view.names.workloads[workload]!) === 'Deployment';
}

/**
 * What the node is worth, 0..1: g_node·w_node + (g_zone − g_node)·w_zone + (g_region − g_zone)·w_region,
 * times the floor factor; 0 for a node at its cap, and for one that is not known.
 */
export function nodeValue(
  view: PlacementView,
  node: number,
  basis: Basis,
  settings: PlacementSettings,
  scratch: Scratch,
): number {
  if (!isKnownNode(view, node) || isCapped(node, basis, scratch)) return 0;
  const gNode = nodeGain(node, basis, scratch);
  const gZone = zoneGain(view, node, basis, scratch);
  const gRegion = regionGain(view, node, basis, scratch);
  const weights = settings.levelWeights;
  const worth = gNode * weights.node + (gZone - gNode) * weights.zone + (gRegion - gZone) * weights.region;
  return Math.min(1, worth * basis.floorFactor);
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

export function isCapped(node: number, basis: Basis, scratch: Scratch): boolean {
  return scratch.own.node.get(node) >= basis.cap;
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
