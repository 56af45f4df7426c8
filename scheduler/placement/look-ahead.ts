import { HeavyPeers } from './heavy-peers.ts';
import { minMarginal, replicaCap } from './min-marginal.ts';
import { knownTraffic, rowOf } from './peer-row.ts';
import { RANDOM } from './routing.ts';
import type { Subject } from './subject.ts';
import { Tally } from './tally.ts';
import type { PlacementView } from './view.ts';

/**
 * What a pod is worth for peers that are still to come. min-marginal alone sees only those that stand: the first pods of an
 * application go anywhere, and their peers find no room beside them. So a node counts for more where (1) the peers to
 * come would complete a share of this workload there, (2) nobody draws them elsewhere, (3) there is room for them.
 *
 * For a peer b with k_b = w_ab / V_a, of which L replicas are to come, and for node n with x_a, x_b replicas (shares
 * s = x_a/R_a, s' = (x_a+1)/R_a, y = x_b/R_b, quantum q = 1/R_b):
 *   u     what of s' - s, beyond now(), the peers to come can cover: min(s', y + cq) - min(s, y + cq) - now, c = min(L, cap_b - x_b)
 *   u_r   of that, what rides along: covered by the ceil((s - y)/q) peers for which the replicas here wait already
 *   u_o   the rest, which opens a place for further peers. It counts by `open` = filled * max(0, L - D)/R_b: filled is how much of
 *         the ceil((s' - y)/q) - ceil((s - y)/q) further peers that all of s' - s takes this workload needs (a peer that could serve
 *         two replicas is not spent on one), D = sum over nodes of ceil((x_a/R_a - x_b/R_b)/q) those waited for elsewhere.
 *   draw  min(1, pull_b(n) / most_b)^2: pull_b(n) = share of b's traffic that one replica of b would find at n beside a and
 *         b's heaviest peers; most_b its largest value on a node with room for both, without a.
 *   future(n) = R_a * room(n) * sum k_b (u_r + u_o open) draw
 *   room(n)   = min over cpu, memory of 0.25 * (free - own request) / sum over b of request_b * peers needed * min(1, 4 k_b), at most 1
 * Local shares are those of balanced-local routing, as in minMarginal; edges with another routing (routing.ts) are left out. Derived from placement-study.md §2.3; a marginal
 * gain instead of its cumulative one, and `draw`, gained 0-5 points (random) and 1-15 (rollout) over it on M3 and 14 generated
 * clusters (random on M3: 0.6 less). With lookAhead of at most 3/4, a peer that comes to a node never lowers it. Visits only nodes that host the workload, its heaviest peers, or theirs.
 */
export class LookAhead {
  readonly #peers = new HeavyPeers(MAX_PEERS);
  readonly #second = new HeavyPeers(MAX_PEERS);
  readonly #placed = new Tally();
  readonly #pull = new Tally();
  readonly #touched = new Tally();
  readonly #worth = new Tally();
  readonly #cpu = new Tally();
  readonly #memory = new Tally();
  /** At a node that hosts none of them; tallies hold the difference to it. */
  #base: Contribution = { worth: 0, milliCpu: 0, memoryBytes: 0 };
  #ownMilliCpu = 0;
  #ownMemoryBytes = 0;
  /** false: no peer is to come. */
  active = false;

  /**
   * @param own placed replicas of the workload by node
   * @param ownNodes where they stand; empty if they are about to go
   */
  prepare(view: PlacementView, subject: Subject, own: Tally, ownNodes: Int32Array, maxReplicaShare: number): void {
    const peers = this.#peers;
    const { routing } = subject.peers;
    peers.collect(
      view,
      subject.workload,
      subject.peers,
      (peer, entry) => view.toCome[peer]! > 0 && routing[entry] === RANDOM,
    );
    this.active = peers.count > 0;
    if (!this.active) return;
    for (const tally of [this.#worth, this.#cpu, this.#memory]) tally.reset(view.nodeCount);
    this.#base = { worth: 0, milliCpu: 0, memoryBytes: 0 };
    this.#ownMilliCpu = subject.milliCpu;
    this.#ownMemoryBytes = subject.memoryBytes;
    for (let i = 0; i < peers.count; i++) {
      this.#addPeer(view, subject, own, ownNodes, peers.peers[i]!, peers.weights[i]!, maxReplicaShare);
    }
  }

  /** future(n) without room(n), as a share of the pod's own traffic, 0..1. */
  worth(node: number): number {
    return Math.max(0, this.#base.worth + this.#worth.get(node));
  }

  /** room(n), 0..1. */
  room(view: PlacementView, node: number): number {
    const milliCpu = this.#base.milliCpu + this.#cpu.get(node);
    const memoryBytes = this.#base.memoryBytes + this.#memory.get(node);
    return Math.min(
      share(view.freeMilliCpu[node]! - this.#ownMilliCpu, milliCpu),
      share(view.freeMemoryBytes[node]! - this.#ownMemoryBytes, memoryBytes),
    );
  }

  #addPeer(
    view: PlacementView,
    { workload, replicas, knownBytesPerSecond }: Subject,
    own: Tally,
    ownNodes: Int32Array,
    peer: number,
    weight: number,
    maxReplicaShare: number,
  ): void {
    const { placedStart, placedEnd, placedNode, placedCount } = view;
    const placed = this.#placed;
    const touched = this.#touched;
    placed.reset(view.nodeCount);
    touched.reset(view.nodeCount);
    for (let p = placedStart[peer]!; p < placedEnd[peer]!; p++) placed.add(placedNode[p]!, placedCount[p]!);

    const peerReplicas = view.replicas[peer]!;
    const toCome = view.toCome[peer]!;
    const cap = replicaCap(peerReplicas, maxReplicaShare);
    let awaited = 0;
    for (const node of ownNodes) {
      awaited += quanta(own.get(node) / replicas - placed.get(node) / peerReplicas, peerReplicas);
    }
    const open = Math.max(0, toCome - awaited) / peerReplicas;

    // What one replica of the peer finds beside one of the workload, and beside its own heaviest peers.
    const peerKnown = knownTraffic(view, peer);
    const toShare = peerReplicas / peerKnown;
    const most = this.#sumPulls(view, workload, peer, peerKnown);
    const k = weight / knownBytesPerSecond;

    const at = (ownCount: number, there: number, pull: number): Contribution => {
      const u = coverable(ownCount, replicas, there, peerReplicas, Math.min(toCome, Math.max(0, cap - there)));
      if (u.needed === 0) return NOTHING;
      const beside = weight * toShare * Math.min(1 / peerReplicas, (ownCount + 1) / replicas);
      const drawn = pull + beside >= most ? 1 : ((pull + beside) / most) ** 2;
      const needed = u.needed * Math.min(1, 4 * k);
      return {
        worth: replicas * k * (u.riding + u.opening * u.filled * open) * drawn,
        milliCpu: view.milliCpu[peer]! * needed,
        memoryBytes: view.memoryBytes[peer]! * needed,
      };
    };
    const base = at(0, 0, 0);
    this.#base = {
      worth: this.#base.worth + base.worth,
      milliCpu: this.#base.milliCpu + base.milliCpu,
      memoryBytes: this.#base.memoryBytes + base.memoryBytes,
    };
    const touch = (node: number): void => {
      if (touched.has(node)) return;
      touched.add(node, 1);
      const { worth, milliCpu, memoryBytes } = at(own.get(node), placed.get(node), this.#pull.get(node));
      this.#worth.add(node, worth - base.worth);
      this.#cpu.add(node, milliCpu - base.milliCpu);
      this.#memory.add(node, memoryBytes - base.memoryBytes);
    };
    for (const node of ownNodes) touch(node);
    for (let p = placedStart[peer]!; p < placedEnd[peer]!; p++) touch(placedNode[p]!);
    for (let i = 0; i < this.#second.count; i++) {
      const second = this.#second.peers[i]!;
      for (let p = placedStart[second]!; p < placedEnd[second]!; p++) touch(placedNode[p]!);
    }
  }

  /** Fills #pull with what the peer would find at nodes beside its other peers. @returns most_b without the workload's own pull */
  #sumPulls(view: PlacementView, workload: number, peer: number, peerKnown: number): number {
    const { placedStart, placedEnd, placedNode, placedCount } = view;
    const pull = this.#pull;
    const second = this.#second;
    const peerReplicas = view.replicas[peer]!;
    pull.reset(view.nodeCount);
    second.collect(
      view,
      peer,
      rowOf(view, peer),
      (of) => of !== workload && placedEnd[of]! - placedStart[of]! <= MAX_ROW,
    );
    for (let i = 0; i < second.count; i++) {
      const of = second.peers[i]!;
      const gain = (second.weights[i]! * peerReplicas) / peerKnown;
      for (let p = placedStart[of]!; p < placedEnd[of]!; p++) {
        pull.add(placedNode[p]!, gain * Math.min(1 / peerReplicas, placedCount[p]! / view.replicas[of]!));
      }
    }
    const milliCpu = this.#ownMilliCpu + view.milliCpu[peer]!;
    const memoryBytes = this.#ownMemoryBytes + view.memoryBytes[peer]!;
    let most = 0;
    for (let i = 0; i < second.count; i++) {
      for (let p = placedStart[second.peers[i]!]!; p < placedEnd[second.peers[i]!]!; p++) {
        const node = placedNode[p]!;
        if (pull.get(node) <= most || view.nodeLive[node] === 0 || view.freePods[node]! < 2) continue;
        if (view.freeMilliCpu[node]! >= milliCpu && view.freeMemoryBytes[node]! >= memoryBytes) most = pull.get(node);
      }
    }
    return most;
  }
}

interface Contribution {
  readonly worth: number;
  readonly milliCpu: number;
  readonly memoryBytes: number;
}

const NOTHING: Contribution = { worth: 0, milliCpu: 0, memoryBytes: 0 };

/** Of peers to come, and of each of these their peers: 4 to all of them made no difference that could be measured. */
const MAX_PEERS = 8;
/** Peers of peers on more nodes than this draw nobody to one of them. */
const MAX_ROW = 256;
/**
 * Other applications want the free room too (placement-study.md §2.3: 0.12). Now that peers have a claim to it (claims.ts), 0.25 gained
 * 0.3 points on 39 generated clusters and 2 on M3; 0.5 lost as much.
 */
const ROOM = 0.25;
/** Sums of shares are compared with multiples of quanta. */
const NOISE = 1e-9;

/** How many quanta of 1/replicas a share needs. */
function quanta(amount: number, replicas: number): number {
  return amount <= 0 ? 0 : Math.ceil(amount * replicas - NOISE);
}

/**
 * What one more replica of a would gain beyond what it gains now if `coming` more replicas of b came: beside those of them for
 * which the replicas of a that stand there wait already (`riding`), and beside further ones (`opening`); `filled`: how much of
 * all further ones that it could use it would use, 0..1; `needed`: how many of `coming` it takes.
 */
export function coverable(
  placedA: number,
  replicasA: number,
  placedB: number,
  replicasB: number,
  coming: number,
): { readonly riding: number; readonly opening: number; readonly filled: number; readonly needed: number } {
  const uncovered = (placedA + 1) / replicasA - placedB / replicasB;
  const before = quanta(placedA / replicasA - placedB / replicasB, replicasB);
  const all = quanta(uncovered, replicasB);
  const needed = Math.min(coming, all);
  if (needed === 0 || before > coming) return { riding: 0, opening: 0, filled: 0, needed: 0 };
  const gainWith = (more: number): number => minMarginal(placedA, replicasA, placedB + more, replicasB);
  const riding = gainWith(before) - gainWith(0);
  const filled = all > before ? Math.min(1, (uncovered * replicasB - before) / (all - before)) : 0;
  return { riding, opening: gainWith(needed) - gainWith(before), filled, needed };
}

function share(free: number, needed: number): number {
  return needed > NOISE ? Math.min(1, Math.max(0, (ROOM * free) / needed)) : 1;
}
