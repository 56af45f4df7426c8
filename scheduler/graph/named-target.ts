import { reservedRoom, type TargetRoom } from '../placement/target.ts';
import type { PlacementTarget } from '../placement/view.ts';
import type { NameList } from './name-list.ts';

/** A plan's target as it is kept: by names, for the indices of a view hold only until its names start anew. */
export interface NamedTarget {
  readonly version: number;
  /** "namespace/Kind/name" */
  readonly workloads: readonly string[];
  readonly nodes: readonly string[];
  /** Entry i wants count[i] (above 0) replicas of workloads[workload[i]] on nodes[node[i]]; each pair once. */
  readonly workload: Int32Array;
  readonly node: Int32Array;
  readonly count: Int32Array;
}

interface Resolved {
  readonly of: NamedTarget;
  readonly workloadNames: NameList;
  readonly nodeNames: NameList;
  readonly namesKnown: number;
  /** Sorted by workload, then node; entries with a name that is not known are left out. */
  readonly workload: Int32Array;
  readonly node: Int32Array;
  readonly count: Int32Array;
}

/** Gives a named target the indices of a builder's names; looks them up again only when names came that may have been missing. */
export class TargetResolver {
  #resolved: Resolved | undefined;

  resolve(
    target: NamedTarget | undefined,
    workloadNames: NameList,
    nodeNames: NameList,
    room: TargetRoom,
  ): PlacementTarget | undefined {
    if (target === undefined) {
      this.#resolved = undefined;
      return undefined;
    }
    const known = this.#resolved;
    const namesKnown = workloadNames.size + nodeNames.size;
    const holds =
      known?.of === target &&
      known.workloadNames === workloadNames &&
      known.nodeNames === nodeNames &&
      (known.count.length === target.count.length || known.namesKnown === namesKnown);
    const resolved = holds ? known : lookUp(target, workloadNames, nodeNames, namesKnown);
    this.#resolved = resolved;
    const start = new Int32Array(room.workloadCount + 1);
    for (const w of resolved.workload) start[w + 1]!++;
    for (let w = 0; w < room.workloadCount; w++) start[w + 1]! += start[w]!;
    const columns = { start, node: resolved.node.slice(), count: resolved.count.slice() };
    return { version: target.version, ...columns, ...reservedRoom(room, columns) };
  }
}

function lookUp(target: NamedTarget, workloadNames: NameList, nodeNames: NameList, namesKnown: number): Resolved {
  const workloadOf = target.workloads.map((key) => workloadNames.get(key) ?? -1);
  const nodeOf = target.nodes.map((name) => nodeNames.get(name) ?? -1);
  const entries: { readonly w: number; readonly n: number; readonly count: number }[] = [];
  for (let i = 0; i < target.count.length; i++) {
    const w = workloadOf[target.workload[i]!] ?? -1;
    const n = nodeOf[target.node[i]!] ?? -1;
    if (w >= 0 && n >= 0 && target.count[i]! > 0) entries.push({ w, n, count: target.count[i]! });
  }
  entries.sort((a, b) => a.w - b.w || a.n - b.n);
  return {
    of: target,
    workloadNames,
    nodeNames,
    namesKnown,
    workload: Int32Array.from(entries, ({ w }) => w),
    node: Int32Array.from(entries, ({ n }) => n),
    count: Int32Array.from(entries, ({ count }) => count),
  };
}
