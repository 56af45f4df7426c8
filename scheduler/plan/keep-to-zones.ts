import type { PlanState } from './state.ts';

/**
 * Takes replicas beyond zoneCap out of a zone, one by one the one whose move to another zone with room loses least. The score
 * keeps to that cap too: what a plan wants beyond it would stand anywhere, in the way of others.
 * @returns how many were moved
 */
export function keepToZones(state: PlanState, nodeZone: Int32Array, zoneCap: Int32Array): number {
  const zoneCount = Math.max(-1, ...new Set(nodeZone)) + 1;
  if (zoneCount < 2) return 0;
  let moved = 0;
  const counts = new Int32Array(zoneCount);
  for (let c = 0; c < zoneCap.length; c++) {
    if (zoneCap[c]! >= state.replicas[c]!) continue;
    counts.fill(0);
    for (const n of hostsOf(state, c)) if (nodeZone[n]! >= 0) counts[nodeZone[n]!]! += state.matrix.get(n, c);
    for (let zone = 0; zone < zoneCount; zone++) {
      while (counts[zone]! > zoneCap[c]!) {
        const to = bestElsewhere(state, c, (n) => nodeZone[n]! >= 0 && counts[nodeZone[n]!]! >= zoneCap[c]!);
        if (to < 0) break;
        const from = leastLoss(state, c, (n) => nodeZone[n] === zone);
        state.take(c, from, 1);
        state.put(c, to, 1);
        moved++;
        counts[zone]!--;
        if (nodeZone[to]! >= 0) counts[nodeZone[to]!]!++;
      }
    }
  }
  return moved;
}

/** Ascending, so that the history of the state changes nothing. */
function hostsOf({ matrix }: PlanState, c: number): Int32Array {
  return matrix.hosts.slice(matrix.hostStart[c], matrix.hostStart[c]! + matrix.hostCount[c]!).sort();
}

function bestElsewhere(state: PlanState, c: number, isFull: (n: number) => boolean): number {
  let best = -1;
  let most = -Infinity;
  for (let n = 0; n < state.nodeCount; n++) {
    if (isFull(n) || !state.fits(c, n)) continue;
    const gain = state.gain(c, n);
    const value = gain - state.linkCost(c, n, 1, gain);
    if (value <= most) continue;
    most = value;
    best = n;
  }
  return best;
}

function leastLoss(state: PlanState, c: number, isThere: (n: number) => boolean): number {
  let best = -1;
  let least = Infinity;
  for (const n of hostsOf(state, c)) {
    if (!isThere(n)) continue;
    const loss = state.loss(c, n);
    const value = loss + state.linkCost(c, n, -1, -loss);
    if (value >= least) continue;
    least = value;
    best = n;
  }
  return best;
}
