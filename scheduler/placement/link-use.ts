import { trafficOf } from './peer-row.ts';
import { minMarginal } from './min-marginal.ts';
import { placedOn } from './placed.ts';
import type { Subject } from './subject.ts';
import type { PlacementView } from './view.ts';

/** What of a view says how full links are; a view under construction has it too. */
export type LinkColumns = Pick<
  PlacementView,
  | 'nodeCount'
  | 'workloadCount'
  | 'replicas'
  | 'placedStart'
  | 'placedEnd'
  | 'placedNode'
  | 'placedCount'
  | 'peerStart'
  | 'peer'
  | 'peerBytesPerSecond'
  | 'nodeLink'
  | 'txBytesPerSecond'
  | 'rxBytesPerSecond'
>;

/** Bytes per second over a node's link, by node. */
export interface LinkUse {
  readonly nodeTx: Float64Array;
  readonly nodeRx: Float64Array;
}

/** Of links that all of their pods' traffic would not fill further than this, what stays on the node is not looked for. */
const BUSY = 0.2;

/**
 * How much goes over each link, by what the placed replicas send and receive less what stays on their node under
 * balanced-local routing. An estimate from above: traffic with peers that stand nowhere yet counts as remote.
 */
export function linkUse(view: LinkColumns): LinkUse {
  const { nodeLink, placedStart, placedEnd, placedNode, placedCount } = view;
  const nodeTx = new Float64Array(view.nodeCount);
  const nodeRx = new Float64Array(view.nodeCount);
  for (let w = 0; w < view.workloadCount; w++) {
    const [tx, rx] = [view.txBytesPerSecond[w]!, view.rxBytesPerSecond[w]!];
    for (let p = placedStart[w]!; p < placedEnd[w]!; p++) {
      nodeTx[placedNode[p]!]! += placedCount[p]! * tx;
      nodeRx[placedNode[p]!]! += placedCount[p]! * rx;
    }
  }
  const isBusy = (n: number): boolean => Math.max(nodeTx[n]!, nodeRx[n]!) > BUSY * nodeLink[n]!;
  const busy = Uint8Array.from(nodeLink, (_, n) => (isBusy(n) ? 1 : 0));
  if (!busy.includes(1)) return { nodeTx, nodeRx };
  for (let w = 0; w < view.workloadCount; w++) {
    for (let p = placedStart[w]!; p < placedEnd[w]!; p++) {
      const node = placedNode[p]!;
      if (busy[node] === 0) continue;
      const share = placedCount[p]! / view.replicas[w]!;
      let local = 0;
      for (let e = view.peerStart[w]!; e < view.peerStart[w + 1]!; e++) {
        const peer = view.peer[e]!;
        // Each pair once.
        if (peer <= w) continue;
        const there = placedOn(view, peer, node);
        if (there > 0) local += trafficOf(view.peerBytesPerSecond[e]) * Math.min(share, there / view.replicas[peer]!);
      }
      nodeTx[node] = Math.max(0, nodeTx[node]! - local);
      nodeRx[node] = Math.max(0, nodeRx[node]! - local);
    }
  }
  return { nodeTx, nodeRx };
}

/**
 * What one more replica of a workload adds to a node's link, bytes per second; below 0 where it takes its peers' traffic off it.
 * For whoever changes a view in place (the simulator): to be asked before it is placed.
 */
export function addedLinkUse(
  view: LinkColumns,
  workload: number,
  node: number,
): { readonly tx: number; readonly rx: number } {
  const replicas = Math.max(1, view.replicas[workload]!);
  const placed = placedOn(view, workload, node);
  let local = 0;
  for (let e = view.peerStart[workload]!; e < view.peerStart[workload + 1]!; e++) {
    const peer = view.peer[e]!;
    if (peer === workload || view.replicas[peer]! === 0) continue;
    const there = placedOn(view, peer, node);
    if (there === 0) continue;
    local += trafficOf(view.peerBytesPerSecond[e]) * minMarginal(placed, replicas, there, view.replicas[peer]!);
  }
  return { tx: view.txBytesPerSecond[workload]! - local, rx: view.rxBytesPerSecond[workload]! - local };
}

/** Utilisation from which on a link is spared, and at which that counts in full (placement-study.md §7). */
const SPARED = { from: 0.6, full: 0.9 } as const;
/** Who adds less than this share of a link is spared for in proportion: a pod that hardly sends cannot fill it. */
const FULL_SHARE = 0.005;

/** A node's link with one more pod of a workload. */
export interface Headroom {
  /** Utilisation, 0 and more: the fuller direction. */
  readonly used: number;
  /** Of that, what the pod adds; below 0 where it takes its peers' traffic off the link. */
  readonly added: number;
  /** 0..1: ((used - 0.6)/0.3)^2. */
  readonly penalty: number;
}

const PLENTY: Headroom = { used: 0, added: 0, penalty: 0 };

/** @param localBytesPerSecond what of the pod's traffic, both ways, stays on the node */
export function headroomWith(
  view: PlacementView,
  subject: Pick<Subject, 'tx' | 'rx'>,
  node: number,
  localBytesPerSecond: number,
): Headroom {
  const link = view.nodeLink[node]!;
  if (!view.hasLinks || link === Infinity) return PLENTY;
  const tx = subject.tx - localBytesPerSecond;
  const rx = subject.rx - localBytesPerSecond;
  const used = Math.max(0, view.nodeTx[node]! + tx, view.nodeRx[node]! + rx) / link;
  const added = Math.max(tx, rx) / link;
  if (added <= 0 || used <= SPARED.from) return { used, added, penalty: 0 };
  const steep = Math.min(1, (used - SPARED.from) / (SPARED.full - SPARED.from)) ** 2;
  return { used, added, penalty: steep * Math.min(1, added / FULL_SHARE) };
}
