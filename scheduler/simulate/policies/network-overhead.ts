import type { SimulatedCluster } from '../cluster.ts';
import type { Moment } from '../moment.ts';
import type { Policy } from './policy.ts';

/** kubernetes-sigs/scheduler-plugins, pkg/networkaware/networkoverhead: SameHostname, SameZone, MaxCost. */
const SAME_NODE = 0;
const SAME_ZONE = 1;
const MAX_COST = 100;
/** What a NetworkTopology would declare between zones of a region, and between regions (scheduler.md §8.1). */
const OTHER_ZONE = 10;
const OTHER_REGION = 20;

/**
 * Cost of a node: for every dependency that the pod's workload calls, for every placed replica of it, the cost from
 * the node to that replica; whatever flows there. The best node gets 100, the worst 0. Its filter is left out: no
 * maxNetworkCost is declared.
 */
export class NetworkOverheadPolicy implements Policy {
  readonly #weight: number;
  readonly #servers: readonly (readonly number[])[];
  readonly #domains: Domains;
  readonly #cost: Float64Array;

  constructor(cluster: SimulatedCluster, weight: number) {
    this.#weight = weight;
    const servers: number[][] = cluster.workloads.map(() => []);
    for (const { client, server } of cluster.traffic.edges) servers[client]!.push(server);
    this.#servers = servers;
    this.#domains = new Domains(cluster);
    this.#cost = new Float64Array(cluster.nodes.length);
  }

  score(moment: Moment, totals: Float64Array): void {
    const servers = this.#servers[moment.workload]!;
    if (servers.length === 0) return;
    const { candidates, candidateCount } = moment;
    this.#domains.count(moment, servers);
    let least = Infinity;
    let most = 0;
    for (let c = 0; c < candidateCount; c++) {
      const cost = (this.#cost[c] = this.#domains.cost(candidates[c]!));
      if (cost < least) least = cost;
      if (cost > most) most = cost;
    }
    for (let c = 0; c < candidateCount; c++) {
      const above = this.#cost[c]! - least;
      totals[c]! += this.#weight * (100 - (most === least ? above : Math.trunc((100 * above) / (most - least))));
    }
  }
}

/** Placed replicas by node, zone and region, from which the cost of any node follows at once. */
class Domains {
  readonly #zone: Int32Array;
  readonly #region: Int32Array;
  readonly #byNode: Int32Array;
  readonly #byZone: Int32Array;
  readonly #byRegion: Int32Array;
  /** Replicas on nodes that have neither zone nor region. */
  #nowhere = 0;
  #all = 0;

  constructor({ problem }: SimulatedCluster) {
    // A region without a name is one region as well: that of all nodes without.
    this.#zone = problem.nodeZone.map((zone) => zone + 1);
    this.#region = problem.nodeRegion.map((region) => region + 1);
    const places = (of: Int32Array): number => of.reduce((max, value) => Math.max(max, value), 0) + 1;
    this.#byNode = new Int32Array(problem.nodeCount);
    this.#byZone = new Int32Array(places(this.#zone) * places(this.#region));
    this.#byRegion = new Int32Array(places(this.#region));
  }

  count(moment: Moment, workloads: readonly number[]): void {
    this.#byNode.fill(0);
    this.#byZone.fill(0);
    this.#byRegion.fill(0);
    this.#nowhere = 0;
    this.#all = 0;
    const { placedStart, placedEnd, placedNode, placedCount } = moment.live.view;
    for (const w of workloads) {
      for (let p = placedStart[w]!; p < placedEnd[w]!; p++) {
        const node = placedNode[p]!;
        const count = placedCount[p]!;
        this.#all += count;
        this.#byNode[node]! += count;
        if (this.#zone[node] === 0 && this.#region[node] === 0) this.#nowhere += count;
        else {
          this.#byZone[this.#zoneOf(node)]! += count;
          this.#byRegion[this.#region[node]!]! += count;
        }
      }
    }
  }

  cost(node: number): number {
    const here = this.#byNode[node]!;
    if (this.#zone[node] === 0 && this.#region[node] === 0) {
      return SAME_NODE * here + MAX_COST * (this.#all - here);
    }
    const zone = this.#byZone[this.#zoneOf(node)]!;
    const region = this.#byRegion[this.#region[node]!]!;
    return (
      SAME_NODE * here +
      SAME_ZONE * (zone - here) +
      OTHER_ZONE * (region - zone) +
      OTHER_REGION * (this.#all - this.#nowhere - region) +
      MAX_COST * this.#nowhere
    );
  }

  #zoneOf(node: number): number {
    return this.#zone[node]! * this.#byRegion.length + this.#region[node]!;
  }
}
