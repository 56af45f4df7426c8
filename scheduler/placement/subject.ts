import type { Hints } from './hints.ts';
import { rowOf, rowOfHints, trafficIn, type PeerRow } from './peer-row.ts';
import { kindOf } from './workload-kind.ts';
import type { PlacementView } from './view.ts';

/** The workload that a pod to be placed belongs to, as scoring sees it. */
export interface Subject {
  /** Index in the view; -1: the view does not have it, and only hints are known. */
  readonly workload: number;
  /** R_a, at least 1. */
  readonly replicas: number;
  readonly peers: PeerRow;
  /** V_a, bytes per second. */
  readonly knownBytesPerSecond: number;
  /** Requests of one replica. */
  readonly milliCpu: number;
  readonly memoryBytes: number;
  /** What one replica sends and receives, bytes per second. */
  readonly tx: number;
  readonly rx: number;
  /** The pods that stand are about to go: they are no reason to stand elsewhere. */
  readonly replaced: boolean;
}

/** @param hints count where the view knows of no traffic */
export function subjectOf(view: PlacementView, workload: number, hints: Hints | undefined): Subject {
  // A workload that is gone and comes back under its name still has its traffic, though not yet its replicas.
  const replicas = Math.max(1, view.replicas[workload]!);
  const measured = rowOf(view, workload);
  const isSilent = hints !== undefined && (measured.start === measured.end || trafficIn(measured) === 0);
  const peers = isSilent ? rowOfHints(hints, replicas) : measured;
  return {
    workload,
    replicas,
    peers,
    knownBytesPerSecond: trafficIn(peers),
    milliCpu: view.milliCpu[workload]!,
    memoryBytes: view.memoryBytes[workload]!,
    tx: view.txBytesPerSecond[workload]!,
    rx: view.rxBytesPerSecond[workload]!,
    replaced: isReplaced(view, workload, replicas),
  };
}

/** A pod of a workload that the view does not have. */
export function hintedSubject(hints: Hints): Subject {
  const peers = rowOfHints(hints, 1);
  const nothing = { milliCpu: 0, memoryBytes: 0, tx: 0, rx: 0 };
  return { workload: -1, replicas: 1, peers, knownBytesPerSecond: trafficIn(peers), ...nothing, replaced: true };
}

/**
 * A Deployment of one replica gets a second pod only to replace the first (a rolling update, an eviction): the one that is
 * about to go is no reason to stand elsewhere. Of more replicas the old ones count like any other.
 */
function isReplaced(view: PlacementView, workload: number, replicas: number): boolean {
  return replicas === 1 && kindOf(view.names.workloads[workload]!) === 'Deployment';
}
