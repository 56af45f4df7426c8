import type { PlacementProblem } from '../../../scheduler/placement/problem.ts';
import type { ReplicaCounts } from '../../../scheduler/plan/placement-plan.ts';

/** x[w][n] as plain numbers. */
export function denseCounts(problem: PlacementProblem, counts: ReplicaCounts): number[][] {
  const x = Array.from({ length: problem.workloadCount }, () => new Array<number>(problem.nodeCount).fill(0));
  for (let w = 0; w < problem.workloadCount; w++) {
    for (let i = counts.targetStart[w]!; i < counts.targetStart[w + 1]!; i++) {
      x[w]![counts.targetNode[i]!]! += counts.targetCount[i]!;
    }
  }
  return x;
}

/** The formula of placement-study.md §1, literally; `domain` is the node itself or its zone. */
export function naiveLocalShare(
  problem: PlacementProblem,
  x: readonly number[][],
  domain = (n: number): number => n,
): number {
  let total = 0;
  let local = 0;
  for (const [e, weight] of problem.edgeWeight.entries()) {
    total += weight;
    const [a, b] = [problem.edgeA[e]!, problem.edgeB[e]!];
    if (problem.replicas[a] === 0 || problem.replicas[b] === 0) continue;
    const shares = new Map<number, [number, number]>();
    for (let n = 0; n < problem.nodeCount; n++) {
      const share = shares.get(domain(n)) ?? [0, 0];
      share[0] += x[a]![n]! / problem.replicas[a]!;
      share[1] += x[b]![n]! / problem.replicas[b]!;
      shares.set(domain(n), share);
    }
    for (const [shareA, shareB] of shares.values()) local += weight * Math.min(shareA, shareB);
  }
  return total === 0 ? 0 : local / total;
}

export function isAllowed({ choices }: PlacementProblem, w: number, n: number): boolean {
  const choice = choices?.of[w] ?? -1;
  return choice < 0 || choices!.allowed[choice]![n] === 1;
}

/** Bytes per second beyond `most` of each link's capacity, by node; links where none is known have none. */
export function naiveOverload(problem: PlacementProblem, x: readonly number[][], most: number): number[] {
  const { links, nodeCount, edgeA, edgeB, edgeWeight, replicas } = problem;
  return Array.from({ length: nodeCount }, (_, n) => {
    if (links === undefined) return 0;
    let [tx, rx] = [links.nodeTx[n]!, links.nodeRx[n]!];
    for (const [w, row] of x.entries()) {
      tx += row[n]! * links.tx[w]!;
      rx += row[n]! * links.rx[w]!;
    }
    for (const [e, weight] of edgeWeight.entries()) {
      const [a, b] = [edgeA[e]!, edgeB[e]!];
      if (replicas[a] === 0 || replicas[b] === 0) continue;
      const local = weight * Math.min(x[a]![n]! / replicas[a]!, x[b]![n]! / replicas[b]!);
      tx -= local;
      rx -= local;
    }
    return Math.max(0, tx - most * links.nodeLink[n]!, rx - most * links.nodeLink[n]!);
  });
}

/** What of cpu, memory, pod count, cap and allowed nodes is broken; sums as anybody would make them. */
export function violations(problem: PlacementProblem, x: readonly number[][]): string[] {
  const found: string[] = [];
  for (let n = 0; n < problem.nodeCount; n++) {
    let [cpu, memory, pods] = [0, 0, 0];
    for (let w = 0; w < problem.workloadCount; w++) {
      const k = x[w]![n]!;
      cpu += k * problem.milliCpu[w]!;
      memory += k * problem.memoryBytes[w]!;
      pods += k;
      if (k > 0 && !isAllowed(problem, w, n)) found.push(`${w} is not for ${n}`);
      if (k > problem.cap[w]!) found.push(`cap of ${w} on ${n}: ${k}`);
    }
    if (cpu > problem.nodeMilliCpu[n]! * (1 + 1e-12)) found.push(`cpu of ${n}: ${cpu} of ${problem.nodeMilliCpu[n]}`);
    if (memory > problem.nodeMemoryBytes[n]! * (1 + 1e-12)) found.push(`memory of ${n}: ${memory}`);
    if (pods > problem.nodePods[n]!) found.push(`pods of ${n}: ${pods}`);
  }
  return found;
}

/** The best local share of all placements that place as many replicas as can be placed; for tiny problems. */
export function bruteForce(problem: PlacementProblem): { readonly placed: number; readonly share: number } {
  const x = Array.from({ length: problem.workloadCount }, () => new Array<number>(problem.nodeCount).fill(0));
  let best = { placed: -1, share: -1 };
  const fits = (w: number, n: number): boolean => {
    let [cpu, memory, pods] = [0, 0, 0];
    for (let v = 0; v < problem.workloadCount; v++) {
      cpu += x[v]![n]! * problem.milliCpu[v]!;
      memory += x[v]![n]! * problem.memoryBytes[v]!;
      pods += x[v]![n]!;
    }
    return (
      isAllowed(problem, w, n) &&
      x[w]![n]! < problem.cap[w]! &&
      pods < problem.nodePods[n]! &&
      cpu + problem.milliCpu[w]! <= problem.nodeMilliCpu[n]! &&
      memory + problem.memoryBytes[w]! <= problem.nodeMemoryBytes[n]!
    );
  };
  /** Places replicas of w from `left` on, nodes in ascending order so that none is counted twice. */
  const walk = (w: number, left: number, from: number, placed: number): void => {
    if (w === problem.workloadCount) {
      const share = naiveLocalShare(problem, x);
      if (placed > best.placed || (placed === best.placed && share > best.share)) best = { placed, share };
      return;
    }
    if (left === 0) return walk(w + 1, problem.replicas[w + 1] ?? 0, 0, placed);
    for (let n = from; n < problem.nodeCount; n++) {
      if (!fits(w, n)) continue;
      x[w]![n]!++;
      walk(w, left - 1, n, placed + 1);
      x[w]![n]!--;
    }
    walk(w + 1, problem.replicas[w + 1] ?? 0, 0, placed);
  };
  walk(0, problem.replicas[0] ?? 0, 0, 0);
  return best;
}
