import type { Decision } from '../extender/decision.ts';
import type { AgentStatus } from '../graph/agent-status.ts';
import type { LostCounts } from '../graph/counters.ts';
import type { EdgeView, Level } from '../graph/edge-views.ts';
import type { ScoreExplanation } from '../placement/index.ts';
import type { Unasked } from './unasked.ts';

/** Replies of the read API, as JSON. The command line and the web page read these and nothing else. */

export interface StatusReply {
  readonly version: string;
  readonly startedMs: number;
  readonly ready: boolean;
  /** Why not ready, or what is wrong though it is. */
  readonly reason: string;
  readonly cluster: ClusterSummary;
  readonly kubeScheduler: KubeSchedulerStatus;
  readonly agents: readonly AgentStatus[];
  readonly graph: { readonly workloadEdges: number; readonly podEdges: number; readonly endpoints: number };
  readonly lost: LostCounts;
}

/** Since the start. */
export interface KubeSchedulerStatus {
  /** Prioritize calls that were answered from a view. */
  readonly calls: number;
  /** Unix time, ms; undefined: none yet. */
  readonly lastCallMs: number | undefined;
  /** Pods that were seen to be bound (with an API server only), by what became of our answer. */
  readonly bound: Readonly<Record<string, number>>;
}

export interface ClusterSummary {
  readonly nodes: number;
  readonly pods: number;
  readonly services: number;
  readonly workloads: number;
  /** Objects of the source that could not be used, by reason, with a sample each. */
  readonly problems: readonly Problem[];
}

export interface Problem {
  readonly what: string;
  readonly count: number;
  readonly sample: string;
}

/** What replies about the cluster have in common. */
export interface Warned {
  /** Sentences on what is wrong with all of it, such as a cluster state that is old. */
  readonly warnings: readonly string[];
}

export interface EdgesReply extends Warned {
  readonly by: Level;
  /** Heaviest first. */
  readonly edges: readonly EdgeView[];
  /** How many there are beyond `limit`, and their traffic in bytes per second (short average, both ways). */
  readonly omitted: number;
  readonly omittedBytesPerSecond: number;
  readonly totalBytesPerSecond: number;
}

export interface WorkloadTraffic {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  /** Bytes per second of payload, short and long average: sent and received by its pods. */
  readonly sent: number;
  readonly received: number;
  readonly sentLong: number;
  readonly receivedLong: number;
  readonly peers: number;
  readonly connections: number;
  readonly retransmits: number;
}

export interface TopReply extends Warned {
  readonly by: Level;
  readonly workloads: readonly WorkloadTraffic[];
  readonly omitted: number;
  readonly agents: readonly AgentStatus[];
}

export interface ExplainReply extends Warned {
  /** The pod that was asked for; undefined where a workload was. */
  readonly pod:
    | {
        readonly namespace: string;
        readonly name: string;
        readonly node: string | undefined;
        /** It is in the cluster state no more; what was answered about it is still kept. */
        readonly gone: boolean;
      }
    | undefined;
  readonly workload: string;
  /** What is odd about its traffic, as sentences. */
  readonly notes?: readonly string[];
  /** What a new pod of this workload would get now, with all nodes as candidates. */
  readonly explanation: ScoreExplanation;
  /** How often kube-scheduler asked about this pod, as far as is remembered. */
  readonly asked: number;
  /**
   * The newest answer given to kube-scheduler for this pod, while it is kept; of a pod that was placed, the newest one that
   * its node was a candidate of.
   */
  readonly lastDecision: Decision | undefined;
  /** Why there is no answer to show; undefined: kube-scheduler asked, or a workload was asked for. */
  readonly unasked: Unasked | undefined;
}
