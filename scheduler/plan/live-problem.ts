import { byText } from '../../lib/by-text.ts';
import { isPlaced } from '../cluster/state.ts';
import type { NodeRecord, PodRecord } from '../cluster/model.ts';
import { closedNodes, nodeClasses } from '../cluster/node-classes.ts';
import { replicaCaps } from '../placement/min-marginal.ts';
import type { PlacementProblem, ProblemLinks } from '../placement/problem.ts';
import { workloadChoices } from './node-choices.ts';
import type { ReplicaCounts } from './placement-plan.ts';

/** A problem with names: nodes and workloads in the order of their names, so that the history of a cluster changes nothing. */
export interface LiveProblem {
  readonly problem: PlacementProblem;
  /** Where replicas stand now. */
  readonly standing: ReplicaCounts;
  readonly nodes: readonly string[];
  /** "namespace/Kind/name" */
  readonly workloads: readonly string[];
}

/** What is read of the cluster; ClusterState is one. */
export interface PlannedCluster {
  nodes(): Iterable<Pick<NodeRecord, 'name' | 'zone' | 'region' | 'allocatable' | 'labels' | 'taints'>>;
  workloads(): Iterable<{
    readonly key: string;
    readonly ref: { readonly kind: string; readonly namespace: string };
    readonly desired: number | undefined;
    readonly placedByNode: ReadonlyMap<string, number>;
    readonly pods: Iterable<PodRecord>;
  }>;
  placementOff(namespace: string): boolean;
}

/** Known traffic as a view has it: a CSR matrix over `names`, each edge at both its ends. */
export interface PlannedTraffic {
  readonly names: readonly string[];
  readonly peerStart: Int32Array;
  readonly peer: Int32Array;
  readonly peerBytesPerSecond: Float64Array;
  readonly peerConfidence: Float32Array;
  /** Above 0: not measured but thought, of a workload without traffic; no ground to plan on. */
  readonly peerSource?: Uint8Array;
  /** What a workload's replica sends and receives; of the links of nodes what they carry, Infinity: not known. */
  readonly txBytesPerSecond: Float64Array;
  readonly rxBytesPerSecond: Float64Array;
  readonly nodeNames: readonly string[];
  readonly nodeLink: Float64Array;
}

/** kubelet's maxPods where a node does not say. */
const DEFAULT_MAX_PODS = 110;
const ONE_PER_NODE_KINDS: ReadonlySet<string> = new Set(['DaemonSet', 'Node']);

/**
 * The problem that a cluster is now. Pods that have no choice (DaemonSets, static pods) or with whose place nobody is to
 * meddle (netloom.io/placement: "off") are no part of it and only take their room.
 */
export function liveProblem(cluster: PlannedCluster, traffic: PlannedTraffic, maxReplicaShare: number): LiveProblem {
  const nodeRecords = [...cluster.nodes()].sort((a, b) => byText(a.name, b.name));
  const nodes = nodeRecords.map((node) => node.name);
  const nodeIndex = new Map(nodes.map((name, n) => [name, n]));
  const nodeMilliCpu = Float64Array.from(nodeRecords, (node) => node.allocatable.milliCpu);
  const nodeMemoryBytes = Float64Array.from(nodeRecords, (node) => node.allocatable.memoryBytes);
  const nodePods = Int32Array.from(nodeRecords, (node) => node.allocatable.pods || DEFAULT_MAX_PODS);

  const trafficIndex = new Map(traffic.names.map((name, v) => [name, v]));
  const [nodeTx, nodeRx] = [new Float64Array(nodes.length), new Float64Array(nodes.length)];
  const movable = [];
  for (const workload of cluster.workloads()) {
    const isFixed = ONE_PER_NODE_KINDS.has(workload.ref.kind) || cluster.placementOff(workload.ref.namespace);
    if (!isFixed) {
      movable.push(workload);
      continue;
    }
    for (const pod of workload.pods) {
      const n = isPlaced(pod) ? nodeIndex.get(pod.node!) : undefined;
      if (n === undefined) continue;
      nodeMilliCpu[n]! -= pod.requests.milliCpu;
      nodeMemoryBytes[n]! -= pod.requests.memoryBytes;
      nodePods[n]! -= 1;
      const v = trafficIndex.get(workload.key);
      nodeTx[n]! += v === undefined ? 0 : traffic.txBytesPerSecond[v]!;
      nodeRx[n]! += v === undefined ? 0 : traffic.rxBytesPerSecond[v]!;
    }
  }
  movable.sort((a, b) => byText(a.key, b.key));
  const workloads = movable.map((workload) => workload.key);
  const replicas = new Int32Array(workloads.length);
  const milliCpu = new Float64Array(workloads.length);
  const memoryBytes = new Float64Array(workloads.length);
  const standing: [w: number, n: number, count: number][] = [];
  const pods: PodRecord[] = [];
  const workloadOf: number[] = [];
  for (const [w, { pods: own, desired, placedByNode }] of movable.entries()) {
    let living = 0;
    for (const pod of own) {
      const { phase, requests } = pod;
      if (phase === 'Succeeded' || phase === 'Failed') continue;
      living++;
      pods.push(pod);
      workloadOf.push(w);
      milliCpu[w] = Math.max(milliCpu[w]!, requests.milliCpu);
      memoryBytes[w] = Math.max(memoryBytes[w]!, requests.memoryBytes);
    }
    // Of a workload without pods nobody knows what they will ask for.
    if (living === 0) continue;
    replicas[w] = Math.max(living, desired ?? 0);
    for (const [name, count] of placedByNode) {
      const n = nodeIndex.get(name);
      if (n !== undefined) standing.push([w, n, count]);
    }
  }
  const classes = nodeClasses(pods, nodeRecords);
  closedNodes(classes, nodes.length).forEach((closed, n) => {
    if (closed === 1) nodePods[n] = 0;
  });
  return {
    nodes,
    workloads,
    standing: countsOf(workloads.length, standing),
    problem: {
      nodeCount: nodes.length,
      workloadCount: workloads.length,
      nodeMilliCpu,
      nodeMemoryBytes,
      nodePods,
      nodeZone: indexed(nodeRecords.map((node) => node.zone)),
      nodeRegion: indexed(nodeRecords.map((node) => node.region)),
      replicas,
      milliCpu,
      memoryBytes,
      cap: replicaCaps(replicas, maxReplicaShare),
      ...pairsOf(traffic, workloads, replicas),
      choices: workloadChoices(classes, workloadOf, workloads.length, nodeRecords),
      links: linksOf(traffic, trafficIndex, nodes, workloads, { nodeTx, nodeRx }),
    },
  };
}

function linksOf(
  { nodeNames, nodeLink, txBytesPerSecond, rxBytesPerSecond }: PlannedTraffic,
  indexOf: ReadonlyMap<string, number>,
  nodes: readonly string[],
  workloads: readonly string[],
  fixed: Pick<ProblemLinks, 'nodeTx' | 'nodeRx'>,
): ProblemLinks | undefined {
  if (nodeLink.every((link) => link === Infinity)) return undefined;
  const flow = (of: Float64Array): Float64Array => Float64Array.from(workloads, (key) => of[indexOf.get(key)!] ?? 0);
  const linkOf = new Map(nodeNames.map((name, n) => [name, nodeLink[n]!]));
  return {
    nodeLink: Float64Array.from(nodes, (name) => linkOf.get(name) ?? Infinity),
    ...fixed,
    tx: flow(txBytesPerSecond),
    rx: flow(rxBytesPerSecond),
  };
}

/** Makes the matrix of its entries, each pair of workload and node once. */
export function countsOf(workloadCount: number, entries: [w: number, n: number, count: number][]): ReplicaCounts {
  entries.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const targetStart = new Int32Array(workloadCount + 1);
  for (const [w] of entries) targetStart[w + 1]!++;
  for (let w = 0; w < workloadCount; w++) targetStart[w + 1]! += targetStart[w]!;
  return {
    targetStart,
    targetNode: Int32Array.from(entries, ([, n]) => n),
    targetCount: Int32Array.from(entries, ([, , count]) => count),
  };
}

function pairsOf(
  { names, peerStart, peer, peerBytesPerSecond, peerConfidence, peerSource }: PlannedTraffic,
  workloads: readonly string[],
  replicas: Int32Array,
): Pick<PlacementProblem, 'edgeA' | 'edgeB' | 'edgeWeight'> {
  const indexOf = new Map(workloads.map((key, w) => [key, w]));
  const own = names.map((name) => indexOf.get(name) ?? -1);
  const pairs: [a: number, b: number, weight: number][] = [];
  for (let v = 0; v < own.length; v++) {
    const a = own[v]!;
    if (a < 0 || replicas[a] === 0) continue;
    for (let e = peerStart[v]!, next = e; e < peerStart[v + 1]!; e = next) {
      // Entries of one peer, as client and as server, stand side by side.
      let weight = 0;
      for (; next < peerStart[v + 1]! && peer[next] === peer[e]; next++) {
        if ((peerSource?.[next] ?? 0) === 0) weight += peerBytesPerSecond[next]! * peerConfidence[next]!;
      }
      const b = own[peer[e]!] ?? -1;
      if (b > a && replicas[b]! > 0 && weight > 0 && weight < Infinity) pairs.push([a, b, weight]);
    }
  }
  pairs.sort((x, y) => x[0] - y[0] || x[1] - y[1]);
  return {
    edgeA: Int32Array.from(pairs, ([a]) => a),
    edgeB: Int32Array.from(pairs, ([, b]) => b),
    edgeWeight: Float64Array.from(pairs, ([, , weight]) => weight),
  };
}

/** Distinct names numbered in their order; -1: none. */
function indexed(names: readonly (string | undefined)[]): Int32Array {
  const distinct = [...new Set(names.filter((name) => name !== undefined))].sort(byText);
  const index = new Map(distinct.map((name, i) => [name, i]));
  return Int32Array.from(names, (name) => (name === undefined ? -1 : index.get(name)!));
}
