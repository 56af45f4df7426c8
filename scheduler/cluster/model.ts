/**
 * The cluster as Netloom keeps it: Kubernetes objects reduced to the fields that are used.
 * Plain data, from whichever source (snapshot file, API server).
 */
import type { NodeChoice, Taint } from './node-choice.ts';

/** Controller that owns a pod for good: Deployment, StatefulSet, DaemonSet, Job, CronJob, ReplicaSet, ... or a bare Pod. */
export interface WorkloadRef {
  readonly namespace: string;
  readonly kind: string;
  readonly name: string;
}

/** The controlling owner reference of an object. */
export interface OwnerRef {
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
}

export interface NodeRecord {
  readonly type: 'node';
  readonly name: string;
  readonly uid: string;
  /** InternalIP and ExternalIP addresses, as text. */
  readonly addresses: readonly string[];
  readonly podCidrs: readonly string[];
  /** topology.kubernetes.io/zone (or the older failure-domain label). */
  readonly zone: string | undefined;
  readonly region: string | undefined;
  readonly allocatable: Resources;
  /** netloom.io/link-mbps: speed of its link in either direction, where somebody says so. */
  readonly linkMbps?: number;
  /** What nodeSelector and node affinity look at. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Where there are any. */
  readonly taints?: readonly Taint[];
  /** Minor version of its kubelet, 34 of v1.34.1. */
  readonly minor?: number;
}

export interface Resources {
  readonly milliCpu: number;
  readonly memoryBytes: number;
  readonly pods: number;
}

export type PodPhase = 'Pending' | 'Running' | 'Succeeded' | 'Failed' | 'Unknown';

export interface PodRecord {
  readonly type: 'pod';
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  /** spec.nodeName; undefined while pending. */
  readonly node: string | undefined;
  readonly addresses: readonly string[];
  readonly hostNetwork: boolean;
  readonly phase: PodPhase;
  readonly owner: OwnerRef | undefined;
  readonly labels: Readonly<Record<string, string>>;
  readonly requests: Resources;
  /** podScoredRequests(), where that is not what scoredRequests() makes of `requests`. */
  readonly scored?: Resources;
  /** Which nodes it may go to, where it says something of it. */
  readonly nodeChoice?: NodeChoice;
  /** kubernetes.io/config.mirror: a static pod. */
  readonly mirror: boolean;
  /** netloom.io/placement: "off" */
  readonly placementOff?: true;
  /** spec.schedulerName, where it is not default-scheduler. */
  readonly scheduler?: string;
  /** It states preferences that kube-scheduler weighs (soft-preferences.ts). */
  readonly soft?: true;
  readonly egress?: Egress;
  readonly template?: PodTemplate;
}

/** What is said of a pod's sending; bytes per second. */
export interface Egress {
  /** netloom.io/egress-mbps */
  readonly requestBytesPerSecond?: number;
  /** kubernetes.io/egress-bandwidth */
  readonly limitBytesPerSecond?: number;
}

/** What a pod's spec tells of its peers before any traffic was measured; one object for all pods of a template. */
export interface PodTemplate {
  /** Without tag and digest. */
  readonly images: readonly string[];
  /** "service", "service.namespace", "pod.service" or "pod.service.namespace" of what may be Services, found in env and args. */
  readonly references: readonly string[];
  /** The annotation netloom.io/peers, unread. */
  readonly peers?: string;
}

export interface ServiceRecord {
  readonly type: 'service';
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  /** Cluster, external and load-balancer addresses by which clients reach it; empty for headless ones. */
  readonly addresses: readonly string[];
  /** undefined: no selector (endpoints are made by hand). */
  readonly selector: Readonly<Record<string, string>> | undefined;
  /** spec.trafficDistribution: PreferClose, PreferSameZone, PreferSameNode, or what later versions may know. */
  readonly trafficDistribution?: string;
  /** spec.internalTrafficPolicy: Local */
  readonly internalLocal?: true;
}

/** Deployment, ReplicaSet, StatefulSet, DaemonSet, Job, CronJob, or any other controller that is listed. */
export interface ControllerRecord {
  readonly type: 'controller';
  readonly namespace: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly owner: OwnerRef | undefined;
  /** spec.replicas; undefined where the kind has none. */
  readonly replicas: number | undefined;
  /** Of spec.template: known before the first pod is. */
  readonly template?: PodTemplate;
  readonly labels?: Readonly<Record<string, string>>;
}

export interface NamespaceRecord {
  readonly type: 'namespace';
  readonly name: string;
  readonly uid: string;
  /** netloom.io/placement: "off" */
  readonly placementOff: boolean;
  /** Label netloom.io/tenant. */
  readonly tenant?: string;
}

export type ClusterRecord = NamespaceRecord | NodeRecord | PodRecord | ServiceRecord | ControllerRecord;

export type ClusterEvent =
  { readonly op: 'upsert'; readonly record: ClusterRecord } | { readonly op: 'delete'; readonly record: ClusterRecord };

/** What a source of cluster state calls. Events of one call are applied together. */
export interface ClusterSink {
  apply(events: readonly ClusterEvent[]): void;
  /** The whole state has been delivered once; called again after each full re-read. */
  synced(): void;
  /** The source cannot deliver just now (file missing or bad, API away); what was delivered stays. */
  failed(error: unknown): void;
}

/** Where cluster state comes from: a snapshot file here; the API server implements the same. */
export interface ClusterSource {
  start(sink: ClusterSink): Promise<void>;
  stop(): Promise<void>;
}

/** "namespace/Kind/name", the text key of a workload everywhere. */
export function workloadKey(ref: WorkloadRef): string {
  return `${ref.namespace}/${ref.kind}/${ref.name}`;
}
