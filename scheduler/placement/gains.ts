import { minMarginal } from './min-marginal.ts';
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

/** Working memory of a call, reused by the next: at 65,000 nodes a fresh one would be megabytes for the collector. */
export class Scratch {
  /** Placed replicas of the pod's own workload. */
  readonly own = new LevelTallies();
  /** Bytes per second that become local within the domain, per replica of the workload. */
  readonly gains = new LevelTallies();
  readonly peerZone = new Tally();
  readonly peerRegion = new Tally();
  readonly seen = new Tally();
  values = new Float64Array(0);
}

/** Whether an entry can gain at all. The formula gives traffic of a workload with itself nothing: it is no reason to pack replicas together. */
function movable(view: PlacementView, workload: number, entry: number): boolean {
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
 */
export function accumulateGains(
  view: PlacementView,
  workload: number,
  replicas: number,
  scratch: Scratch,
  trace: Trace | undefined,
): void {
  const { own, gains, peerZone, peerRegion } = scratch;
  const { placedStart, placedNode, placedCount, nodeZone, nodeRegion } = view;
  own.reset(view);
  gains.reset(view);
  for (let p = placedStart[workload]!; p < placedStart[workload + 1]!; p++) {
    const node = placedNode[p]!;
    const count = placedCount[p]!;
    own.node.add(node, count);
    if (nodeZone[node]! >= 0) own.zone.add(nodeZone[node]!, count);
    if (nodeRegion[node]! >= 0) own.region.add(nodeRegion[node]!, count);
  }

  for (let e = view.peerStart[workload]!; e < view.peerStart[workload + 1]!; e++) {
    const weight = trafficOf(view.peerBytesPerSecond[e]) * view.peerConfidence[e]!;
    if (!(weight > 0) || !movable(view, workload, e)) continue;
    const peer = view.peer[e]!;
    const peerReplicas = view.replicas[peer]!;
    peerZone.reset(view.names.zones.length);
    peerRegion.reset(view.names.regions.length);
    for (let p = placedStart[peer]!; p < placedStart[peer + 1]!; p++) {
      const node = placedNode[p]!;
      const count = placedCount[p]!;
      if (nodeZone[node]! >= 0) peerZone.add(nodeZone[node]!, count);
      if (nodeRegion[node]! >= 0) peerRegion.add(nodeRegion[node]!, count);
      const placedOwn = own.node.get(node);
      const gain = weight * minMarginal(placedOwn, replicas, count, peerReplicas);
      gains.node.add(node, gain);
      trace?.('node', e, node, placedOwn, count, gain);
    }
    addDomainGains('zone', e, weight, replicas, peerReplicas, peerZone, scratch, trace);
    addDomainGains('region', e, weight, replicas, peerReplicas, peerRegion, scratch, trace);
  }
}

function addDomainGains(
  level: 'zone' | 'region',
  entry: number,
  weight: number,
  replicas: number,
  peerReplicas: number,
  placedPeer: Tally,
  scratch: Scratch,
  trace: Trace | undefined,
): void {
  const own = scratch.own[level];
  const gains = scratch.gains[level];
  for (let k = 0; k < placedPeer.touchedCount; k++) {
    const domain = placedPeer.touchedAt(k);
    const placedOwn = own.get(domain);
    const gain = weight * minMarginal(placedOwn, replicas, placedPeer.get(domain), peerReplicas);
    gains.add(domain, gain);
    trace?.(level, entry, domain, placedOwn, placedPeer.get(domain), gain);
  }
}
