import type { Silence } from '../placement/index.ts';
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
  /** From the last byte of the request to the reply. */
  readonly durationMicros: number;
}

/** Of a reply, as much is kept: thousands of names a pod, ten thousand times, would be gigabytes. */
export const DECISION_HOSTS = 32;

/** Names in Kubernetes have at most 253 characters; the keys made of three of them fit twice. */
const MAX_TEXT = 512;

/** At most 512 characters, copied: a slice would keep the whole text alive for as long as the decision is kept. */
export function boundedText(text: string): string {
  return text.length <= MAX_TEXT ? text : Buffer.from(text.slice(0, MAX_TEXT)).toString();
}
