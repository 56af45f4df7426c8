import type { AddressKey } from '../../lib/ip.ts';
import type { WorkloadRef } from '../cluster/model.ts';

/**
 * Who owned an address. An object must keep its identity for as long as the same facts hold (the graph caches by
 * identity), and must be replaced, never changed.
 */
export type Resolution =
  | PodResolution
  | { readonly kind: 'Node'; readonly name: string }
  | { readonly kind: 'Service'; readonly namespace: string; readonly name: string }
  /** Outside the cluster's ranges. */
  | { readonly kind: 'External'; readonly cidr: string }
  /** Inside them, and nobody's. */
  | { readonly kind: 'Unknown'; readonly address: string };

export interface PodResolution {
  readonly kind: 'Pod';
  readonly namespace: string;
  readonly name: string;
  readonly node: string;
  readonly workload: WorkloadRef;
}

/** What the graph needs to know of the cluster to attribute a report. */
export interface AddressResolver {
  /** false: the cluster is not known yet; whatever comes waits. */
  readonly ready: boolean;
  /** Changes whenever an answer may have changed. */
  readonly version: number;
  /** Owner of the 16-byte address at `offset` of `bytes` (IPv4 as ::ffff:a.b.c.d) during [startMs, endMs]. */
  resolve(bytes: Uint8Array, offset: number, prefixLength: number, startMs: number, endMs: number): Resolution;
  /** Whether the last answer of resolve() holds for all later periods, until takeChanged() names the address. */
  readonly lasting: boolean;
  /** Addresses whose lasting answers may have changed since the last call. */
  takeChanged(): 'all' | readonly AddressKey[];
  /** Names of the nodes on which a Service's pods are. */
  serviceNodes(namespace: string, name: string): Iterable<string>;
}
