import type { HostPriority } from '../lab/demo/index.ts';
import type { LabState } from '../lab/state.ts';

/**
 * Takes the node with the most points; among equals (and without an opinion) the one with the fewest pods, which stands
 * for kube-scheduler's own scores.
 */
export function pickNode(state: LabState, candidates: readonly string[], hosts: readonly HostPriority[]): string {
  const score = new Map(hosts.map(({ Host, Score }) => [Host, Score]));
  const pods = (node: string): number => state.pods.filter((pod) => pod.node === node).length;
  const [best] = candidates.toSorted(
    (a, b) => (score.get(b) ?? 0) - (score.get(a) ?? 0) || pods(a) - pods(b) || (a < b ? -1 : 1),
  );
  if (best === undefined) throw new RangeError('no node has room');
  return best;
}
