/**
 * Which replicas of which workloads are to stand on which nodes: what simulator and planner work on. Plain columns,
 * nodes n in 0..nodeCount-1, workloads w in 0..workloadCount-1. An answer is a count of replicas per workload and node.
 */
export interface PlacementProblem {
  readonly nodeCount: number;
  readonly workloadCount: number;
  /** Room for the problem's pods: allocatable less what pods that have no choice (DaemonSets, mirror pods) ask for. */
  readonly nodeMilliCpu: Float64Array;
  readonly nodeMemoryBytes: Float64Array;
  readonly nodePods: Int32Array;
  /** Index of zone and region, -1 unknown. */
  readonly nodeZone: Int32Array;
  readonly nodeRegion: Int32Array;
  /** R_w: replicas to place, 0 or more, and what each of them asks for. */
  readonly replicas: Int32Array;
  readonly milliCpu: Float64Array;
  readonly memoryBytes: Float64Array;
  /** Most replicas of a workload on one node, at least 1 (replicaCap). */
  readonly cap: Int32Array;
  /** Traffic between two workloads, each pair once and a < b; bytes per second both ways, or without a unit; above 0. */
  readonly edgeA: Int32Array;
  readonly edgeB: Int32Array;
  readonly edgeWeight: Float64Array;
  /** undefined: every replica may go to every node. */
  readonly choices?: NodeChoices | undefined;
  /** undefined: no link is known. */
  readonly links?: ProblemLinks | undefined;
}

/** Which nodes workloads may go to: by taints, selectors and required affinity. */
export interface NodeChoices {
  /** Of a workload, an index of `allowed`; -1: all nodes. */
  readonly of: Int32Array;
  /** By node, 1: allowed. Workloads that may go to the same nodes share one. */
  readonly allowed: readonly Uint8Array[];
}

/** What goes over the nodes' links, bytes per second each way, as link-use.ts counts it; edge weights have the same unit. */
export interface ProblemLinks {
  /** What a node's link carries, Infinity: not known. */
  readonly nodeLink: Float64Array;
  /** What pods that are no part of the problem send and receive. */
  readonly nodeTx: Float64Array;
  readonly nodeRx: Float64Array;
  /** What one replica sends and receives, wherever its peers are. */
  readonly tx: Float64Array;
  readonly rx: Float64Array;
}
