/** Where what is known of an edge comes from; PEER_SOURCES[code] names a code of PlacementView.peerSource. */
export const PEER_SOURCES = ['traffic', 'annotation', 'alike', 'references'] as const;
export type PeerSource = (typeof PEER_SOURCES)[number];

/**
 * Confidence of what a pod is thought to talk to before any of its traffic was measured (scheduler.md §8.6): what its owner says, what a
 * workload alike does, whom its env and args name.
 */
export const HINT_CONFIDENCE = { annotation: 0.8, alike: 0.6, references: 0.4 } as const;

/** What a pod is taken to exchange with all that its references name, bytes per second: enough to count in full (the default floor). */
export const REFERENCED_BYTES_PER_SECOND = 125_000;

/** A peer that a pod is thought to have. */
export interface HintedPeer {
  /** Index in the view. */
  readonly workload: number;
  /** The pod's workload is the client. */
  readonly asClient: boolean;
  /** Bytes per second of one pod, both ways. */
  readonly bytesPerSecond: number;
  /** 0..1 */
  readonly confidence: number;
}

/** What is thought of a workload without traffic. */
export interface Hints {
  readonly source: Exclude<PeerSource, 'traffic'>;
  readonly peers: readonly HintedPeer[];
  /** Of one pod, with what cannot be near. */
  readonly otherBytesPerSecond: number;
}

/** Equal shares for all that are named. */
export function referenceHints(peers: readonly { readonly workload: number; readonly asClient: boolean }[]): Hints {
  const bytesPerSecond = REFERENCED_BYTES_PER_SECOND / Math.max(1, peers.length);
  const confidence = HINT_CONFIDENCE.references;
  return {
    source: 'references',
    peers: peers.map((peer) => ({ ...peer, bytesPerSecond, confidence })),
    otherBytesPerSecond: 0,
  };
}
