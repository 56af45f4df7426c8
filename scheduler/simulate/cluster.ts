import type { PodRecord } from '../cluster/model.ts';
import type { ClusterState } from '../cluster/state.ts';
import type { TrafficRow, UnknownTraffic } from '../cluster/traffic.ts';
import type { PlacementProblem, ProblemLinks } from '../placement/problem.ts';
import type { PlacementView } from '../placement/view.ts';
import { namespaceOf } from '../placement/workload-kind.ts';
import { replicaCaps } from '../placement/min-marginal.ts';
import { baseView } from './base-view.ts';
import { scoredRequests } from '../cluster/requests.ts';
import { byText } from '../../lib/by-text.ts';
import { closedNodes, nodeClasses, type NodeClasses } from '../cluster/node-classes.ts';
import { workloadChoices } from '../plan/node-choices.ts';
import { spreadGroups, type SpreadGroups } from './spread-groups.ts';
import { collectTraffic, type Traffic } from './traffic.ts';
import { trafficProblems, type InputProblem } from './input-problems.ts';

/** Pods that are placed anew, in the order of their names. */
export interface PodColumns {
  readonly count: number;
  /** "namespace/name" */
  readonly names: readonly string[];
  readonly uids: readonly string[];
  readonly workload: Int32Array;
  readonly milliCpu: Float64Array;
  readonly memoryBytes: Float64Array;
  /** The same as kube-scheduler's LeastAllocated score counts it. */
  readonly scoredMilliCpu: Float64Array;
  readonly scoredMemoryBytes: Float64Array;
  /** Node on which it is in the snapshot, -1: none that is listed. */
  readonly home: Int32Array;
  /** Its place among the pods of the input. */
  readonly listed: Int32Array;
  /** 1: netloom.io/placement is "off" for the pod itself. */
  readonly placementOff: Uint8Array;
}

/**
 * A cluster before its pods arrive: nodes, workloads, traffic, and what stands where it must. Pods of DaemonSets and
 * mirror pods are fixed, finished pods are gone, all others are to be placed. Nodes and workloads are in the order of
 * their names, so that the order of the input changes nothing.
 */
export interface SimulatedCluster {
  readonly nodes: readonly string[];
  /** "namespace/Kind/name" */
  readonly workloads: readonly string[];
  readonly problem: PlacementProblem;
  /** What the nodes have in all, before fixed pods. */
  readonly allocatableMilliCpu: Float64Array;
  readonly allocatableMemoryBytes: Float64Array;
  /** R_w of all workloads, of fixed ones what is placed; replicas of `problem` are 0 for those. */
  readonly replicas: Int32Array;
  readonly pods: PodColumns;
  /** Names of pods that are fixed or at their end. */
  readonly otherPods: ReadonlySet<string>;
  /** Speed of each node's link in either direction, 0: not known. */
  readonly linkBytesPerSecond: Float64Array;
  /** What LeastAllocated counts of fixed pods, by node. */
  readonly fixedScored: { readonly milliCpu: Float64Array; readonly memoryBytes: Float64Array };
  readonly spread: SpreadGroups;
  readonly nodeClasses: NodeClasses;
  readonly traffic: Traffic;
  readonly unknownTraffic: UnknownTraffic;
  readonly problems: readonly InputProblem[];
  /** Whether traffic is bytes per second; else it has no unit. */
  readonly hasUnits: boolean;
  /** With nothing but the fixed pods placed; same indices. */
  readonly view: PlacementView;
}

export interface ClusterOptions {
  readonly maxReplicaShare: number;
  readonly hasUnits: boolean;
  /** Of nodes that do not say. */
  readonly linkMbps?: number;
  /** Of reading the snapshot. */
  readonly problems?: readonly InputProblem[];
}

/** kubelet's maxPods where a node does not say. */
const DEFAULT_MAX_PODS = 110;

export function simulatedCluster(
  state: ClusterState,
  rows: readonly TrafficRow[],
  options: ClusterOptions,
): SimulatedCluster {
  const nodeRecords = [...state.nodes()].sort((a, b) => byText(a.name, b.name));
  const nodes = nodeRecords.map((node) => node.name);
  const nodeIndex = new Map(nodes.map((name, n) => [name, n]));
  const free: { pod: PodRecord; listed: number }[] = [];
  const fixed: PodRecord[] = [];
  const otherPods = new Set<string>();
  let listed = 0;
  for (const pod of state.pods()) {
    listed++;
    const finished = pod.phase === 'Succeeded' || pod.phase === 'Failed';
    if (!finished && !isFixed(pod, state)) {
      free.push({ pod, listed });
      continue;
    }
    otherPods.add(podName(pod));
    if (!finished && pod.node !== undefined && nodeIndex.has(pod.node)) fixed.push(pod);
  }
  free.sort((a, b) => byText(podName(a.pod), podName(b.pod)));

  const keyOf = (pod: PodRecord): string => {
    const { namespace, kind, name } = state.workloadOf(pod);
    return `${namespace}/${kind}/${name}`;
  };
  const freeKeys = free.map(({ pod }) => keyOf(pod));
  const fixedKeys = fixed.map(keyOf);
  const workloads = [...new Set([...freeKeys, ...fixedKeys])].sort(byText);
  const workloadIndex = new Map(workloads.map((key, w) => [key, w]));

  const replicas = new Int32Array(workloads.length);
  const toPlace = new Int32Array(workloads.length);
  const fixedByNode = workloads.map(() => new Map<string, number>());
  const allocatableMilliCpu = Float64Array.from(nodeRecords, (node) => node.allocatable.milliCpu);
  const allocatableMemoryBytes = Float64Array.from(nodeRecords, (node) => node.allocatable.memoryBytes);
  const nodeMilliCpu = allocatableMilliCpu.slice();
  const nodeMemoryBytes = allocatableMemoryBytes.slice();
  const nodePods = Int32Array.from(nodeRecords, (node) => node.allocatable.pods || DEFAULT_MAX_PODS);
  const fixedOn = nodes.map(() => ({ milliCpu: 0, memoryBytes: 0, pods: 0 }));
  const fixedScored = { milliCpu: new Float64Array(nodes.length), memoryBytes: new Float64Array(nodes.length) };
  for (const [i, pod] of fixed.entries()) {
    const w = workloadIndex.get(fixedKeys[i]!)!;
    const n = nodeIndex.get(pod.node!)!;
    replicas[w]!++;
    fixedByNode[w]!.set(pod.node!, (fixedByNode[w]!.get(pod.node!) ?? 0) + 1);
    nodeMilliCpu[n]! -= pod.requests.milliCpu;
    nodeMemoryBytes[n]! -= pod.requests.memoryBytes;
    nodePods[n]! -= 1;
    fixedOn[n]!.milliCpu += pod.requests.milliCpu;
    fixedOn[n]!.memoryBytes += pod.requests.memoryBytes;
    fixedOn[n]!.pods += 1;
    const scored = scoredRequests(pod);
    fixedScored.milliCpu[n]! += scored.milliCpu;
    fixedScored.memoryBytes[n]! += scored.memoryBytes;
  }
  const classes = nodeClasses(
    free.map(({ pod }) => pod),
    nodeRecords,
  );
  // Whoever takes the mean of all nodes is not to count those that are for nobody.
  closedNodes(classes, nodes.length).forEach((closed, n) => {
    if (closed === 1) nodePods[n] = 0;
  });
  const milliCpu = new Float64Array(workloads.length);
  const memoryBytes = new Float64Array(workloads.length);
  const pods: PodColumns = {
    count: free.length,
    names: free.map(({ pod }) => podName(pod)),
    uids: free.map(({ pod }) => pod.uid),
    workload: Int32Array.from(freeKeys, (key) => workloadIndex.get(key)!),
    milliCpu: Float64Array.from(free, ({ pod }) => pod.requests.milliCpu),
    memoryBytes: Float64Array.from(free, ({ pod }) => pod.requests.memoryBytes),
    scoredMilliCpu: Float64Array.from(free, ({ pod }) => scoredRequests(pod).milliCpu),
    scoredMemoryBytes: Float64Array.from(free, ({ pod }) => scoredRequests(pod).memoryBytes),
    home: Int32Array.from(free, ({ pod }) => (pod.node === undefined ? -1 : (nodeIndex.get(pod.node) ?? -1))),
    listed: Int32Array.from(free, (entry) => entry.listed),
    placementOff: Uint8Array.from(free, ({ pod }) => (pod.placementOff === true ? 1 : 0)),
  };
  for (let p = 0; p < pods.count; p++) {
    const w = pods.workload[p]!;
    replicas[w]!++;
    toPlace[w]!++;
    milliCpu[w] = Math.max(milliCpu[w]!, pods.milliCpu[p]!);
    memoryBytes[w] = Math.max(memoryBytes[w]!, pods.memoryBytes[p]!);
  }

  const { traffic, edges, unknown, deserted } = collectTraffic(rows, state, workloadIndex, workloads.length);
  const view = baseView({
    state,
    nodeRecords,
    workloads,
    replicas,
    toPlace,
    milliCpu,
    memoryBytes,
    fixedByNode,
    fixedOn,
    edges,
    hasUnits: options.hasUnits,
    linkMbps: options.linkMbps,
    maxReplicaShare: options.maxReplicaShare,
  });
  const tenantOf = (w: number): string | undefined => state.tenantOf(namespaceOf(workloads[w]!));
  const movable = traffic.pairs.filter(({ a, b }) => toPlace[a]! > 0 && toPlace[b]! > 0 && tenantOf(a) === tenantOf(b));
  return {
    nodes,
    workloads,
    allocatableMilliCpu,
    allocatableMemoryBytes,
    replicas,
    pods,
    otherPods,
    linkBytesPerSecond: Float64Array.from(nodeRecords, (node) => ((node.linkMbps ?? options.linkMbps ?? 0) * 1e6) / 8),
    fixedScored,
    nodeClasses: classes,
    spread: spreadGroups(
      free.map(({ pod }) => pod),
      fixed,
      state,
      nodeIndex,
    ),
    traffic,
    unknownTraffic: unknown,
    problems: [...(options.problems ?? []), ...trafficProblems({ unknown, deserted })],
    hasUnits: options.hasUnits,
    view,
    problem: {
      nodeCount: nodes.length,
      workloadCount: workloads.length,
      nodeMilliCpu,
      nodeMemoryBytes,
      nodePods,
      nodeZone: view.nodeZone,
      nodeRegion: view.nodeRegion,
      replicas: toPlace,
      milliCpu,
      memoryBytes,
      cap: replicaCaps(replicas, options.maxReplicaShare),
      edgeA: Int32Array.from(movable, (pair) => pair.a),
      edgeB: Int32Array.from(movable, (pair) => pair.b),
      edgeWeight: Float64Array.from(movable, (pair) => pair.weight),
      choices: workloadChoices(classes, pods.workload, workloads.length, nodeRecords),
      links: view.hasLinks && options.hasUnits ? linksOf(view) : undefined,
    },
  };
}

function linksOf(view: PlacementView): ProblemLinks {
  const { nodeLink, nodeTx, nodeRx, txBytesPerSecond: tx, rxBytesPerSecond: rx } = view;
  return { nodeLink, nodeTx, nodeRx, tx, rx };
}

/** Its place is no choice of the scheduler's: DaemonSet and static pods. */
function isFixed(pod: PodRecord, state: ClusterState): boolean {
  return pod.mirror || pod.owner?.kind === 'Node' || state.workloadOf(pod).kind === 'DaemonSet';
}

function podName(pod: PodRecord): string {
  return `${pod.namespace}/${pod.name}`;
}
