import type { BandwidthPod } from './pod.ts';

/** What a source of pods calls. */
export interface PodSink {
  /**
   * All pods of this node, after the first list and after each change, several changes together. Not called before
   * something was heard: what an agent before this one has set stays in force until then.
   */
  pods(pods: readonly BandwidthPod[]): void;
  /** The source cannot tell just now (API server away, file missing or wrong); what it said last stays. */
  failed(error: unknown): void;
}

/** Where the pods of this node are known from: the API server, or a file. */
export interface PodSource {
  /** Does not wait for the first list, and does not fail if there is none yet. */
  start(sink: PodSink): void | Promise<void>;
  /** After it the sink is not called any more. */
  stop(): Promise<void>;
}
