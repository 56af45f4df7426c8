import { workloadDomains, type DomainCounts } from './domain-counts.ts';
import { minMarginal } from './min-marginal.ts';
import { placedOn } from './placed.ts';
import { Tally } from './tally.ts';
import type { PlacementView } from './view.ts';

export type Level = 'node' | 'zone' | 'region';

/** Told of every term of the sums, for explanations: `entry` indexes the view's peer columns, `domain` a node, zone or region. */
export type Trace = (
  level: Level,
  entry: number,
  domain: number,
  placedOwn: number,
  placedPeer: number,
  gain: number,
) => void;

/** A sum per node, zone and region. */
export class LevelTallies {
  readonly node = new Tally();
  readonly zone = new Tally();
  readonly region = new Tally();

  reset(view: PlacementView): void {
    this.node.reset(view.nodeCount);
    this.zone.reset(view.names.zones.length);
    this.region.reset(view.names.regions.length);
  }
}

/** A pod that was answered for, and where it is thought to go. */
export interface AssumedPod {
  readonly workload: number;
  readonly node: number;
}

/** kube-scheduler may have chosen another node than the best of the answer, and may not bind the pod at all. */
const ASSUMED_WEIGHT = 0.5;

/** What accumulateGains sums up. */
export interface GainTallies {
  /** Placed replicas of the pod's own workload. */
  readonly own: LevelTallies;
  /** Bytes per second that become local within the domain, per replica of the workload. */
  readonly gains: LevelTallies;
}

/** Whether an entry can gain at all. The formula gives traffic of a workload with itself nothing: it is no reason to pack replicas together. */
export function movable(view: PlacementView, workload: number, entry: number): boolean {
  const peer = view.peer[entry]!;
  return peer !== workload && peer >= 0 && peer < view.workloadCount && view.replicas[peer]! > 0;
}

/** Traffic figures that are no number above 0 count as none. */
export function trafficOf(bytesPerSecond: number | undefined): number {
  return bytesPerSecond !== undefined && bytesPerSecond > 0 && bytesPerSecond < Infinity ? bytesPerSecond : 0;
}

/** V_a: all known traffic of a workload, bytes per second, both ways, also what cannot be co-located. */
export function knownTraffic(view: PlacementView, workload: number): number {
  let sum = trafficOf(view.otherBytesPerSecond[workload]);
  for (let e = view.peerStart[workload]!; e < view.peerStart[workload + 1]!; e++) {
    sum += trafficOf(view.peerBytesPerSecond[e]);
  }
  return sum;
}

/**
 * Fills scratch.own and scratch.gains: for each domain D in which a peer b has replicas,
 * sum over b of w_ab * conf_ab * minMarginal(x_aD, R_a, x_bD, R_b). Visits only the nodes that host a or its peers.
 * @param replaced the pods that stand are about to go: x_a counts as 0
 */
export function accumulateGains(
  view: PlacementView,
  workload: number,
  replicas: number,
  replaced: boolean,
  scratch: GainTallies,
  trace: Trace | undefined,
  assumed: readonly AssumedPod[] = [],
): void {
  const { own, gains } = scratch;
  const { peerStart, peer } = view;
  own.reset(view);
  gains.reset(view);
  if (!replaced) countOwn(view, workload, own);
  for (const pod of replaced ? [] : assumed) if (pod.workload === workload) countAssumed(view, pod.node, own);
  const end = peerStart[workload + 1]!;
  for (let first = peerStart[workload]!, next = first; first < end; first = next) {
    // Entries of one peer, as client and as server, stand side by side: their traffic is one weight.
    let weight = 0;
    for (next = first; next < end && peer[next] === peer[first]; next++) weight += weightOf(view, next);
    if (!(weight > 0) || !movable(view, workload, first)) continue;
    const b = peer[first]!;
    addNodeGains(view, b, weight, replicas, scratch);
    const { zone, region } = workloadDomains(view, b);
    addDomainGains(zone, view.replicas[b]!, weight, replicas, own.zone, gains.zone);
    addDomainGains(region, view.replicas[b]!, weight, replicas, own.region, gains.region);
    if (assumed.length > 0) addAssumedGains(view, b, weight, replicas, scratch, assumed);
    for (let e = first; trace !== undefined && e < next; e++) traceEntry(view, e, replicas, scratch, trace);
  }
}

/** Bytes per second of an entry, as far as they are trusted. */
export function weightOf(view: PlacementView, entry: number): number {
  return trafficOf(view.peerBytesPerSecond[entry]) * view.peerConfidence[entry]!;
}

function countOwn(view: PlacementView, workload: number, own: LevelTallies): void {
  for (let p = view.placedStart[workload]!; p < view.placedEnd[workload]!; p++) {
    own.node.add(view.placedNode[p]!, view.placedCount[p]!);
  }
  const { zone, region } = workloadDomains(view, workload);
  for (let k = 0; k < zone.domains.length; k++) own.zone.add(zone.domains[k]!, zone.counts[k]!);
  for (let k = 0; k < region.domains.length; k++) own.region.add(region.domains[k]!, region.counts[k]!);
}

function countAssumed(view: PlacementView, node: number, to: LevelTallies): void {
  to.node.add(node, ASSUMED_WEIGHT);
  if (view.nodeZone[node]! >= 0) to.zone.add(view.nodeZone[node]!, ASSUMED_WEIGHT);
  if (view.nodeRegion[node]! >= 0) to.region.add(view.nodeRegion[node]!, ASSUMED_WEIGHT);
}

/** What the assumed pods of a peer add to the gains of the placed ones, domain by domain. */
function addAssumedGains(
  view: PlacementView,
  peer: number,
  weight: number,
  replicas: number,
  scratch: GainTallies,
  assumed: readonly AssumedPod[],
): void {
  const levels: readonly [Level, Int32Array | undefined, DomainCounts | undefined][] = [
    ['node', undefined, undefined],
    ['zone', view.nodeZone, workloadDomains(view, peer).zone],
    ['region', view.nodeRegion, workloadDomains(view, peer).region],
  ];
  const peerReplicas = view.replicas[peer]!;
  for (const [level, domainOf, placed] of levels) {
    const counts = new Map<number, number>();
    for (const { workload, node } of assumed) {
      if (workload !== peer) continue;
      const domain = domainOf === undefined ? node : domainOf[node]!;
      if (domain >= 0) counts.set(domain, (counts.get(domain) ?? 0) + ASSUMED_WEIGHT);
    }
    for (const [domain, more] of counts) {
      const there =
        placed === undefined ? placedOn(view, peer, domain) : (placed.counts[placed.domains.indexOf(domain)] ?? 0);
      const own = scratch.own[level].get(domain);
      const gain = (placedPeer: number): number => minMarginal(own, replicas, placedPeer, peerReplicas);
      scratch.gains[level].add(domain, weight * (gain(there + more) - gain(there)));
    }
  }
}

function addNodeGains(view: PlacementView, peer: number, weight: number, replicas: number, scratch: GainTallies): void {
  const own = scratch.own.node;
  const gains = scratch.gains.node;
  const { placedNode, placedCount } = view;
  const peerReplicas = view.replicas[peer]!;
  const end = view.placedEnd[peer]!;
  for (let p = view.placedStart[peer]!; p < end; p++) {
    const node = placedNode[p]!;
    gains.add(node, weight * minMarginal(own.get(node), replicas, placedCount[p]!, peerReplicas));
  }
}

function addDomainGains(
  placed: DomainCounts,
  peerReplicas: number,
  weight: number,
  replicas: number,
  own: Tally,
  gains: Tally,
): void {
  for (let k = 0; k < placed.domains.length; k++) {
    const domain = placed.domains[k]!;
    gains.add(domain, weight * minMarginal(own.get(domain), replicas, placed.counts[k]!, peerReplicas));
  }
}

/** The terms of one entry. They are what was added: gains are linear in the weight, and entries of a peer share all else. */
function traceEntry(view: PlacementView, entry: number, replicas: number, scratch: GainTallies, trace: Trace): void {
  const peer = view.peer[entry]!;
  const peerReplicas = view.replicas[peer]!;
  const weight = weightOf(view, entry);
  const term = (level: Level, domain: number, placedPeer: number): void => {
    const placedOwn = scratch.own[level].get(domain);
    const gain = weight * minMarginal(placedOwn, replicas, placedPeer, peerReplicas);
    trace(level, entry, domain, placedOwn, placedPeer, gain);
  };
  for (let p = view.placedStart[peer]!; p < view.placedEnd[peer]!; p++) {
    term('node', view.placedNode[p]!, view.placedCount[p]!);
  }
  const { zone, region } = workloadDomains(view, peer);
  zone.domains.forEach((domain, k) => term('zone', domain, zone.counts[k]!));
  region.domains.forEach((domain, k) => term('region', domain, region.counts[k]!));
}
