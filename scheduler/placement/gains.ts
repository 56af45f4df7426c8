import { workloadDomains, type DomainCounts } from './domain-counts.ts';
import { isMovable, weightOf, type PeerRow } from './peer-row.ts';
import { placedOn } from './placed.ts';
import { edgeGain, PINNED, RANDOM, type Level } from './routing.ts';
import type { Subject } from './subject.ts';
import { Tally } from './tally.ts';
import type { PlacementView } from './view.ts';

export type { Level } from './routing.ts';

/** Told of every term of the sums, for explanations: `entry` indexes the subject's row, `domain` a node, zone or region. */
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

/** Of a peer: kube-scheduler may have chosen another node than the best of the answer, and may not bind the pod at all. */
const ASSUMED_WEIGHT = 0.5;

/** What accumulateGains sums up. */
export interface GainTallies {
  /** Placed replicas of the pod's own workload. */
  readonly own: LevelTallies;
  /** Bytes per second that become local within the domain, per replica of the workload. */
  readonly gains: LevelTallies;
}

/** Replicas of a peer by domain: on nodes, in zones, in regions. */
interface Standing {
  readonly level: Level;
  readonly domains: ArrayLike<number>;
  readonly counts: ArrayLike<number>;
  readonly from: number;
  readonly end: number;
}

/**
 * Fills scratch.own and scratch.gains: for each domain D in which a peer b has replicas,
 * sum over b of w_ab * conf_ab * minMarginal(x_aD, R_a, x_bD, R_b), or what the edge's routing makes of it. Visits only the nodes
 * that host a or its peers.
 */
export function accumulateGains(
  view: PlacementView,
  subject: Subject,
  scratch: GainTallies,
  trace: Trace | undefined,
  assumed: readonly AssumedPod[] = [],
): void {
  const { own, gains } = scratch;
  const { workload, replicas, replaced, peers: row } = subject;
  own.reset(view);
  gains.reset(view);
  if (!replaced) {
    countOwn(view, workload, own);
    for (const { workload: of, node } of assumed) if (of === workload) countOne(view, node, own);
  }
  for (let first = row.start, next = first; first < row.end; first = next) {
    // Entries of one peer, as client and as server, stand side by side: what is reckoned alike is one weight.
    let alike = 0;
    let weight = 0;
    for (next = first; next < row.end && row.peer[next] === row.peer[first]; next++) {
      weight += weightOf(row, next);
      if (row.routing[next] === RANDOM) alike += weightOf(row, next);
    }
    if (!(weight > 0) || !isMovable(view, workload, row, first)) continue;
    const peer = row.peer[first]!;
    if (alike > 0) addGains(view, peer, alike, RANDOM, false, replicas, scratch, assumed);
    for (let e = first; e < next; e++) {
      const routing = row.routing[e]!;
      if (routing === PINNED) addPinnedGains(view, row, e, replicas, scratch);
      else if (routing !== RANDOM) {
        addGains(view, peer, weightOf(row, e), routing, row.client[e] === 1, replicas, scratch, assumed);
      }
      if (trace !== undefined) traceEntry(view, row, e, replicas, scratch, trace);
    }
  }
}

function countOwn(view: PlacementView, workload: number, own: LevelTallies): void {
  for (let p = view.placedStart[workload]!; p < view.placedEnd[workload]!; p++) {
    own.node.add(view.placedNode[p]!, view.placedCount[p]!);
  }
  const { zone, region } = workloadDomains(view, workload);
  for (let k = 0; k < zone.domains.length; k++) own.zone.add(zone.domains[k]!, zone.counts[k]!);
  for (let k = 0; k < region.domains.length; k++) own.region.add(region.domains[k]!, region.counts[k]!);
}

/** In full, though it may have gone elsewhere: what limits replicas on a node must hold while they arrive faster than they are seen. */
function countOne(view: PlacementView, node: number, to: LevelTallies): void {
  to.node.add(node, 1);
  if (view.nodeZone[node]! >= 0) to.zone.add(view.nodeZone[node]!, 1);
  if (view.nodeRegion[node]! >= 0) to.region.add(view.nodeRegion[node]!, 1);
}

function standings(view: PlacementView, workload: number): readonly Standing[] {
  const { zone, region } = workloadDomains(view, workload);
  const { placedNode, placedCount, placedStart, placedEnd } = view;
  const onNodes = { from: placedStart[workload]!, end: placedEnd[workload]! };
  return [
    { level: 'node', domains: placedNode, counts: placedCount, ...onNodes },
    { level: 'zone', ...zone, from: 0, end: zone.domains.length },
    { level: 'region', ...region, from: 0, end: region.domains.length },
  ];
}

function addGains(
  view: PlacementView,
  peer: number,
  weight: number,
  routing: number,
  asClient: boolean,
  replicas: number,
  scratch: GainTallies,
  assumed: readonly AssumedPod[],
): void {
  const peerReplicas = view.replicas[peer]!;
  for (const { level, domains, counts, from, end } of standings(view, peer)) {
    const own = scratch.own[level];
    const gains = scratch.gains[level];
    for (let k = from; k < end; k++) {
      const domain = domains[k]!;
      const gain = edgeGain(routing, level, asClient, own.get(domain), replicas, counts[k]!, peerReplicas);
      gains.add(domain, weight * gain);
    }
  }
  if (assumed.some((pod) => pod.workload === peer)) {
    addAssumedGains(view, peer, weight, routing, asClient, replicas, scratch, assumed);
  }
}

/** What the assumed pods of a peer add to the gains of the placed ones, domain by domain. */
function addAssumedGains(
  view: PlacementView,
  peer: number,
  weight: number,
  routing: number,
  asClient: boolean,
  replicas: number,
  scratch: GainTallies,
  assumed: readonly AssumedPod[],
): void {
  const { zone, region } = workloadDomains(view, peer);
  const levels: readonly [Level, Int32Array | undefined, DomainCounts | undefined][] = [
    ['node', undefined, undefined],
    ['zone', view.nodeZone, zone],
    ['region', view.nodeRegion, region],
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
      const gain = (placedPeer: number): number =>
        edgeGain(routing, level, asClient, own, replicas, placedPeer, peerReplicas);
      scratch.gains[level].add(domain, weight * (gain(there + more) - gain(there)));
    }
  }
}

/** Of an edge whose connections stay with the servers they once found: a domain counts by the share of the traffic that is there. */
function addPinnedGains(
  view: PlacementView,
  row: PeerRow,
  entry: number,
  replicas: number,
  scratch: GainTallies,
): void {
  const weight = weightOf(row, entry);
  for (const { level, domain, share } of pinnedShares(view, row, entry)) {
    const own = scratch.own[level].get(domain);
    scratch.gains[level].add(domain, weight * edgeGain(RANDOM, level, true, own, replicas, share, 1));
  }
}

function pinnedShares(
  view: PlacementView,
  { pinStart, pinNode, pinShare }: PeerRow,
  entry: number,
): { readonly level: Level; readonly domain: number; readonly share: number }[] {
  const shares: Record<Level, Map<number, number>> = { node: new Map(), zone: new Map(), region: new Map() };
  for (let p = pinStart[entry]!; p < pinStart[entry + 1]!; p++) {
    const node = pinNode[p]!;
    const of = { node, zone: view.nodeZone[node]!, region: view.nodeRegion[node]! };
    for (const level of ['node', 'zone', 'region'] as const) {
      if (of[level] >= 0) shares[level].set(of[level], (shares[level].get(of[level]) ?? 0) + pinShare[p]!);
    }
  }
  return Object.entries(shares).flatMap(([level, byDomain]) =>
    [...byDomain].map(([domain, share]) => ({ level: level as Level, domain, share })),
  );
}

/** The terms of one entry. They are what was added: gains are linear in the weight, and entries of a peer share all else. */
function traceEntry(
  view: PlacementView,
  row: PeerRow,
  entry: number,
  replicas: number,
  scratch: GainTallies,
  trace: Trace,
): void {
  const peer = row.peer[entry]!;
  const peerReplicas = view.replicas[peer]!;
  const weight = weightOf(row, entry);
  const routing = row.routing[entry]!;
  if (routing === PINNED) {
    for (const { level, domain, share } of pinnedShares(view, row, entry)) {
      const own = scratch.own[level].get(domain);
      const gain = weight * edgeGain(RANDOM, level, true, own, replicas, share, 1);
      trace(level, entry, domain, own, share * peerReplicas, gain);
    }
    return;
  }
  for (const { level, domains, counts, from, end } of standings(view, peer)) {
    for (let k = from; k < end; k++) {
      const domain = domains[k]!;
      const own = scratch.own[level].get(domain);
      const asClient = row.client[entry] === 1;
      const gain = weight * edgeGain(routing, level, asClient, own, replicas, counts[k]!, peerReplicas);
      trace(level, entry, domain, own, counts[k]!, gain);
    }
  }
}
