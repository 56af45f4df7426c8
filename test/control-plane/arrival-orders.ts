import { humanShare } from '../../lib/output/index.ts';
import type { LocalShares, ShopCopies, ShopPod } from './shop-copies.ts';

/** Where traffic stays over the same orders of arrival, by both ways. */
export interface Comparison {
  readonly without: readonly LocalShares[];
  readonly with: readonly LocalShares[];
}

export interface ComparedLevel {
  readonly without: number;
  readonly with: number;
  readonly ratio: number;
  /** Orders in which Netloom did worse. */
  readonly worse: number;
}

/** Lets all pods arrive in each of the orders, and go again. */
export async function sharesByOrder(copies: ShopCopies, orders: number, inFlight: number): Promise<LocalShares[]> {
  const shares: LocalShares[] = [];
  for (let order = 0; order < orders; order++) {
    await copies.arrive(arrivalOrder(copies.pods, order), inFlight);
    shares.push(copies.shares());
    await copies.leave();
  }
  return shares;
}

export function compare(runs: Comparison, level: keyof LocalShares): ComparedLevel {
  const mean = (shares: readonly LocalShares[]): number =>
    shares.reduce((sum, share) => sum + share[level], 0) / shares.length;
  const [without, withNetloom] = [mean(runs.without), mean(runs.with)];
  return {
    without,
    with: withNetloom,
    ratio: withNetloom / without,
    worse: runs.with.filter((share, order) => share[level] < runs.without[order]![level]).length,
  };
}

export function comparisonLine(what: string, runs: Comparison): string {
  const levels = (['node', 'zone'] as const).map((level) => {
    const { without, with: withNetloom, ratio, worse } = compare(runs, level);
    return (
      `${level}-local ${humanShare(without)} without, ${humanShare(withNetloom)} with Netloom ` +
      `(${ratio > 100 ? 'over 100' : ratio.toFixed(2)} times), worse in ${worse}`
    );
  });
  return `${what}, ${runs.with.length} orders: ${levels.join('; ')}`;
}

/** A permutation, the same for a seed at every run (Fisher-Yates; mulberry32 as the source of chance). */
export function arrivalOrder(pods: readonly ShopPod[], seed: number): ShopPod[] {
  let state = (seed + 1) * 0x9e3779b9;
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const order = [...pods];
  for (let i = order.length - 1; i > 0; i--) {
    const j = Math.floor(next() * (i + 1));
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}
