/** Where replicas are to stand: a CSR matrix workload x node, entries targetStart[w] .. targetStart[w+1]-1 by node. */
export interface ReplicaCounts {
  readonly targetStart: Int32Array;
  readonly targetNode: Int32Array;
  readonly targetCount: Int32Array;
}

export interface LocalShares {
  /** Balanced-local share, 0..1, of the traffic of all edges of the problem; 0 without traffic. */
  readonly node: number;
  readonly zone: number;
}

export interface PlacementPlan extends ReplicaCounts {
  /** Hex digits that tell apart plans with other targets. */
  readonly hash: string;
  readonly localShare: LocalShares;
  /** linkOverload(): 0 where every link has room. */
  readonly linkOverload: number;
  /** Replicas per workload that found no room. */
  readonly unplaced: readonly { readonly workload: number; readonly replicas: number }[];
  readonly iterations: number;
}
