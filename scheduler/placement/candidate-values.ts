import { deduction, intentValue, keptForPeers, nodeWeightBeyond, type Basis } from './evaluate.ts';
import type { Scratch } from './scratch.ts';
import type { PlacementSettings } from './settings.ts';
import type { PlacementView } from './view.ts';

/**
 * Fills values[c] with nodeValue of candidate c. The same sums as there, but for thousands of candidates: what they share by zone
 * and region is looked up once.
 */
export function fillValues(
  view: PlacementView,
  candidates: ArrayLike<number>,
  basis: Basis,
  settings: PlacementSettings,
  scratch: Scratch,
  values: Float64Array,
): void {
  const { plan, toShare, cap, zoneCap } = basis;
  const factor = basis.floorFactor * basis.scarcityFactor;
  if (plan?.state === 'open') {
    for (let c = 0; c < candidates.length; c++) values[c] = intentValue(view, candidates[c]!, basis, scratch);
    return;
  }
  const { nodeCount, nodeLive, nodeZone, nodeRegion, nodeAvoided, names } = view;
  const { own, gains, lookAhead } = scratch;
  const { levelWeights: weights, lookAhead: lookAheadWeight } = settings;
  const zoneShare = Float64Array.from(names.zones, (_, zone) => toShare * gains.zone.get(zone));
  const isFull = Uint8Array.from(names.zones, (_, zone) => (own.zone.get(zone) >= zoneCap ? 1 : 0));
  const regionShare = Float64Array.from(names.regions, (_, region) => toShare * gains.region.get(region));
  const looksAhead = lookAheadWeight > 0 && lookAhead.active;
  const deducts = plan !== undefined || view.hasLinks;
  const { start: claimStart, end: claimEnd } = view.claims;
  for (let c = 0; c < candidates.length; c++) {
    const node = candidates[c]!;
    if (!(node >= 0 && node < nodeCount) || nodeLive[node] !== 1) {
      values[c] = 0;
      continue;
    }
    const zone = nodeZone[node]!;
    let worth = 0;
    if (nodeAvoided[node] !== 1 && !(own.node.get(node) >= cap) && !(zone >= 0 && isFull[zone] === 1)) {
      const region = nodeRegion[node]!;
      const gNode = toShare * gains.node.get(node);
      const gZone = zone < 0 ? gNode : zoneShare[zone]!;
      const gRegion = region < 0 ? gZone : regionShare[region]!;
      worth = gNode * weights.node + (gZone - gNode) * weights.zone + (gRegion - gZone) * weights.region;
      const future = looksAhead ? lookAhead.worth(node) : 0;
      if (future > 0) {
        worth += future * lookAhead.room(view, node) * nodeWeightBeyond(view, node, weights) * lookAheadWeight;
      }
      worth = Math.min(1, worth * factor);
    }
    values[c] = deducts
      ? worth - deduction(view, node, basis, settings, scratch)
      : claimEnd[node] !== claimStart[node]
        ? worth - keptForPeers(view, node, basis, settings)
        : worth;
  }
}
