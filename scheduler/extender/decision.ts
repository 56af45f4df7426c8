import type { PeerSource, PlanUse, Silence } from '../placement/index.ts';
import type { HostScore } from './prioritize.ts';

/** What was answered to one prioritize call, kept so that it can be explained later. */
export interface Decision {
  readonly atMs: number;
  readonly podUid: string;
  readonly namespace: string;
  readonly name: string;
  /** "namespace/Kind/name" */
  readonly workload: string;
  readonly candidates: number;
  readonly silence: Silence | undefined;
  /** The reply, best first: at most DECISION_HOSTS of it. */
  readonly top: readonly HostScore[];
  /** How many nodes the reply named. */
  readonly named: number;
  readonly viewVersion: number;
  /** Of the plan that the answer followed, or whose room it kept free; left out: there was none. */
  readonly planVersion?: number;
  /** What that plan wanted for the pod, and why it led or did not. */
  readonly plan?: PlanUse;
  /** Where its peers were known from; left out: none were known. */
  readonly source?: PeerSource;
  /** From the last byte of the request to the reply. */
  readonly durationMicros: number;
}

/** A decision with the nodes that were asked about. */
export interface Answer {
  readonly decision: Decision;
  readonly asked: AskedNodes;
}

/**
 * The candidates of one call, a bit each: node n of the view's name table is bit n % 8 of byte n >> 3. 5,000 names would
 * be 100 kB for each of ten thousand pods, this is 625 B. Of nodes that the view did not know nothing is kept.
 */
export interface AskedNodes {
  readonly bits: Uint8Array;
  /** Of the view: says whose name table it is. */
  readonly viewBuiltAtMs: number;
}

/** @param candidates node indices of the view, -1 for a node that it does not know */
export function askedNodes(
  candidates: Int32Array,
  view: { readonly names: { readonly nodes: readonly string[] }; readonly builtAtMs: number },
): AskedNodes {
  const bits = new Uint8Array((view.names.nodes.length + 7) >> 3);
  for (const node of candidates) if (node >= 0) bits[node >> 3]! |= 1 << (node & 7);
  return { bits, viewBuiltAtMs: view.builtAtMs };
}

export function hasNode({ bits }: AskedNodes, node: number): boolean {
  return ((bits[node >> 3] ?? 0) & (1 << (node & 7))) !== 0;
}

/** Of a reply, as much is kept: thousands of names a pod, ten thousand times, would be gigabytes. */
export const DECISION_HOSTS = 32;

/** Names in Kubernetes have at most 253 characters; the keys made of three of them fit twice. */
const MAX_TEXT = 512;

/** At most 512 characters, copied: a slice would keep the whole text alive for as long as the decision is kept. */
export function boundedText(text: string): string {
  return text.length <= MAX_TEXT ? text : Buffer.from(text.slice(0, MAX_TEXT)).toString();
}
