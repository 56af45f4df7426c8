import { MaxHeap } from './heap.ts';
import { isSilent, type Traffic } from './traffic.ts';

/**
 * Heavy-edge communities: the pair of communities with most traffic between them is merged as long as both together ask
 * for no more than `most` (placement-study.md §10: a few nodes' worth; without that bound the giant component is one).
 * @param size what all replicas of a workload ask for, in nodes' worth
 * @returns members of each community of two and more workloads, most internal traffic first
 */
export function heavyEdgeCommunities(traffic: Traffic, size: Float64Array, most: number): Int32Array[] {
  const { start, peer, weight } = traffic;
  const count = size.length;
  const parent = Int32Array.from({ length: count }, (_, w) => w);
  const total = size.slice();
  const inside = new Float64Array(count);
  /** Of a community's root: traffic with other roots, and the number that tells whether a heap entry is still true. */
  const between: (Map<number, number> | undefined)[] = Array.from({ length: count });
  const heap = new MaxHeap();
  const pairs: [a: number, b: number, weight: number][] = [];
  const offer = (a: number, b: number, w: number): void => {
    if (total[a]! + total[b]! > most) return;
    heap.push(pairs.push([a, b, w]) - 1, w);
  };
  for (let w = 0; w < count; w++) {
    if (isSilent(traffic, w)) continue;
    const own = new Map<number, number>();
    for (let e = start[w]!; e < start[w + 1]!; e++) own.set(peer[e]!, (own.get(peer[e]!) ?? 0) + weight[e]!);
    between[w] = own;
    for (const [b, sum] of own) if (w < b) offer(w, b, sum);
  }
  for (let next = heap.pop(); next !== undefined; next = heap.pop()) {
    const [a, b, w] = pairs[next]!;
    // Merged meanwhile, or grown: the pair was offered again then.
    if (parent[a] !== a || parent[b] !== b || between[a]!.get(b) !== w || total[a]! + total[b]! > most) continue;
    const [into, from] = between[a]!.size >= between[b]!.size ? [a, b] : [b, a];
    parent[from] = into;
    total[into]! += total[from]!;
    inside[into]! += inside[from]! + w;
    const own = between[into]!;
    own.delete(from);
    for (const [other, more] of between[from]!) {
      if (other === into) continue;
      const sum = (own.get(other) ?? 0) + more;
      own.set(other, sum);
      between[other]!.delete(from);
      between[other]!.set(into, sum);
      offer(into, other, sum);
    }
    between[from] = undefined;
  }
  return groups(parent, inside);
}

function groups(parent: Int32Array, inside: Float64Array): Int32Array[] {
  const members = new Map<number, number[]>();
  for (let w = 0; w < parent.length; w++) {
    let root = w;
    while (parent[root] !== root) root = parent[root]!;
    parent[w] = root;
    const list = members.get(root);
    if (list === undefined) members.set(root, [w]);
    else list.push(w);
  }
  return [...members]
    .filter(([, list]) => list.length > 1)
    .sort(([a], [b]) => inside[b]! - inside[a]! || a - b)
    .map(([, list]) => Int32Array.from(list));
}
