import type { PlacementSettings } from '../../scheduler/placement/index.ts';
import type { ViewSpec } from '../support/view-fixture.ts';

/**
 * The scoring formula once more, written down from the issue, placement-study.md §2.3 and the head of look-ahead.ts on the plain
 * description of a cluster, without an eye to speed. Returns the score of every candidate, before the limit on named nodes.
 */
export function naiveScores(
  spec: ViewSpec,
  workloadKey: string,
  candidates: readonly string[],
  settings: PlacementSettings,
): Map<string, number> {
  const cluster = new NaiveCluster(spec, workloadKey, settings);
  const known = candidates.filter((name) => cluster.isKnown(name));
  const { planState } = cluster;
  const zones = new Set(known.flatMap((name) => cluster.node(name)?.zone ?? []));
  const isPlanned = planState !== undefined && known.some((name) => cluster.missing(name) > 0);

  const silent = cluster.traffic === 0 || !spec.edges.some((e) => e.client === workloadKey || e.server === workloadKey);
  const worth = (name: string): number => {
    if (!cluster.isKnown(name) || cluster.node(name)!.avoided === true) return 0;
    const zone = cluster.node(name)!.zone;
    if (cluster.own((n) => n === name) >= share(settings.maxReplicaShare, cluster.replicas)) return 0;
    if (zone !== undefined && zones.size > 1) {
      const cap = share(settings.maxZoneReplicaShare, cluster.replicas);
      const here = cluster.own((n) => cluster.node(n)!.zone === zone);
      if (cap < cluster.replicas && here >= cap && cluster.missing(name) <= 0) return 0;
    }
    if (isPlanned) {
      const now = silent ? 0 : cluster.now((n) => n === name);
      if (cluster.missing(name) > 0) return silent ? 1 : 0.7 + 0.3 * now;
      return Math.max(0, 0.3 * now - 0.5 * cluster.overReserved(name));
    }
    return silent
      ? 0
      : Math.min(
          1,
          cluster.floor *
            cluster.scarcity *
            (cluster.near(name) + settings.lookAhead * cluster.nodeWeight(name) * cluster.future(name)),
        );
  };
  const off = (name: string): number => {
    if (isPlanned || !cluster.isKnown(name)) return 0;
    const kept = planState === undefined ? 0 : (planState === 'listed' ? 0.25 : 0.5) * cluster.overReserved(name);
    const claimed = planState === undefined ? cluster.claimed(name) : 0;
    const local = silent ? 0 : (cluster.now((n) => n === name) * cluster.traffic) / cluster.replicas;
    return Math.min(1, kept + claimed + settings.headroomPenalty * cluster.fullness(name, local));
  };
  const all = candidates.map((name) => worth(name) - off(name));
  const least = Math.max(Math.min(...all), Math.max(...all) - 1);
  const isSlight = (name: string): boolean =>
    !isPlanned && cluster.isKnown(name) && (silent || cluster.gain(name) < settings.minGain - 1e-9);
  const values = candidates.map((name, i) => (isSlight(name) ? Math.max(least, -off(name)) : all[i]!));
  return new Map(
    candidates.map((name, i) => [
      name,
      cluster.isKnown(name) ? Math.floor((values[i]! - least) * settings.scoreRange + 0.5 + 1e-9) : 0,
    ]),
  );
}

const share = (most: number, replicas: number): number => Math.max(1, Math.ceil(most * replicas));

type Domain = (node: string) => boolean;

class NaiveCluster {
  readonly #spec: ViewSpec;
  readonly #key: string;
  readonly #settings: PlacementSettings;
  readonly replicas: number;
  readonly peers: readonly string[];
  readonly traffic: number;
  readonly #replaced: boolean;

  constructor(spec: ViewSpec, key: string, settings: PlacementSettings) {
    this.#spec = spec;
    this.#key = key;
    this.#settings = settings;
    this.replicas = this.#replicasOf(key);
    // The only pod of a Deployment gives way to the one that is asked about.
    this.#replaced = this.replicas === 1 && key.includes('/Deployment/');
    this.traffic = this.#trafficOf(key);
    this.peers = this.#peersOf(key, true);
  }

  get planState(): 'listed' | 'absent' | undefined {
    if (this.#spec.planVersion === undefined) return undefined;
    return Object.values(this.#workload(this.#key).target ?? {}).some((count) => count > 0) ? 'listed' : 'absent';
  }

  get floor(): number {
    return this.#least === 0 ? 1 : Math.min(1, this.traffic / this.replicas / this.#least);
  }

  /** The floor, bytes per second: of a quiet cluster a tenth of the mean replica's traffic. */
  get #least(): number {
    if (!(this.#spec.hasUnits ?? true)) return 0;
    const talking = this.#spec.workloads.filter((w) => this.#trafficOf(w.key) > 0);
    const traffic = talking.reduce((sum, w) => sum + this.#trafficOf(w.key), 0);
    const replicas = talking.reduce((sum, w) => sum + (w.replicas ?? this.#replicasOf(w.key)), 0);
    const mean = replicas > 0 ? traffic / replicas : 0;
    return Math.min(this.#settings.floorBytesPerSecond, Math.max(250, mean / 10));
  }

  /** What traffic counts for while room is scarce. */
  get scarcity(): number {
    const { workloads, nodes } = this.#spec;
    const talking = workloads.filter((w) => !this.#isGone(w.key) && this.#trafficOf(w.key) > 0);
    const traffic = talking.reduce((sum, w) => sum + this.#trafficOf(w.key), 0);
    const factors = (['milliCpu', 'memoryBytes'] as const).map((resource) => {
      const request = this.#workload(this.#key)[resource] ?? 0;
      const asked = talking.reduce((sum, w) => sum + this.#replicasOf(w.key) * (w[resource] ?? 0), 0);
      const toCome = workloads.reduce(
        (sum, w) => sum + (this.#isGone(w.key) ? 0 : this.#toCome(w.key)) * (w[resource] ?? 0),
        0,
      );
      const free = nodes.reduce((sum, n) => sum + (n.live === false ? 0 : (n[resource]?.[1] ?? Infinity)), 0);
      if (request === 0 || asked === 0 || toCome === 0) return 1;
      const pressure = Math.min(1, (1.5 * toCome) / free);
      const worth = Math.min(1, this.traffic / this.replicas / request / (0.5 * (traffic / asked)));
      return 1 - pressure * (1 - worth);
    });
    return Math.min(...factors);
  }

  node(name: string): ViewSpec['nodes'][number] | undefined {
    return this.#spec.nodes.find((node) => node.name === name);
  }

  isListed(name: string): boolean {
    return this.node(name) !== undefined;
  }

  isKnown(name: string): boolean {
    return this.isListed(name) && this.node(name)!.live !== false;
  }

  own(domain: Domain): number {
    return this.#replaced ? 0 : this.#placedIn(this.#key, domain);
  }

  /** Replicas that the plan wants on the node and that do not stand there. */
  missing(name: string): number {
    if (this.#spec.planVersion === undefined) return 0;
    return (this.#workload(this.#key).target?.[name] ?? 0) - this.own((n) => n === name);
  }

  now(domain: Domain, level: 'node' | 'zone' | 'region' = 'node'): number {
    const a = this.own(domain);
    const R = this.replicas;
    const plain = (there: number): number => Math.min((a + 1) / R, there) - Math.min(a / R, there);
    let sum = 0;
    for (const edge of this.#edgesOf(this.#key)) {
      const asClient = edge.client === this.#key;
      const b = asClient ? edge.server : edge.client;
      if (b === this.#key || this.#isGone(b)) continue;
      const there = this.#placedIn(b, domain) / this.#replicasOf(b);
      const weight = edge.bytesPerSecond * Math.fround(edge.confidence ?? 1);
      const stays = edge.routing === 'same-node' || (edge.routing === 'same-zone' && level !== 'node');
      if (edge.routing === 'pinned' && asClient) {
        const pins = Object.entries(edge.pins ?? {}).filter(([node]) => domain(node));
        sum += weight * plain(pins.reduce((part, [, share]) => part + Math.fround(share), 0));
      } else if (!stays) sum += weight * plain(there);
      else if (!asClient) sum += a > 0 ? 0 : weight * Math.min(1 / R, there);
      else if (there > 0) {
        const load = (a + 1) / R / there;
        sum += (weight * (1 - 0.5 * Math.min(1, Math.max(0, (load - 1.5) / 1.5)))) / R;
      }
    }
    return (R / this.traffic) * sum;
  }

  near(name: string): number {
    const { zone, region } = this.node(name)!;
    const gNode = this.now((n) => n === name);
    const gZone = zone === undefined ? gNode : this.now((n) => this.node(n)!.zone === zone, 'zone');
    const gRegion = region === undefined ? gZone : this.now((n) => this.node(n)!.region === region, 'region');
    const w = this.#settings.levelWeights;
    return gNode * w.node + (gZone - gNode) * w.zone + (gRegion - gZone) * w.region;
  }

  /** Share of traffic that becomes local at the level where it is most. */
  gain(name: string): number {
    const { zone, region } = this.node(name)!;
    const onNode = this.now((n) => n === name) + this.#settings.lookAhead * this.future(name);
    const inZone = zone === undefined ? 0 : this.now((n) => this.node(n)!.zone === zone, 'zone');
    const inRegion = region === undefined ? 0 : this.now((n) => this.node(n)!.region === region, 'region');
    return Math.max(onNode, inZone, inRegion);
  }

  /** What a share that becomes local on the node counts for beyond what it counts for in the zone, or else in the region. */
  nodeWeight(name: string): number {
    const { zone, region } = this.node(name)!;
    const w = this.#settings.levelWeights;
    return w.node - (zone !== undefined ? w.zone : region !== undefined ? w.region : 0);
  }

  future(name: string): number {
    const weightOf = (b: string): number => this.#weight(this.#key, b, (edge) => this.#isChanceOf(this.#key, edge));
    const awaited = this.#heaviest(
      this.peers.filter((b) => this.#toCome(b) > 0),
      weightOf,
    );
    let sum = 0;
    const need = { milliCpu: 0, memoryBytes: 0 };
    for (const b of awaited) {
      const k = weightOf(b) / this.traffic;
      const replicasB = this.#replicasOf(b);
      const q = 1 / replicasB;
      const toCome = this.#toCome(b);
      const quanta = (amount: number): number => Math.max(0, Math.ceil(amount / q - 1e-9));
      const a = this.own((n) => n === name);
      const there = this.#placedIn(b, (n) => n === name);
      const coming = Math.max(0, Math.min(toCome, share(this.#settings.maxReplicaShare, replicasB) - there));
      const [s, s1, y] = [a / this.replicas, (a + 1) / this.replicas, there / replicasB];
      const before = quanta(s - y);
      const needed = Math.min(coming, quanta(s1 - y));
      if (needed === 0 || before > coming) continue;
      // What of the new replica's share more peers would cover: those that are waited for already, and all that are needed.
      const covered = (more: number): number =>
        Math.min(s1, y + more * q) - Math.min(s, y + more * q) - (Math.min(s1, y) - Math.min(s, y));
      const riding = covered(before);
      const opening = covered(needed) - riding;
      const elsewhere = this.#spec.nodes
        .map((node) =>
          quanta(
            this.own((n) => n === node.name) / this.replicas - this.#placedIn(b, (n) => n === node.name) / replicasB,
          ),
        )
        .reduce((x, z) => x + z, 0);
      const all = quanta(s1 - y);
      const filled = all === before ? 0 : Math.min(1, ((s1 - y) * replicasB - before) / (all - before));
      const open = (filled * Math.max(0, toCome - elsewhere)) / replicasB;
      sum += k * (riding + opening * open) * this.#draw(b, name, s1, weightOf(b));
      need.milliCpu += (this.#workload(b).milliCpu ?? 0) * needed * Math.min(1, 4 * k);
      need.memoryBytes += (this.#workload(b).memoryBytes ?? 0) * needed * Math.min(1, 4 * k);
    }
    const node = this.node(name)!;
    const room = (['milliCpu', 'memoryBytes'] as const).map((resource) => {
      if (need[resource] < 1e-9) return 1;
      const free = (node[resource]?.[1] ?? Infinity) - (this.#workload(this.#key)[resource] ?? 0);
      return Math.min(1, Math.max(0, (0.25 * free) / need[resource]));
    });
    return this.replicas * Math.min(...room) * sum;
  }

  overReserved(name: string): number {
    const over = (['milliCpu', 'memoryBytes'] as const).map((resource) => {
      const [all, free] = this.node(name)![resource] ?? [Infinity, Infinity];
      if (free === Infinity) return 0;
      const reserved = this.#spec.workloads.map(
        (w) => (w[resource] ?? 0) * Math.max(0, (w.target?.[name] ?? 0) - (w.placed?.[name] ?? 0)),
      );
      const sum = reserved.reduce((x, y) => x + y, 0);
      return (sum - (free - (this.#workload(this.#key)[resource] ?? 0))) / (0.1 * all);
    });
    const missing = this.#spec.workloads.map((w) => Math.max(0, (w.target?.[name] ?? 0) - (w.placed?.[name] ?? 0)));
    const pods = missing.reduce((x, y) => x + y, 0) - ((this.node(name)!.freePods ?? Infinity) - 1);
    return Math.min(1, Math.max(0, pods, ...over));
  }

  /** What replicas to come of others lose with the room that the pod takes, as a share of its own traffic. */
  claimed(name: string): number {
    const own = this.#workload(this.#key);
    const node = this.node(name)!;
    const claims = this.#spec.workloads
      .filter((w) => w !== own)
      .flatMap((w) => this.#claimsOn(w.key, name).map((bytes) => ({ w, bytes })))
      .map(({ w, bytes }) => ({ w, bytes, density: bytes / this.#shareOf(w, node) }))
      .sort((x, y) => (x.density === y.density ? 0 : y.density - x.density));
    const fitting = (milliCpu: number, memoryBytes: number, pods: number): number => {
      let left = [milliCpu, memoryBytes, pods] as const;
      let sum = 0;
      for (const { w, bytes } of claims) {
        const [cpu, memory] = [w.milliCpu ?? 0, w.memoryBytes ?? 0];
        if (left[0] < cpu || left[1] < memory || left[2] < 1) continue;
        left = [left[0] - cpu, left[1] - memory, left[2] - 1];
        sum += bytes;
      }
      return sum;
    };
    const free = [
      node.milliCpu?.[1] ?? Infinity,
      node.memoryBytes?.[1] ?? Infinity,
      node.freePods ?? Infinity,
    ] as const;
    const loss =
      fitting(...free) - fitting(free[0] - (own.milliCpu ?? 0), free[1] - (own.memoryBytes ?? 0), free[2] - 1);
    return loss > 0 ? Math.min(1, loss / Math.max(this.traffic / this.replicas, this.#least)) : 0;
  }

  /** What replicas to come of b would lose without room on the node: their gains there less the best one that is left over. */
  #claimsOn(b: string, name: string): number[] {
    const toCome = this.#toCome(b);
    if (toCome <= 0 || this.#isGone(b) || this.#workload(b).placementOff === true) return [];
    const weightOf = (p: string): number => this.#weight(b, p, (edge) => this.#isChanceOf(b, edge));
    const peers = this.#heaviest(
      this.#peersOf(b, true).filter((p) => Object.keys(this.#workload(p).placed ?? {}).length <= 256),
      weightOf,
    );
    const R = this.#replicasOf(b);
    const { milliCpu: cpu = 0, memoryBytes: memory = 0 } = this.#workload(b);
    const gain = (node: ViewSpec['nodes'][number], more: number): number => {
      const there = this.#placedIn(b, (n) => n === node.name) + more - 1;
      if (node.live === false || node.avoided === true || there >= share(0.5, R)) return 0;
      if ((node.freePods ?? Infinity) < more) return 0;
      if ((node.milliCpu?.[1] ?? Infinity) < more * cpu || (node.memoryBytes?.[1] ?? Infinity) < more * memory)
        return 0;
      return peers.reduce((sum, p) => {
        const y = this.#placedIn(p, (n) => n === node.name) / this.#replicasOf(p);
        return sum + weightOf(p) * (Math.min((there + 1) / R, y) - Math.min(there / R, y));
      }, 0);
    };
    const counts = [1, 2, 3, 4].slice(0, toCome);
    const all = this.#spec.nodes.flatMap((node) => counts.map((more) => gain(node, more))).sort((x, y) => y - x);
    const left = all[toCome] ?? 0;
    const here = counts.map((more) => gain(this.node(name)!, more));
    return here.filter((bytes) => bytes - left > 1e-9 * bytes).map((bytes) => bytes - left);
  }

  #shareOf(w: ViewSpec['workloads'][number], node: ViewSpec['nodes'][number]): number {
    return Math.max(
      (w.milliCpu ?? 0) / (node.milliCpu?.[0] ?? Infinity),
      (w.memoryBytes ?? 0) / (node.memoryBytes?.[0] ?? Infinity),
    );
  }

  /** The penalty for a link that goes over 60 % with the pod. */
  fullness(name: string, local: number): number {
    const { link } = this.node(name)!;
    if (link === undefined) return 0;
    const { tx = 0, rx = 0 } = this.#workload(this.#key);
    const used = Math.max(link[1] + tx - local, link[2] + rx - local) / link[0];
    const added = (Math.max(tx, rx) - local) / link[0];
    if (used < 0.6 || added <= 0) return 0;
    return Math.min(1, ((used - 0.6) / 0.3) ** 2) * Math.min(1, added / 0.005);
  }

  /** How much of what draws a replica of b anywhere would draw it to the node, if one more pod stood there. */
  #draw(b: string, name: string, s1: number, weight: number): number {
    const replicasB = this.#replicasOf(b);
    const traffic = this.#trafficOf(b);
    const others = this.#peersOf(b, true).filter(
      (p) => p !== this.#key && Object.keys(this.#workload(p).placed ?? {}).length <= 256,
    );
    const pull = (of: string): number =>
      this.#heaviest(others, (p) => this.#weight(b, p)).reduce((sum, p) => {
        const there = this.#placedIn(p, (n) => n === of) / this.#replicasOf(p);
        return sum + ((this.#weight(b, p) * replicasB) / traffic) * Math.min(1 / replicasB, there);
      }, 0);
    const request = (resource: 'milliCpu' | 'memoryBytes'): number =>
      (this.#workload(b)[resource] ?? 0) + (this.#workload(this.#key)[resource] ?? 0);
    const roomy = this.#spec.nodes.filter(
      (node) =>
        node.live !== false &&
        (node.freePods ?? Infinity) >= 2 &&
        (node.milliCpu?.[1] ?? Infinity) >= request('milliCpu') &&
        (node.memoryBytes?.[1] ?? Infinity) >= request('memoryBytes'),
    );
    const most = Math.max(0, ...roomy.map((node) => pull(node.name)));
    const beside = ((weight * replicasB) / traffic) * Math.min(1 / replicasB, s1);
    const here = pull(name) + beside;
    return here >= most ? 1 : (here / most) ** 2;
  }

  /** At most eight. */
  #heaviest(peers: readonly string[], weightOf: (peer: string) => number): string[] {
    return peers
      .map((peer, i) => ({ peer, i, weight: weightOf(peer) }))
      .filter(({ weight }) => weight > 0)
      .sort((x, y) => y.weight - x.weight || x.i - y.i)
      .slice(0, 8)
      .map(({ peer }) => peer);
  }

  #workload(key: string): ViewSpec['workloads'][number] {
    return this.#spec.workloads.find((w) => w.key === key)!;
  }

  #isGone(key: string): boolean {
    return this.#workload(key).replicas === 0 && this.#placedIn(key, () => true) === 0;
  }

  #placedIn(key: string, domain: Domain): number {
    return Object.entries(this.#workload(key).placed ?? {}).reduce((sum, [node, n]) => sum + (domain(node) ? n : 0), 0);
  }

  #replicasOf(key: string): number {
    return Math.max(
      this.#workload(key).replicas ?? 1,
      1,
      this.#placedIn(key, () => true),
    );
  }

  #toCome(key: string): number {
    return this.#workload(key).toCome ?? this.#replicasOf(key) - this.#placedIn(key, () => true);
  }

  /** In the order of the view; movable: without the workload itself and those that are gone. */
  #peersOf(key: string, movable: boolean): string[] {
    const keys = new Set(
      this.#spec.edges
        .filter((e) => e.client === key || e.server === key)
        .map((e) => (e.client === key ? e.server : e.client)),
    );
    return this.#spec.workloads
      .map((w) => w.key)
      .filter((k) => keys.has(k) && (!movable || (k !== key && !this.#isGone(k))));
  }

  /** All known traffic of a workload. */
  #trafficOf(key: string): number {
    const edges = this.#spec.edges.filter((e) => e.client === key || e.server === key);
    return edges.reduce((sum, e) => sum + e.bytesPerSecond, 0) + (this.#workload(key).otherBytesPerSecond ?? 0);
  }

  /** Whether its connections find any server; what pinned clients found is no matter of their servers. */
  #isChanceOf(key: string, { routing = 'random', server }: ViewSpec['edges'][number]): boolean {
    return routing === 'random' || (routing === 'pinned' && server === key);
  }

  #edgesOf(key: string): ViewSpec['edges'] {
    return this.#spec.edges.filter((e) => e.client === key || e.server === key);
  }

  #weight(a: string, b: string, counts: (edge: ViewSpec['edges'][number]) => boolean = () => true): number {
    return this.#spec.edges
      .filter((e) => ((e.client === a && e.server === b) || (e.client === b && e.server === a)) && counts(e))
      .reduce((sum, e) => sum + e.bytesPerSecond * Math.fround(e.confidence ?? 1), 0);
  }
}
