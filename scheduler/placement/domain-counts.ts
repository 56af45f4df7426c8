import type { PlacementView } from './view.ts';

/** Placed replicas of a workload by zone, or by region: counts[k] in domains[k]. */
export interface DomainCounts {
  readonly domains: Int32Array;
  readonly counts: Int32Array;
}

export interface WorkloadDomains {
  readonly zone: DomainCounts;
  readonly region: DomainCounts;
}

/**
 * Sums of a view that calls have asked for. A DaemonSet is peer of nearly everybody and stands on every node:
 * its zones are counted once a view, not once a call. Whoever changes a view in place (the simulator) says so to forgetDomains.
 */
const known = new WeakMap<PlacementView, (WorkloadDomains | undefined)[]>();

export function workloadDomains(view: PlacementView, workload: number): WorkloadDomains {
  let ofView = known.get(view);
  if (ofView === undefined) {
    ofView = [];
    known.set(view, ofView);
  }
  return (ofView[workload] ??= {
    zone: countBy(view, workload, view.nodeZone),
    region: countBy(view, workload, view.nodeRegion),
  });
}

/** To be called after the placed replicas of a workload have changed in a view. */
export function forgetDomains(view: PlacementView, workload: number): void {
  const ofView = known.get(view);
  if (ofView !== undefined) ofView[workload] = undefined;
}

function countBy(view: PlacementView, workload: number, domainOf: Int32Array): DomainCounts {
  const counts = new Map<number, number>();
  for (let p = view.placedStart[workload]!; p < view.placedEnd[workload]!; p++) {
    const domain = domainOf[view.placedNode[p]!]!;
    if (domain >= 0) counts.set(domain, (counts.get(domain) ?? 0) + view.placedCount[p]!);
  }
  return { domains: Int32Array.from(counts.keys()), counts: Int32Array.from(counts.values()) };
}
