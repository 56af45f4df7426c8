import type { Claims } from './claims.ts';
import type { Scarcities } from './scarcity.ts';

/**
 * The state that scoring reads: immutable and columnar. The ingest thread builds one whenever something
 * changed, and hands its arrays over to the extender's thread without copying; name tables only grow,
 * and cross as what was added. Index spaces: node n in 0..nodes, workload w in 0..workloads.
 */
export interface PlacementView {
  /** Counts up with each view. */
  readonly version: number;
  readonly builtAtMs: number;
  readonly names: NameTables;
  /** Number of nodes and workloads that this view's arrays cover; the name tables may be longer. */
  readonly nodeCount: number;
  readonly workloadCount: number;
  /** 1: the node exists now. */
  readonly nodeLive: Uint8Array;
  /** Zone and region of a node as an index, -1 unknown. */
  readonly nodeZone: Int32Array;
  readonly nodeRegion: Int32Array;
  /** 1: placement is switched off for the workload's namespace. */
  readonly placementOff: Uint8Array;
  /**
   * What a node lets pods ask for (allocatable), and how much of it is free: less what all pods bound to it ask for, at least 0.
   * Infinity: the node says nothing of it.
   */
  readonly nodeMilliCpu: Float64Array;
  readonly nodeMemoryBytes: Float64Array;
  readonly freeMilliCpu: Float64Array;
  readonly freeMemoryBytes: Float64Array;
  readonly freePods: Float64Array;
  /** 1: it has a taint PreferNoSchedule, so somebody would rather not have pods there. */
  readonly nodeAvoided: Uint8Array;
  /** What a node's link carries each way, bytes per second, Infinity: not known; and what goes over it, sent and received. */
  readonly nodeLink: Float64Array;
  readonly nodeTx: Float64Array;
  readonly nodeRx: Float64Array;
  /** R_w: the larger of the wanted and the placed replicas, at least 1 for a live workload; 0: gone. */
  readonly replicas: Int32Array;
  /** Replicas that stand nowhere yet: wanted by the controller, or pending. 0 for DaemonSets, whose pods have no choice. */
  readonly toCome: Int32Array;
  /** What one replica asks of a node; 0: nothing, or not known. */
  readonly milliCpu: Float64Array;
  readonly memoryBytes: Float64Array;
  /** What one replica sends and receives, bytes per second, wherever its peers are; at least what it asks for, at most its limit. */
  readonly txBytesPerSecond: Float64Array;
  readonly rxBytesPerSecond: Float64Array;
  /**
   * Placed replicas, a sparse matrix workload x node: entries placedStart[w] .. placedEnd[w]-1 of
   * placedNode (ascending) and placedCount. Bound pods that are neither Succeeded nor Failed.
   */
  readonly placedStart: Int32Array;
  readonly placedEnd: Int32Array;
  readonly placedNode: Int32Array;
  readonly placedCount: Int32Array;
  /**
   * Peers of a workload, a CSR matrix; each edge stands at both its ends. Bytes per second of payload,
   * client -> server as "out", from the long average; confidence 0..1.
   * edgeClient is 1 where w is the client. Only workload peers: what cannot be co-located is summed in otherBytesPerSecond.
   */
  readonly peerStart: Int32Array;
  readonly peer: Int32Array;
  readonly peerClient: Uint8Array;
  readonly peerBytesPerSecond: Float64Array;
  readonly peerConfidence: Float32Array;
  /** Where it is known from: a code of PEER_SOURCES (hints.ts). Others than 0 stand only at the end of which no traffic is known. */
  readonly peerSource: Uint8Array;
  /** How connections find their server: a code of ROUTINGS (routing.ts). */
  readonly peerRouting: Uint8Array;
  /**
   * Of pinned entries: on which nodes how much of the edge's traffic is, shares 0..1; entries pinStart[e] .. pinStart[e+1]-1 of pinNode and
   * pinShare. pinStart has one element more than peer.
   */
  readonly pinStart: Int32Array;
  readonly pinNode: Int32Array;
  readonly pinShare: Float32Array;
  /** Known traffic with nodes, Services without workloads, outside and unknown peers, bytes per second both ways. */
  readonly otherBytesPerSecond: Float64Array;
  /** false: the figures have no unit (imported data); the traffic floor is off then. */
  readonly hasUnits: boolean;
  /** meanTraffic() of it. */
  readonly meanTraffic: number;
  /** How scarce room is, in all. */
  readonly scarcities: Scarcities;
  /** Which room replicas to come have a claim to. */
  readonly claims: Claims;
  /** false: no node's link is known. */
  readonly hasLinks: boolean;
  /** Where a plan wants the replicas; undefined: there is none. */
  readonly target: PlacementTarget | undefined;
}

/** A plan's target, a sparse matrix workload x node like that of the placed replicas. A workload without entries is not in the plan. */
export interface PlacementTarget {
  /** Of the plan; names it in explanations. */
  readonly version: number;
  /** Entries start[w] .. start[w+1]-1 of node (ascending) and count (above 0); start has workloadCount + 1 elements. */
  readonly start: Int32Array;
  readonly node: Int32Array;
  readonly count: Int32Array;
  /** By node: what the replicas ask for that the target wants there and that do not stand there yet. See reservedRoom. */
  readonly reservedMilliCpu: Float64Array;
  readonly reservedMemoryBytes: Float64Array;
  readonly reservedPods: Float64Array;
}

/** Append-only tables, owned by the extender's thread. */
export interface NameTables {
  readonly nodes: readonly string[];
  readonly nodeIndex: ReadonlyMap<string, number>;
  /** "namespace/Kind/name" */
  readonly workloads: readonly string[];
  readonly workloadIndex: ReadonlyMap<string, number>;
  /** ReplicaSet, Job and other owners that are themselves owned: their key -> workload index. */
  readonly ownerIndex: ReadonlyMap<string, number>;
  readonly zones: readonly string[];
  readonly regions: readonly string[];
  /** For pods that no view knows: workloads by "namespace/name" of a Service that selects them, and by likeness. */
  readonly services?: ReadonlyMap<string, readonly number[]>;
  readonly alike?: ReadonlyMap<string, readonly number[]>;
  /** Of namespaces that say something of themselves. */
  readonly namespaces?: ReadonlyMap<string, NamespaceFacts>;
}

/** `off` 1: netloom.io/placement is "off". Namespaces of one tenant have the same number, those of none 0. */
export type NamespaceFacts = readonly [off: number, tenant: number];
