import type { SimulatedCluster } from './cluster.ts';
import { LiveView, type TargetColumns } from './live-view.ts';
import { peersOf, type Peers } from './peers.ts';

/** The cluster at the moment in which a pod arrives: what is placed, what room is left, and where this pod could go. */
export class Moment {
  readonly cluster: SimulatedCluster;
  readonly peers: Peers;
  readonly live: LiveView;
  readonly freeMilliCpu: Float64Array;
  readonly freeMemoryBytes: Float64Array;
  readonly freePods: Int32Array;
  /** By workload, fixed pods too. */
  readonly placed: Int32Array;
  /** By pod; -1: not placed. */
  readonly nodeOf: Int32Array;
  /** The pod that arrives, and its workload. */
  pod = -1;
  workload = -1;
  /** Its replicas by node. */
  readonly own: Int32Array;
  /** Feasible nodes, ascending: the first candidateCount. */
  readonly candidates: Int32Array;
  candidateCount = 0;

  /** @param target where a plan wants the replicas */
  constructor(cluster: SimulatedCluster, target?: TargetColumns) {
    const { nodeCount, workloadCount } = cluster.problem;
    this.cluster = cluster;
    this.peers = peersOf(cluster);
    this.live = new LiveView(cluster.view, target);
    this.freeMilliCpu = new Float64Array(nodeCount);
    this.freeMemoryBytes = new Float64Array(nodeCount);
    this.freePods = new Int32Array(nodeCount);
    this.placed = new Int32Array(workloadCount);
    this.nodeOf = new Int32Array(cluster.pods.count);
    this.own = new Int32Array(nodeCount);
    this.candidates = new Int32Array(nodeCount);
    this.reset();
  }

  /** Only fixed pods are placed. */
  reset(): void {
    const { problem, view } = this.cluster;
    this.live.reset();
    this.own.fill(0);
    this.workload = -1;
    this.freeMilliCpu.set(problem.nodeMilliCpu);
    this.freeMemoryBytes.set(problem.nodeMemoryBytes);
    this.freePods.set(problem.nodePods);
    this.nodeOf.fill(-1);
    this.placed.fill(0);
    for (let w = 0; w < problem.workloadCount; w++) {
      for (let p = view.placedStart[w]!; p < view.placedEnd[w]!; p++) this.placed[w]! += view.placedCount[p]!;
    }
  }

  /**
   * The pod arrives. Taints and selectors, requests, pod count and the replica cap decide where it can go. A request
   * of 0 always fits, as for kube-scheduler.
   */
  arrive(pod: number): void {
    this.#forgetOwn();
    const { pods, problem, nodeClasses } = this.cluster;
    const workload = pods.workload[pod]!;
    this.pod = pod;
    this.workload = workload;
    const { placedStart, placedEnd, placedNode, placedCount } = this.live.view;
    for (let p = placedStart[workload]!; p < placedEnd[workload]!; p++) this.own[placedNode[p]!] = placedCount[p]!;
    const milliCpu = pods.milliCpu[pod]!;
    const memoryBytes = pods.memoryBytes[pod]!;
    const cap = problem.cap[workload]!;
    const allowed = nodeClasses.allowed[nodeClasses.of[pod]!];
    let count = 0;
    for (let n = 0; n < problem.nodeCount; n++) {
      if (allowed?.[n] === 0) continue;
      if (this.freePods[n]! < 1 || this.own[n]! >= cap) continue;
      if (milliCpu > 0 && milliCpu > this.freeMilliCpu[n]!) continue;
      if (memoryBytes > 0 && memoryBytes > this.freeMemoryBytes[n]!) continue;
      this.candidates[count++] = n;
    }
    this.candidateCount = count;
  }

  place(pod: number, node: number): void {
    this.live.place(this.cluster.pods.workload[pod]!, node);
    this.#change(pod, node, 1);
    this.nodeOf[pod] = node;
  }

  remove(pod: number): void {
    const node = this.nodeOf[pod]!;
    this.own[node] = 0;
    this.live.remove(this.cluster.pods.workload[pod]!, node);
    this.#change(pod, node, -1);
    this.nodeOf[pod] = -1;
  }

  #change(pod: number, node: number, sign: 1 | -1): void {
    const { pods } = this.cluster;
    this.freeMilliCpu[node]! -= sign * pods.milliCpu[pod]!;
    this.freeMemoryBytes[node]! -= sign * pods.memoryBytes[pod]!;
    this.freePods[node]! -= sign;
    this.placed[pods.workload[pod]!]! += sign;
    this.live.setRoom(node, this.freeMilliCpu[node]!, this.freeMemoryBytes[node]!, this.freePods[node]!);
  }

  #forgetOwn(): void {
    if (this.workload < 0) return;
    const { placedStart, placedEnd, placedNode } = this.live.view;
    // What the row named then, it still names, but for what remove() took out and cleared.
    for (let p = placedStart[this.workload]!; p < placedEnd[this.workload]!; p++) this.own[placedNode[p]!] = 0;
  }
}
