import type { PlacementSettings } from '../../scheduler/placement/index.ts';
import type { ViewSpec } from '../support/view-fixture.ts';

/**
 * The scoring formula once more, written down from the issue and placement-study.md §2.3 on the plain description
 * of a cluster, without an eye to speed. Returns the score of every candidate, before the limit on named nodes.
 */
export function naiveScores(
  spec: ViewSpec,
  workloadKey: string,
  candidates: readonly string[],
  settings: PlacementSettings,
): Map<string, number> {
  const nodeOf = new Map(spec.nodes.map((node) => [node.name, node]));
  const workload = (key: string) => spec.workloads.find((w) => w.key === key)!;
  const placedOn = (key: string, domain: (node: string) => boolean): number =>
    Object.entries(workload(key).placed ?? {}).reduce((sum, [node, n]) => sum + (domain(node) ? n : 0), 0);
  const replicas = (key: string) =>
    Math.max(
      workload(key).replicas ?? 1,
      1,
      placedOn(key, () => true),
    );

  const a = workloadKey;
  const Ra = replicas(a);
  // The only pod of a Deployment gives way to the one that is asked about.
  const replaced = Ra === 1 && a.includes('/Deployment/');
  const own = (domain: (node: string) => boolean): number => (replaced ? 0 : placedOn(a, domain));
  const edges = spec.edges.filter((e) => e.client === a || e.server === a);
  const Va = edges.reduce((sum, e) => sum + e.bytesPerSecond, 0) + (workload(a).otherBytesPerSecond ?? 0);
  if (Va === 0 || edges.length === 0) return new Map(candidates.map((name) => [name, 0]));
  const floor =
    (spec.hasUnits ?? true) && settings.floorBytesPerSecond > 0
      ? Math.min(1, Va / Ra / settings.floorBytesPerSecond)
      : 1;

  const now = (domain: (node: string) => boolean): number => {
    const xa = own(domain);
    let sum = 0;
    for (const edge of edges) {
      const b = edge.client === a ? edge.server : edge.client;
      if (b === a) continue;
      const share = placedOn(b, domain) / replicas(b);
      const gain = Math.min((xa + 1) / Ra, share) - Math.min(xa / Ra, share);
      sum += edge.bytesPerSecond * Math.fround(edge.confidence ?? 1) * gain;
    }
    return (Ra / Va) * sum;
  };

  const value = (name: string): number => {
    const node = nodeOf.get(name);
    if (node === undefined || node.live === false) return 0;
    if (own((n) => n === name) >= Math.max(1, Math.ceil(settings.maxReplicaShare * Ra))) return 0;
    const gNode = now((n) => n === name);
    const gZone = node.zone === undefined ? gNode : now((n) => nodeOf.get(n)!.zone === node.zone);
    const gRegion = node.region === undefined ? gZone : now((n) => nodeOf.get(n)!.region === node.region);
    const w = settings.levelWeights;
    return floor * (gNode * w.node + (gZone - gNode) * w.zone + (gRegion - gZone) * w.region);
  };
  const values = candidates.map(value);
  const least = Math.min(...values);
  return new Map(
    candidates.map((name, i) => [name, Math.floor((values[i]! - least) * settings.scoreRange + 0.5 + 1e-9)]),
  );
}
