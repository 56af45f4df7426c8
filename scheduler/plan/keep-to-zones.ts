import type { PlanState } from './state.ts';

/**
 * Takes replicas beyond the cap of state.zones out of a zone, one by one the one whose move to another zone with room loses least. The score
 * keeps to that cap too: what a plan wants beyond it would stand anywhere, in the way of others.
 * @returns how many were moved
 */
export function keepToZones(state: PlanState): number {
  const { zones } = state;
  if (zones === undefined || zones.zoneCount < 2) return 0;
  let moved = 0;
  for (let c = 0; c < state.replicas.length; c++) {
    for (let zone = 0; zone < zones.zoneCount; zone++) {
      while (zones.excess(c, zone) > 0) {
        const to = bestElsewhere(state, c, (n) => zones.isBeyond(c, n, 1));
        if (to < 0) break;
        const from = leastLoss(state, c, (n) => zones.zoneOf(n) === zone);
        state.take(c, from, 1);
        state.put(c, to, 1);
        moved++;
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
