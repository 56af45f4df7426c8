import type { PlanState } from './state.ts';

/** Pairs of replica and node that are looked at, so that a cluster whose links are all full costs no more than seconds. */
const MOST_VISITS = 20_000_000;

/**
 * Takes replicas off overloaded links, the fullest first and of each the one whose move gains most (value() rises with each),
 * as long as any does.
 */
export function relieveLinks(state: PlanState): void {
  if (!state.hasLinks) return;
  const overloaded = Array.from({ length: state.nodeCount }, (_, n) => n)
    .filter((n) => state.overload(n) > 0)
    .sort((a, b) => state.overload(b) - state.overload(a) || a - b);
  let visits = 0;
  for (const n of overloaded) {
    while (state.overload(n) > 0 && visits < MOST_VISITS) {
      const own = state.matrix.workloadsOn(n);
      visits += own.length * state.nodeCount;
      const move = bestMove(state, n, own);
      if (move === undefined) break;
      state.take(move.workload, n, 1);
      state.put(move.workload, move.to, 1);
    }
  }
}

function bestMove(state: PlanState, n: number, own: Int32Array): { workload: number; to: number } | undefined {
  let best: { workload: number; to: number } | undefined;
  let most = 1e-12;
  for (const c of own) {
    const loss = state.loss(c, n);
    const left = -loss - state.linkCost(c, n, -1, -loss);
    if (left <= most) continue;
    for (let to = 0; to < state.nodeCount; to++) {
      if (to === n || !state.fits(c, to)) continue;
      const gain = state.gain(c, to);
      const value = left + gain - state.linkCost(c, to, 1, gain);
      if (value <= most) continue;
      most = value;
      best = { workload: c, to };
    }
  }
  return best;
}
