import type { PlacementProblem } from '../placement/problem.ts';
import type { Random } from './random.ts';

/** NodeChoices.of: all nodes. */
export const ALL = -1;

/** Which nodes workloads may go to, and which nodes are alike in that. */
export class Choices {
  readonly #nodeCount: number;
  /** By workload, or ALL. */
  readonly #of: Int32Array;
  /** By choice and node. */
  readonly #allowed: Uint8Array;
  readonly #nodes: readonly Int32Array[];
  /** Nodes of one kind are allowed to the same workloads. */
  readonly nodeKind: Int32Array;

  constructor({
    nodeCount,
    workloadCount,
    choices,
  }: Pick<PlacementProblem, 'nodeCount' | 'workloadCount' | 'choices'>) {
    const sets = choices?.allowed ?? [];
    this.#nodeCount = nodeCount;
    this.#of = choices?.of ?? new Int32Array(workloadCount).fill(ALL);
    this.#allowed = new Uint8Array(sets.length * nodeCount);
    for (const [i, set] of sets.entries()) this.#allowed.set(set, i * nodeCount);
    this.#nodes = sets.map((set) => Int32Array.from(set.keys()).filter((n) => set[n] === 1));
    const kinds = new Map<string, number>();
    this.nodeKind = Int32Array.from({ length: nodeCount }, (_, n) => {
      const key = sets.map((set) => set[n]).join('');
      const kind = kinds.get(key) ?? kinds.size;
      kinds.set(key, kind);
      return kind;
    });
  }

  has(c: number, n: number): boolean {
    const choice = this.#of[c]!;
    return choice === ALL || this.#allowed[choice * this.#nodeCount + n] === 1;
  }

  /** Nodes where c may stand. */
  count(c: number): number {
    const choice = this.#of[c]!;
    return choice === ALL ? this.#nodeCount : this.#nodes[choice]!.length;
  }

  /** Each as likely as the others; -1: there is none. */
  any(c: number, random: Random): number {
    const choice = this.#of[c]!;
    if (choice === ALL) return random.below(this.#nodeCount);
    const nodes = this.#nodes[choice]!;
    return nodes.length === 0 ? -1 : nodes[random.below(nodes.length)]!;
  }

  /** Whether there is a node where both may stand. */
  meet(a: number, b: number): boolean {
    const [first, second] = this.count(a) <= this.count(b) ? [a, b] : [b, a];
    const choice = this.#of[first]!;
    if (choice === ALL) return this.#nodeCount > 0;
    return this.#of[second] === ALL || this.#nodes[choice]!.some((n) => this.has(second, n));
  }
}
