import {
  byDensity,
  ClaimFinder,
  MAX_CLAIMS,
  MAX_SAME,
  type Claim,
  type ClaimColumns,
  type Claims,
} from '../placement/claims.ts';
import { placedOn } from '../placement/placed.ts';

/** Claims of a view that changes in place: told of every change, and brought up to date when somebody asks. */
export class LiveClaims {
  /** Rows of MAX_CLAIMS entries each. */
  readonly claims: Claims;
  readonly #view: ClaimColumns;
  readonly #finder: ClaimFinder;
  readonly #ofWorkload: (readonly Claim[])[];
  readonly #ofNode: Claim[][];
  /** Workloads whose claims may be others than #ofWorkload. */
  readonly #stale = new Set<number>();
  /** Nobody has asked yet. */
  #idle = true;

  constructor(view: ClaimColumns, maxReplicaShare: number) {
    const { nodeCount, workloadCount } = view;
    const start = Int32Array.from({ length: nodeCount }, (_, n) => n * MAX_CLAIMS);
    this.#view = view;
    this.#finder = new ClaimFinder(maxReplicaShare);
    this.#ofWorkload = Array.from({ length: workloadCount }, () => []);
    this.#ofNode = Array.from({ length: nodeCount }, () => []);
    this.claims = {
      start,
      end: start.slice(),
      workload: new Int32Array(nodeCount * MAX_CLAIMS),
      bytesPerSecond: new Float64Array(nodeCount * MAX_CLAIMS),
      milliCpu: new Float64Array(nodeCount),
      memoryBytes: new Float64Array(nodeCount),
      count: 0,
      maxReplicaShare,
    };
  }

  /** Everything may have changed. */
  reset(): void {
    if (this.#idle) return;
    for (let w = 0; w < this.#view.workloadCount; w++) this.#stale.add(w);
  }

  /** A replica of the workload came or went. */
  moved(workload: number): void {
    if (this.#idle) return;
    const { peerStart, peer } = this.#view;
    this.#stale.add(workload);
    for (let e = peerStart[workload]!; e < peerStart[workload + 1]!; e++) this.#stale.add(peer[e]!);
  }

  /** The node has other room than before: of interest to those of whom more or fewer fit. */
  roomChanged(node: number, before: Room, after: Room): void {
    if (this.#idle) return;
    const { workloadCount, toCome, milliCpu, memoryBytes } = this.#view;
    const podsTurn = fitting(1, before.pods) !== fitting(1, after.pods);
    for (let w = 0; w < workloadCount; w++) {
      if (toCome[w]! <= 0) continue;
      const fitsOtherwise =
        podsTurn ||
        fitting(milliCpu[w]!, before.milliCpu) !== fitting(milliCpu[w]!, after.milliCpu) ||
        fitting(memoryBytes[w]!, before.memoryBytes) !== fitting(memoryBytes[w]!, after.memoryBytes);
      if (fitsOtherwise && this.#hasPeerOn(w, node)) this.#stale.add(w);
    }
  }

  refresh(): void {
    if (this.#idle) {
      this.#idle = false;
      this.reset();
    }
    if (this.#stale.size === 0) return;
    const touched = new Set<number>();
    for (const w of this.#stale) {
      for (const claim of this.#ofWorkload[w]!) {
        const row = this.#ofNode[claim.node]!;
        row.splice(row.indexOf(claim), 1);
        touched.add(claim.node);
      }
      const claims = this.#finder.of(this.#view, w);
      this.#ofWorkload[w] = claims;
      for (const claim of claims) {
        this.#ofNode[claim.node]!.push(claim);
        touched.add(claim.node);
      }
    }
    this.#stale.clear();
    for (const node of touched) this.#write(node);
  }

  #write(node: number): void {
    const claims = this.claims as { -readonly [Key in keyof Claims]: Claims[Key] };
    const { start, end, workload, bytesPerSecond, milliCpu, memoryBytes } = claims;
    const first = start[node]!;
    const rows = this.#ofNode[node]!.sort(byDensity);
    const count = Math.min(MAX_CLAIMS, rows.length);
    milliCpu[node] = 0;
    memoryBytes[node] = 0;
    for (let i = 0; i < count; i++) {
      const of = rows[i]!.workload;
      workload[first + i] = of;
      bytesPerSecond[first + i] = rows[i]!.bytesPerSecond;
      milliCpu[node] += this.#view.milliCpu[of]!;
      memoryBytes[node] += this.#view.memoryBytes[of]!;
    }
    claims.count += count - (end[node]! - first);
    end[node] = first + count;
  }

  #hasPeerOn(workload: number, node: number): boolean {
    const { peerStart, peer } = this.#view;
    for (let e = peerStart[workload]!; e < peerStart[workload + 1]!; e++) {
      if (placedOn(this.#view, peer[e]!, node) > 0) return true;
    }
    return false;
  }
}

/** How many replicas find room, up to as many as can claim it. */
function fitting(request: number, room: number): number {
  let count = 0;
  while (count < MAX_SAME && (count + 1) * request <= room) count++;
  return count;
}

/** What a node has free. */
export interface Room {
  readonly milliCpu: number;
  readonly memoryBytes: number;
  readonly pods: number;
}
