import type { CredentialsPlace } from '../../lib/kube/credentials.ts';
import type { TlsFiles } from '../tls/material.ts';
import type { PlacementSettings } from '../placement/index.ts';
import type { PlannerOptions } from './planner.ts';

/** Host and port of a listener; IPv6 hosts without brackets; port 0: any free one. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

export interface KubernetesOptions extends CredentialsPlace {
  /** Events on pods tell their placement while the cluster has at most so many nodes. */
  readonly eventsUpToNodes: number;
  /** Longest wait of an answer for a view that shows a peer of the pod which was bound just before; 0: none. */
  readonly peerWaitMs: number;
}

export interface SchedulerOptions {
  /** For kube-scheduler. */
  readonly listen: ListenAddress;
  /** For agents' reports. */
  readonly listenAgents: ListenAddress;
  /** For the command line; loopback. */
  readonly listenApi: ListenAddress;
  readonly tls?: TlsFiles;
  readonly agentsTls?: TlsFiles;
  /** Take reports without TLS on addresses that other machines reach. */
  readonly insecureAgents: boolean;
  /** Cluster state: kubectl's or Netloom's JSON. */
  readonly snapshot?: string;
  /** Cluster state from the API server instead: a kubeconfig, or the pod's own ServiceAccount. */
  readonly kubernetes?: KubernetesOptions;
  /** CSV of known traffic. */
  readonly traffic?: string;
  /** SQLite file; without it nothing is kept over a restart. */
  readonly store?: string;
  /** Placement plans are made in the background; undefined: none. */
  readonly plan?: PlannerOptions;
  /** What links carry each way of which nobody tells it. */
  readonly linkBytesPerSecond?: number;
  readonly clientGraceMs: number;
  readonly placement: PlacementSettings;
  readonly bodyLimitBytes: number;
  readonly version: string;
}
