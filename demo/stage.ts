import type { Reading } from '../lab/crossing.ts';
import type { HostPriority, Move } from '../lab/demo/index.ts';
import type { LabState } from '../lab/state.ts';
import type { LimitedPod } from './limited-pod.ts';

/** What kube-scheduler asks about a pod: the object, and the nodes that fit. */
export interface Question {
  readonly pod: object;
  readonly candidates: readonly string[];
}

export type Ask = (question: Question) => Promise<readonly HostPriority[]>;

/** Where the show takes place: the lab (live.ts), or a recording of it (recorded.ts). Steps are called in this order. */
export interface Stage {
  /** The cluster as it is at the start. */
  readonly cluster: LabState;
  /** Said once, under the heading. */
  readonly notice: string | undefined;
  /** Lets traffic run, then stops it. */
  learn(): Promise<LearnSpan>;
  /** A new pod of a workload, pending. */
  newPod(workload: string): Promise<Question>;
  /** Deletes and makes anew every pod, each where the answer says; traffic runs. */
  recreate(ask: Ask): Promise<readonly Move[]>;
  /** Lets traffic run on, measured. */
  measure(): Promise<Span>;
  /** Holds a pod to a bandwidth for a while; undefined: not here. */
  limit(): Promise<LimitedPod | undefined>;
  /** Where to look while it is left running. */
  readonly directory: string | undefined;
  /** @param keep leave the lab running */
  end(keep: boolean): Promise<void>;
}

export interface Span {
  readonly before: Reading;
  readonly after: Reading;
}

export interface LearnSpan extends Span {
  /** Everything that ever moved: read when traffic stood still and the agents had reported it. */
  readonly still: Reading;
}
