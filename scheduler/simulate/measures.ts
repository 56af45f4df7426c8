import type { SimulatedCluster } from './cluster.ts';
import type { LiveView } from './live-view.ts';

/**
 * Shares of the traffic between workloads, 0..1. A node without a zone counts as alone in it, a zone without a region
 * too.
 */
export interface LocalShare {
  readonly node: number;
  readonly zone: number;
  readonly region: number;
}

/** What a pair's traffic is under a way of routing, given the shares of both workloads' replicas in a domain. */
type Meeting = (shareA: number, shareB: number, byA: number, byB: number) => number;

/**
 * balanced: min(x_a/R_a, x_b/R_b), what could be local if replicas carried equal loads (RASA's gained affinity);
 * random: the product, what kube-proxy's choice among all replicas gives; same-node: each client whose domain has a
 * server stays in it.
 */
export const ROUTINGS = ['random', 'balanced', 'same-node'] as const;
export type Routing = (typeof ROUTINGS)[number];

const MEETINGS: Readonly<Record<Routing, Meeting>> = {
  balanced: (a, b, byA, byB) => (byA + byB) * Math.min(a, b),
  random: (a, b, byA, byB) => (byA + byB) * a * b,
  'same-node': (a, b, byA, byB) => byA * (b > 0 ? a : 0) + byB * (a > 0 ? b : 0),
};

/** 1 everywhere where there is no traffic between workloads. */
export function localShare(cluster: SimulatedCluster, live: LiveView, routing: Routing): LocalShare {
  const { pairs, total } = cluster.traffic;
  if (total === 0) return { node: 1, zone: 1, region: 1 };
  const meeting = MEETINGS[routing];
  const share = (level: 'node' | 'zone' | 'region'): number => {
    const rows = rowsOf(cluster, live, level);
    let local = 0;
    for (const { a, b, byA, byB } of pairs) {
      const [rowA, rowB] = [rows(a), rows(b)];
      const ofA = cluster.replicas[a]!;
      const ofB = cluster.replicas[b]!;
      for (let i = 0, j = 0; i < rowA.domains.length && j < rowB.domains.length;) {
        const domainA = rowA.domains[i]!;
        const domainB = rowB.domains[j]!;
        if (domainA === domainB) local += meeting(rowA.counts[i++]! / ofA, rowB.counts[j++]! / ofB, byA, byB);
        else if (domainA < domainB) i++;
        else j++;
      }
    }
    return Math.min(1, local / total);
  };
  return { node: share('node'), zone: share('zone'), region: share('region') };
}

interface Row {
  /** Ascending. */
  readonly domains: ArrayLike<number>;
  readonly counts: ArrayLike<number>;
}

/** Placed replicas of a workload by domain, each workload summed once. */
function rowsOf(cluster: SimulatedCluster, live: LiveView, level: 'node' | 'zone' | 'region'): (w: number) => Row {
  const { placedStart, placedEnd, placedNode, placedCount } = live.view;
  const domain = domainOf(cluster, level);
  const known: (Row | undefined)[] = [];
  return (w) => (known[w] ??= summed(w));

  function summed(w: number): Row {
    const [from, to] = [placedStart[w]!, placedEnd[w]!];
    if (level === 'node') return { domains: placedNode.subarray(from, to), counts: placedCount.subarray(from, to) };
    const counts = new Map<number, number>();
    for (let p = from; p < to; p++) {
      const d = domain(placedNode[p]!);
      counts.set(d, (counts.get(d) ?? 0) + placedCount[p]!);
    }
    const domains = [...counts.keys()].sort((x, y) => x - y);
    return { domains, counts: domains.map((d) => counts.get(d)!) };
  }
}

/** Negative numbers are nodes, and zones, that are alone in what contains them. */
function domainOf({ problem }: SimulatedCluster, level: 'node' | 'zone' | 'region'): (node: number) => number {
  const { nodeZone, nodeRegion, nodeCount } = problem;
  const zone = (n: number): number => (nodeZone[n]! >= 0 ? nodeZone[n]! : -1 - n);
  if (level === 'zone') return zone;
  return (n) => {
    if (nodeRegion[n]! >= 0) return nodeRegion[n]!;
    return nodeZone[n]! >= 0 ? -1 - nodeCount - nodeZone[n]! : -1 - n;
  };
}

export interface Spread {
  /**
   * Largest share of a workload's replicas on one node, over workloads with at least two replicas to place; 0 without
   * any.
   */
  readonly mean: number;
  readonly max: number;
}

export function spread(cluster: SimulatedCluster, live: LiveView): Spread {
  const { placedStart, placedEnd, placedCount } = live.view;
  const { replicas } = cluster.problem;
  let sum = 0;
  let max = 0;
  let count = 0;
  for (let w = 0; w < replicas.length; w++) {
    if (replicas[w]! < 2) continue;
    let most = 0;
    for (let p = placedStart[w]!; p < placedEnd[w]!; p++) most = Math.max(most, placedCount[p]!);
    const share = most / cluster.replicas[w]!;
    sum += share;
    max = Math.max(max, share);
    count++;
  }
  return { mean: count === 0 ? 0 : sum / count, max };
}
