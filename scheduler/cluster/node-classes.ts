import { avoidedFor, mayGo, type NodeChoice } from './node-choice.ts';
import type { NodeRecord } from './model.ts';

/** Pods that may go to the same nodes, by taints, selectors and required affinity. */
export interface NodeClasses {
  /** Class of each pod. */
  readonly of: Int32Array;
  /** By class: 1 for nodes that its pods may go to; undefined: all. */
  readonly allowed: readonly (Uint8Array | undefined)[];
  /** By class: how many taints PreferNoSchedule of a node its pods do not tolerate; undefined: none anywhere. */
  readonly avoided: readonly (Uint8Array | undefined)[];
}

export function nodeClasses(
  pods: readonly { readonly nodeChoice?: NodeChoice }[],
  nodes: readonly Pick<NodeRecord, 'name' | 'labels' | 'taints'>[],
): NodeClasses {
  const classes = new Map<string, number>();
  const allowed: (Uint8Array | undefined)[] = [];
  const avoided: (Uint8Array | undefined)[] = [];
  const classOf = ({ nodeChoice }: { readonly nodeChoice?: NodeChoice }): number => {
    const key = nodeChoice === undefined ? '' : JSON.stringify(nodeChoice);
    let found = classes.get(key);
    if (found === undefined) {
      classes.set(key, (found = classes.size));
      const may = Uint8Array.from(nodes, (node) => (mayGo(nodeChoice, node) ? 1 : 0));
      allowed.push(may.includes(0) ? may : undefined);
      const counts = Uint8Array.from(nodes, (node) => avoidedFor(nodeChoice, node));
      avoided.push(counts.some((count) => count > 0) ? counts : undefined);
    }
    return found;
  };
  return { of: Int32Array.from(pods, classOf), allowed, avoided };
}

/** Nodes that no pod may go to. */
export function closedNodes({ allowed }: NodeClasses, nodeCount: number): Uint8Array {
  return Uint8Array.from({ length: nodeCount }, (_, n) =>
    allowed.length > 0 && allowed.every((may) => may?.[n] === 0) ? 1 : 0,
  );
}
