import type { SimulatedCluster } from './cluster.ts';
import type { LiveView } from './live-view.ts';

/**
 * Use of the nodes' links by traffic that leaves or enters the node, as shares of their speed: over nodes whose speed
 * is known.
 */
export interface LinkUse {
  readonly mean: number;
  readonly p95: number;
  readonly max: number;
}

/**
 * Under balanced-local routing: of each pair what min(x_a/R_a, x_b/R_b) does not keep local, and all traffic with
 * what is no workload. Each direction by itself; the busier one counts. undefined: no node's speed is known.
 */
export function linkUse(cluster: SimulatedCluster, live: LiveView): LinkUse | undefined {
  const { linkBytesPerSecond } = cluster;
  const sent = new Float64Array(cluster.nodes.length);
  const received = new Float64Array(cluster.nodes.length);
  addOther(cluster, live, sent, received);
  addEdges(cluster, live, sent, received);
  const shares: number[] = [];
  for (let n = 0; n < sent.length; n++) {
    if (linkBytesPerSecond[n]! > 0) shares.push(Math.max(sent[n]!, received[n]!) / linkBytesPerSecond[n]!);
  }
  if (shares.length === 0) return undefined;
  shares.sort((a, b) => a - b);
  return {
    mean: shares.reduce((sum, share) => sum + share, 0) / shares.length,
    p95: shares[Math.ceil(0.95 * shares.length) - 1]!,
    max: shares.at(-1)!,
  };
}

function addOther(cluster: SimulatedCluster, live: LiveView, sent: Float64Array, received: Float64Array): void {
  const { otherOut, otherBack } = cluster.traffic;
  const { placedStart, placedEnd, placedNode, placedCount } = live.view;
  for (let w = 0; w < otherOut.length; w++) {
    if (otherOut[w]! + otherBack[w]! === 0) continue;
    for (let p = placedStart[w]!; p < placedEnd[w]!; p++) {
      const share = placedCount[p]! / cluster.replicas[w]!;
      sent[placedNode[p]!]! += share * otherOut[w]!;
      received[placedNode[p]!]! += share * otherBack[w]!;
    }
  }
}

function addEdges(cluster: SimulatedCluster, live: LiveView, sent: Float64Array, received: Float64Array): void {
  const { placedStart, placedEnd, placedNode, placedCount } = live.view;
  for (const { client, server, out, back } of cluster.traffic.edges) {
    const clients = cluster.replicas[client]!;
    const servers = cluster.replicas[server]!;
    let c = placedStart[client]!;
    let s = placedStart[server]!;
    while (c < placedEnd[client]! || s < placedEnd[server]!) {
      const clientNode = c < placedEnd[client]! ? placedNode[c]! : Infinity;
      const serverNode = s < placedEnd[server]! ? placedNode[s]! : Infinity;
      const node = Math.min(clientNode, serverNode);
      const clientShare = clientNode === node ? placedCount[c++]! / clients : 0;
      const serverShare = serverNode === node ? placedCount[s++]! / servers : 0;
      const local = Math.min(clientShare, serverShare);
      sent[node]! += out * (clientShare - local) + back * (serverShare - local);
      received[node]! += back * (clientShare - local) + out * (serverShare - local);
    }
  }
}
