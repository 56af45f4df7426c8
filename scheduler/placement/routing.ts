import { minMarginal } from './min-marginal.ts';

/** How connections of an edge find their server; ROUTINGS[code] names a code of PlacementView.peerRouting. */
export const ROUTINGS = ['random', 'same-zone', 'same-node', 'pinned'] as const;
export type RoutingClass = (typeof ROUTINGS)[number];

export const RANDOM = 0;
export const SAME_ZONE = 1;
export const SAME_NODE = 2;
export const PINNED = 3;

export type Level = 'node' | 'zone' | 'region';

/** Whether traffic stays in a domain of this level if it has a server at all (KEP-4444, KEP-3015). */
export function staysWithin(routing: number, level: Level): boolean {
  return routing === SAME_NODE || (routing === SAME_ZONE && level !== 'node');
}

/**
 * What one more replica gains in a domain whose traffic stays there as soon as it has a server (scheduler.md §8.2), in the
 * unit of minMarginal: of the edge, 0..1/R. A client gains all of its share where there is a server, down to half of it
 * as servers there get more than 1.5 times their fair load. A server gains the share of the clients there if it is the first.
 */
export function preferGain(
  asClient: boolean,
  placed: number,
  replicas: number,
  placedPeer: number,
  peerReplicas: number,
): number {
  if (!asClient) return placed > 0 ? 0 : Math.min(1 / replicas, placedPeer / peerReplicas);
  if (placedPeer <= 0) return 0;
  const load = (placed + 1) / replicas / (placedPeer / peerReplicas);
  return (1 - 0.5 * Math.min(1, Math.max(0, (load - FAIR_LOAD) / FAIR_LOAD))) / replicas;
}

const FAIR_LOAD = 1.5;

export function edgeGain(
  routing: number,
  level: Level,
  asClient: boolean,
  placed: number,
  replicas: number,
  placedPeer: number,
  peerReplicas: number,
): number {
  return staysWithin(routing, level)
    ? preferGain(asClient, placed, replicas, placedPeer, peerReplicas)
    : minMarginal(placed, replicas, placedPeer, peerReplicas);
}
