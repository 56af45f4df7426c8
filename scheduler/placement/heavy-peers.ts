import { isMovable, weightOf, type PeerRow } from './peer-row.ts';
import type { PlacementView } from './view.ts';

/** The peers of a workload with the most traffic, heaviest first (of equals the smaller index); reused by the next call. */
export class HeavyPeers {
  readonly peers: Int32Array;
  /** Bytes per second both ways and in both roles, as far as they are trusted. */
  readonly weights: Float64Array;
  count = 0;

  constructor(most: number) {
    this.peers = new Int32Array(most);
    this.weights = new Float64Array(most);
  }

  /**
   * @param workload whose row it is; -1: not in the view
   * @param admits says which entries count
   */
  collect(
    view: Pick<PlacementView, 'workloadCount' | 'replicas'>,
    workload: number,
    row: PeerRow,
    admits: (peer: number, entry: number) => boolean,
  ): void {
    this.count = 0;
    const { peer, end } = row;
    for (let first = row.start, next = first; first < end; first = next) {
      let weight = 0;
      for (next = first; next < end && peer[next] === peer[first]; next++) {
        if (admits(peer[next]!, next)) weight += weightOf(row, next);
      }
      if (weight > 0 && isMovable(view, workload, row, first)) {
        this.#insert(peer[first]!, weight);
      }
    }
  }

  #insert(peer: number, weight: number): void {
    const { peers, weights } = this;
    let at = this.count;
    while (at > 0 && weights[at - 1]! < weight) at--;
    if (at === peers.length) return;
    if (this.count < peers.length) this.count++;
    peers.copyWithin(at + 1, at, this.count - 1);
    weights.copyWithin(at + 1, at, this.count - 1);
    peers[at] = peer;
    weights[at] = weight;
  }
}
