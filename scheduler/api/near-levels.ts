import type { ClusterState } from '../cluster/state.ts';
import type { NearLevel } from './placement-notes.ts';

/** The node, its zone and its region, where there are nodes beside it: a cluster in one zone has nothing to say of it. */
export function nearLevels(cluster: ClusterState, node: string): NearLevel[] {
  const own = cluster.node(node);
  const levels: NearLevel[] = [{ where: 'on the node', shareOf: shareWhere(cluster, (name) => name === node) }];
  for (const domain of ['zone', 'region'] as const) {
    const name = own?.[domain];
    if (name === undefined || !hasOthers(cluster, domain, name)) continue;
    levels.push({ where: `in ${name}`, shareOf: shareWhere(cluster, (at) => cluster.node(at)?.[domain] === name) });
  }
  return levels;
}

function hasOthers(cluster: ClusterState, domain: 'zone' | 'region', name: string): boolean {
  for (const node of cluster.nodes()) if (node[domain] !== name) return true;
  return false;
}

function shareWhere(cluster: ClusterState, isThere: (node: string) => boolean): NearLevel['shareOf'] {
  return (key) => {
    const workload = cluster.workload(key);
    if (workload === undefined) return 0;
    let there = 0;
    for (const [node, placed] of workload.placedByNode) if (isThere(node)) there += placed;
    return there / Math.max(1, workload.placed);
  };
}
