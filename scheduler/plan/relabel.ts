import type { PlacementProblem } from '../placement/problem.ts';
import { Choices } from './choices.ts';
import { overlapOf, rowsByNode, type NodeRows } from './node-rows.ts';
import type { ReplicaCounts } from './placement-plan.ts';
import { renamed } from './renamed.ts';

/**
 * The same target with what is planned for nodes of equal room, zone and region exchanged among them, so that more of it
 * stands already: sum over w, n of min(target_wn, standing_wn) never falls. Local shares stay as they are. Greedy
 * matching, then exchanges as long as one gains (placement-study.md §10).
 */
export function relabel(problem: PlacementProblem, target: ReplicaCounts, standing: ReplicaCounts): ReplicaCounts {
  const wanted = rowsByNode(problem.nodeCount, target);
  const present = rowsByNode(problem.nodeCount, standing);
  const classOf = equalNodes(problem);
  const pairs = overlappingPairs(target, standing, wanted, present, classOf);
  const matched = match(pairs, classOf);
  exchange(matched, pairs, wanted, present);
  const itself = Int32Array.from({ length: problem.nodeCount }, (_, n) => n);
  const isBetter = total(matched, wanted, present) > total(itself, wanted, present);
  return isBetter ? renamed(target, matched) : target;
}

/** What is planned for node `content` would keep `overlap` replicas in place on `node`. */
interface Pair {
  readonly content: number;
  readonly node: number;
  readonly overlap: number;
}

/** Of a workload with more pairs of nodes than that no pairs are made: it stands nearly everywhere and decides nothing. */
const MOST_PAIRS_OF_A_WORKLOAD = 20_000;
const MOST_SWEEPS = 20;

/** Nodes of one class have the same room and link, zone and region, and are allowed to the same workloads. */
function equalNodes(problem: PlacementProblem): Int32Array {
  const { nodeMilliCpu, nodeMemoryBytes, nodePods, nodeZone, nodeRegion, nodeCount } = problem;
  const classes = new Map<string, number>();
  const { nodeKind } = new Choices(problem);
  const link = problem.links?.nodeLink;
  return Int32Array.from({ length: nodeCount }, (_, n) => {
    const key = [
      nodeMilliCpu[n],
      nodeMemoryBytes[n],
      nodePods[n],
      nodeZone[n],
      nodeRegion[n],
      nodeKind[n],
      link?.[n],
    ].join();
    const known = classes.get(key) ?? classes.size;
    classes.set(key, known);
    return known;
  });
}

/** Greatest overlap first. */
function overlappingPairs(
  target: ReplicaCounts,
  standing: ReplicaCounts,
  wanted: NodeRows,
  present: NodeRows,
  classOf: Int32Array,
): Pair[] {
  const nodeCount = classOf.length;
  const seen = new Set<number>();
  for (let w = 0; w + 1 < target.targetStart.length; w++) {
    const [from, to] = [target.targetStart[w]!, target.targetStart[w + 1]!];
    const [first, end] = [standing.targetStart[w]!, standing.targetStart[w + 1]!];
    if ((to - from) * (end - first) > MOST_PAIRS_OF_A_WORKLOAD) continue;
    for (let i = from; i < to; i++) {
      const content = target.targetNode[i]!;
      for (let j = first; j < end; j++) {
        const node = standing.targetNode[j]!;
        if (classOf[content] === classOf[node]) seen.add(content * nodeCount + node);
      }
    }
  }
  const pairs = Array.from(seen, (key): Pair => {
    const [content, node] = [Math.floor(key / nodeCount), key % nodeCount];
    return { content, node, overlap: overlapOf(wanted, content, present, node) };
  });
  return pairs.sort((a, b) => b.overlap - a.overlap || a.content - b.content || a.node - b.node);
}

/** A permutation within the classes: entry i is where what is planned for node i goes. */
function match(pairs: readonly Pair[], classOf: Int32Array): Int32Array {
  const nodeOf = new Int32Array(classOf.length).fill(-1);
  const isTaken = new Uint8Array(classOf.length);
  const assign = (content: number, node: number): void => {
    nodeOf[content] = node;
    isTaken[node] = 1;
  };
  for (const { content, node } of pairs) if (nodeOf[content] === -1 && isTaken[node] === 0) assign(content, node);
  for (const content of nodeOf.keys()) if (nodeOf[content] === -1 && isTaken[content] === 0) assign(content, content);
  const free: number[][] = [];
  for (let n = classOf.length - 1; n >= 0; n--) if (isTaken[n] === 0) (free[classOf[n]!] ??= []).push(n);
  for (const content of nodeOf.keys()) if (nodeOf[content] === -1) assign(content, free[classOf[content]!]!.pop()!);
  return nodeOf;
}

function exchange(nodeOf: Int32Array, pairs: readonly Pair[], wanted: NodeRows, present: NodeRows): void {
  const contentOf = new Int32Array(nodeOf.length);
  for (const [content, node] of nodeOf.entries()) contentOf[node] = content;
  for (let sweep = 0, hasGained = true; hasGained && sweep < MOST_SWEEPS; sweep++) {
    hasGained = false;
    for (const { content, node, overlap } of pairs) {
      const [other, from] = [contentOf[node]!, nodeOf[content]!];
      if (other === content) continue;
      const before = overlapOf(wanted, content, present, from) + overlapOf(wanted, other, present, node);
      if (overlap + overlapOf(wanted, other, present, from) <= before) continue;
      nodeOf[content] = node;
      contentOf[node] = content;
      nodeOf[other] = from;
      contentOf[from] = other;
      hasGained = true;
    }
  }
}

function total(nodeOf: Int32Array, wanted: NodeRows, present: NodeRows): number {
  let sum = 0;
  for (const [content, node] of nodeOf.entries()) sum += overlapOf(wanted, content, present, node);
  return sum;
}
