import type { Egress, NamespaceRecord, Resources, ServiceRecord } from '../cluster/model.ts';
import { isAvoided, type Taint } from '../cluster/node-choice.ts';
import { kindOf, namespaceOf } from '../placement/workload-kind.ts';
import {
  type Lookups,
  type LookupTable,
  type NamesDelta,
  type ViewArrays,
  type ViewMessage,
  packLookup,
  packNames,
} from '../placement/view-message.ts';
import { confidenceOfRow } from './edge-views.ts';
import { CLASS_SERVICE, CLASS_WORKLOAD, type Endpoint } from './endpoint-table.ts';
import { endpointKey } from './file-traffic.ts';
import { claimsOf } from '../placement/claims.ts';
import { meanTraffic } from '../placement/floor.ts';
import type { NamespaceFacts } from '../placement/view.ts';
import { DEFAULT_PLACEMENT_SETTINGS } from '../placement/settings.ts';
import { scarcitiesOf } from '../placement/scarcity.ts';
import { PINNED, RANDOM, ROUTINGS } from '../placement/routing.ts';
import { linkUse, type LinkColumns } from '../placement/link-use.ts';
import type { UplinkRate } from './agents.ts';
import type { Rates } from './edges.ts';
import { NameList } from './name-list.ts';
import { TargetResolver, type NamedTarget } from './named-target.ts';
import { PairList, buildPeerMatrix, withRows, type PeerMatrix } from './peer-matrix.ts';
import { commonRouting } from './common-routing.ts';
import { ignoredDistributions, type IgnoredDistribution } from './ignored-distribution.ts';
import type { RoutingSurvey } from './routing-survey.ts';
import { StructureIndex, type StructureCluster } from './structure-index.ts';
import type { TrafficGraph } from './traffic-graph.ts';
import { WorkloadHints } from './workload-hints.ts';
import { CLIENT, INTS, REPORTER, SERVER, STATE } from './traffic-rows.ts';

export type { NamedTarget } from './named-target.ts';
export { type ViewMessage, transferOf } from '../placement/view-message.ts';

/** What of the cluster goes into a view; ClusterState is one. */
export interface PlacementCluster extends Partial<StructureCluster> {
  /** Changes whenever one of the others may answer otherwise. */
  readonly version: number;
  nodes(): Iterable<PlacementNode>;
  /** What the pods on a node ask for, all together; left out: nothing is known of room. */
  usedOn?(node: string): Resources;
  workloads(): Iterable<PlacementWorkload>;
  placementOff(namespace: string): boolean;
  ownerLinks(): Iterable<{ readonly ownerKey: string; readonly workloadKey: string }>;
  /** Those that switch placement off or name a tenant; left out: there are none. */
  namespaces?(): Iterable<Pick<NamespaceRecord, 'name' | 'placementOff' | 'tenant'>>;
  service(namespace: string, name: string): ServiceRecord | undefined;
  selectedBy(service: ServiceRecord): Iterable<{ readonly key: string }>;
}

export interface PlacementNode {
  readonly name: string;
  readonly zone: string | undefined;
  readonly region: string | undefined;
  /** Figures of 0: the node does not say. */
  readonly allocatable?: Resources;
  /** Said of its link, each way; left out: nothing. */
  readonly linkMbps?: number;
  readonly taints?: readonly Taint[];
  readonly minor?: number;
}

export interface PlacementWorkload {
  /** "namespace/Kind/name" */
  readonly key: string;
  readonly ref: { readonly namespace: string };
  readonly desired: number | undefined;
  readonly placed: number;
  readonly placedByNode: ReadonlyMap<string, number>;
  readonly pending?: number;
  readonly requests?: Resources | undefined;
  readonly egress?: Egress | undefined;
}

export interface ViewBuilderOptions {
  /** Peers of a workload in the view, by rate; the rest counts as other traffic. Each costs the extender time. */
  readonly maxPeers: number;
  /** What a link carries each way of which neither its node nor an agent says anything; undefined: not known. */
  readonly linkBytesPerSecond: number | undefined;
  /** PlacementSettings.maxReplicaShare */
  readonly maxReplicaShare: number;
  /** Names of what is gone are kept until they outnumber the others by this much. */
  readonly maxGoneNames: number;
}

export interface ViewStats {
  readonly edges: number;
  /** Rows of the traffic file that name a workload which the cluster does not have. */
  readonly fileEdgesUnknown: number;
  /** Measured edges with a workload that is gone. */
  readonly edgesGone: number;
  /** Workloads without traffic of whose peers something is thought. */
  readonly workloadsHinted: number;
}

const DEFAULTS: ViewBuilderOptions = {
  maxPeers: 256,
  linkBytesPerSecond: undefined,
  maxReplicaShare: DEFAULT_PLACEMENT_SETTINGS.maxReplicaShare,
  maxGoneNames: 10_000,
};

type PinColumn = 'pinStart' | 'pinNode' | 'pinShare';
type RoomColumn = 'nodeMilliCpu' | 'nodeMemoryBytes' | 'freeMilliCpu' | 'freeMemoryBytes' | 'freePods';
type PlacedColumn =
  | 'placementOff'
  | 'replicas'
  | 'toCome'
  | 'milliCpu'
  | 'memoryBytes'
  | 'placedStart'
  | 'placedEnd'
  | 'placedNode'
  | 'placedCount';

/** A workload whose name is not kept. */
const GONE = -1;
/** No workload: its traffic can be local to no workload. */
const OTHER = -2;

/**
 * Builds PlacementViews from graph and cluster. The long average leads; a pair that stands in the traffic file has the
 * file's rate. Edges with a Service count for the workloads behind it, in equal parts.
 */
export class PlacementViewBuilder {
  readonly #graph: TrafficGraph;
  readonly #cluster: PlacementCluster;
  readonly #options: ViewBuilderOptions;
  readonly #pairs = new PairList();
  /** By workload, bytes per second of all its replicas. */
  #sent = new Float64Array(0);
  #received = new Float64Array(0);
  #version = 0;
  #namesSinceMs = Infinity;
  #nodes = new NameList();
  #workloads = new NameList();
  #zones = new NameList();
  #regions = new NameList();
  #owners = new Map<string, number>();
  /** By endpoint id: the endpoint it was for, and its workload index, GONE or OTHER. */
  #resolvedFor: Endpoint[] = [];
  #resolved: number[] = [];
  #resolvedVersion = -1;
  #services = new Map<string, readonly number[]>();
  #namespaces = { facts: new Map<string, NamespaceFacts>(), text: '[]', changed: false };
  /** By workload, 0: none; undefined: there are no tenants. */
  #tenantOf: Int32Array | undefined;
  readonly #targets = new TargetResolver();
  readonly #structure:
    | { readonly index: StructureIndex; readonly hints: WorkloadHints; changed: boolean; minor: number | undefined }
    | undefined;
  /** By workload: how Services send their clients to it, a code of ROUTINGS. */
  #declared = new Uint8Array(0);
  #surveyed = new Map<number, { readonly code: number; readonly pins: ReadonlyMap<string, number> }>();
  #notedSurvey: { readonly version: number; readonly names: NameList } | undefined;
  /** Tells how connections really find their servers; undefined: nobody looks. */
  survey: Pick<RoutingSurvey, 'version' | 'edges'> | undefined;
  /** Of the newest plan; views have it from the next one on. */
  target: NamedTarget | undefined;
  stats: ViewStats = { edges: 0, fileEdgesUnknown: 0, edgesGone: 0, workloadsHinted: 0 };

  constructor(graph: TrafficGraph, cluster: PlacementCluster, options: Partial<ViewBuilderOptions> = {}) {
    this.#graph = graph;
    this.#cluster = cluster;
    this.#options = { ...DEFAULTS, ...options };
    if (isStructured(cluster)) {
      const index = new StructureIndex(cluster);
      this.#structure = { index, hints: new WorkloadHints(index), changed: true, minor: undefined };
    }
  }

  /** Each message builds on the one before: all of them must reach the receiver, in order. */
  build(nowMs: number): ViewMessage {
    const nodes = [...this.#cluster.nodes()];
    const workloads = [...this.#cluster.workloads()];
    const gone = this.#nodes.size - nodes.length + this.#workloads.size - workloads.length;
    const owners = [...this.#cluster.ownerLinks()];
    // The first message too: a receiver that outlives its builder has the names of the one before.
    const reset =
      this.#version === 0 ||
      gone + this.#owners.size - owners.length > this.#options.maxGoneNames + nodes.length + workloads.length;
    if (reset) {
      this.#forget();
      this.#namesSinceMs = nowMs;
    }

    const nodeOf = nodes.map((node) => this.#nodes.add(node.name));
    const zoneOf = nodes.map((node) => (node.zone === undefined ? -1 : this.#zones.add(node.zone)));
    const regionOf = nodes.map((node) => (node.region === undefined ? -1 : this.#regions.add(node.region)));
    const live = workloads.map((workload) => this.#workloads.add(workload.key));
    const moved = this.#noteOwners(owners);

    const nodeLive = new Uint8Array(this.#nodes.size);
    const nodeZone = new Int32Array(this.#nodes.size).fill(-1);
    const nodeRegion = new Int32Array(this.#nodes.size).fill(-1);
    for (const [i, n] of nodeOf.entries()) {
      nodeLive[n] = 1;
      nodeZone[n] = zoneOf[i]!;
      nodeRegion[n] = regionOf[i]!;
    }
    this.#refreshStructure(nodes);
    this.#noteNamespaces();
    this.#noteSurvey();
    const room = this.#room(nodes, nodeOf);
    const placed = this.#placed(workloads, live);
    const other = new Float64Array(this.#workloads.size);
    this.#sent = new Float64Array(this.#workloads.size);
    this.#received = new Float64Array(this.#workloads.size);
    this.#collect(placed.replicas, other);
    const measured = buildPeerMatrix(this.#pairs, placed.replicas, this.#options.maxPeers, other);
    const peers = this.#withHints(measured, placed.replicas, other);
    const [nodeCount, workloadCount] = [this.#nodes.size, this.#workloads.size];
    const flows = this.#flows(workloads, live, placed.replicas);
    const links = this.#links(nodes, nodeOf, { nodeCount, workloadCount, ...placed, ...peers, ...flows });
    const arrays: ViewArrays = {
      nodeLive,
      nodeZone,
      nodeRegion,
      ...room,
      nodeAvoided: this.#avoided(nodes, nodeOf),
      ...links,
      ...placed,
      ...flows,
      ...peers,
      otherBytesPerSecond: other,
    };
    const target = this.#targets.resolve(this.target, this.#workloads, this.#nodes, {
      nodeCount,
      workloadCount,
      ...placed,
    });
    const names: NamesDelta = {
      nodes: packNames(this.#nodes.takeNew()),
      workloads: packNames(this.#workloads.takeNew()),
      zones: packNames(this.#zones.takeNew()),
      regions: packNames(this.#regions.takeNew()),
      owners: packNames([...moved.keys()]),
      ownerWorkload: Int32Array.from(moved.values()),
    };
    return {
      version: ++this.#version,
      builtAtMs: nowMs,
      reset,
      names,
      nodeCount,
      workloadCount,
      hasUnits: this.#graph.file.hasUnits,
      meanTraffic: meanTraffic({ workloadCount, ...arrays }),
      scarcities: scarcitiesOf({ nodeCount, workloadCount, ...arrays }),
      claims: claimsOf({ nodeCount, workloadCount, ...arrays }, this.#options.maxReplicaShare),
      hasLinks: links.nodeLink.some((link) => link < Infinity),
      arrays,
      target,
      lookups: this.#lookups(reset),
    };
  }

  /** "namespace/Kind/name" by index, as of the last message. */
  get workloadNames(): readonly string[] {
    return this.#workloads.names;
  }

  get nodeNames(): readonly string[] {
    return this.#nodes.names;
  }

  /** Services whose trafficDistribution kube-proxy does not heed, by what was measured. As of the last view. */
  ignoredDistributions(): IgnoredDistribution[] {
    const structure = this.#structure;
    if (structure === undefined || this.survey === undefined) return [];
    return ignoredDistributions(structure.index, this.survey.edges, structure.minor);
  }

  /** Index of a node in a view that was built then; undefined: it is not in its names, or they have started anew since. */
  nodeIndexOf(node: string, builtAtMs: number): number | undefined {
    return builtAtMs < this.#namesSinceMs ? undefined : this.#nodes.get(node);
  }

  #forget(): void {
    this.#nodes = new NameList();
    this.#workloads = new NameList();
    this.#zones = new NameList();
    this.#regions = new NameList();
    this.#owners = new Map();
    this.#resolvedVersion = -1;
  }

  #noteOwners(links: Iterable<{ readonly ownerKey: string; readonly workloadKey: string }>): Map<string, number> {
    const moved = new Map<string, number>();
    for (const { ownerKey, workloadKey } of links) {
      const workload = this.#workloads.get(workloadKey);
      if (workload === undefined || this.#owners.get(ownerKey) === workload) continue;
      this.#owners.set(ownerKey, workload);
      moved.set(ownerKey, workload);
    }
    return moved;
  }

  /** Rows of what is thought of workloads without traffic. */
  #withHints(
    measured: PeerMatrix,
    replicas: Int32Array,
    otherBytesPerSecond: Float64Array,
  ): PeerMatrix & Pick<ViewArrays, PinColumn> {
    if (this.#structure === undefined) return { ...measured, ...this.#pins(measured) };
    const pins = noPins(measured.peer.length);
    const rows = this.#structure.hints.rows({ ...measured, ...pins, replicas, otherBytesPerSecond }, (a, b) =>
      this.#areFriends(a, b),
    );
    this.stats = { ...this.stats, workloadsHinted: rows.size };
    const matrix = withRows(measured, rows);
    return { ...matrix, ...this.#pins(matrix) };
  }

  #lookups(reset: boolean): Lookups | undefined {
    const structure = this.#structure;
    const { facts, changed } = this.#namespaces;
    if (structure === undefined || (!structure.changed && !changed && !reset)) return undefined;
    const indices = (lists: Iterable<readonly [string, readonly string[]]>): LookupTable =>
      packLookup(
        [...lists].map(([key, keys]) => [
          key,
          keys.map((of) => this.#workloads.get(of)).filter((index) => index !== undefined),
        ]),
      );
    return {
      services: indices(structure.index.services()),
      alike: indices(structure.index.likenesses()),
      namespaces: packLookup(facts),
    };
  }

  /** Looks at Services, templates and tenants where they changed. */
  #refreshStructure(nodes: readonly PlacementNode[]): void {
    const structure = this.#structure;
    if (structure === undefined) return;
    structure.changed = structure.index.refresh();
    structure.hints.refresh(structure.changed, this.#workloads);
    let minor: number | undefined;
    for (const node of nodes) if (node.minor !== undefined) minor = Math.min(minor ?? Infinity, node.minor);
    if (!structure.changed && minor === structure.minor && this.#declared.length === this.#workloads.size) return;
    structure.minor = minor;
    this.#declared = new Uint8Array(this.#workloads.size);
    for (let w = 0; w < this.#declared.length; w++) {
      const key = this.#workloads.at(w);
      const services = structure.index.before(namespaceOf(key), key);
      this.#declared[w] = ROUTINGS.indexOf(commonRouting(services, minor));
    }
  }

  /** What the survey found, by the names of now. */
  #noteSurvey(): void {
    const { survey } = this;
    if (survey === undefined) return;
    const noted = this.#notedSurvey;
    if (noted?.version === survey.version && noted.names === this.#workloads) return;
    this.#notedSurvey = { version: survey.version, names: this.#workloads };
    this.#surveyed = new Map();
    for (const edge of survey.edges) {
      const [client, server] = [this.#workloads.get(edge.client), this.#workloads.get(edge.server)];
      if (client === undefined || server === undefined) continue;
      this.#surveyed.set(pairKey(client, server), { code: ROUTINGS.indexOf(edge.routing), pins: edge.pins });
    }
  }

  /** Where the traffic of pinned edges is. */
  #pins({ peerStart, peer, peerClient, peerRouting }: PeerMatrix): Pick<ViewArrays, PinColumn> {
    const pinStart = new Int32Array(peer.length + 1);
    if (!peerRouting.includes(PINNED)) return { ...noPins(peer.length), pinStart };
    const nodes: number[] = [];
    const shares: number[] = [];
    for (let w = 0; w < peerStart.length - 1; w++) {
      for (let e = peerStart[w]!; e < peerStart[w + 1]!; e++) {
        const isPinned = peerRouting[e] === PINNED && peerClient[e] === 1;
        for (const [name, share] of (isPinned ? this.#surveyed.get(pairKey(w, peer[e]!))?.pins : undefined) ?? []) {
          const node = this.#nodes.get(name);
          if (node === undefined) continue;
          nodes.push(node);
          shares.push(share);
        }
        pinStart[e + 1] = nodes.length;
      }
    }
    return { pinStart, pinNode: Int32Array.from(nodes), pinShare: Float32Array.from(shares) };
  }

  /** Pods of different tenants are never drawn together; what has none is a tenant of its own. */
  #areFriends(a: number, b: number): boolean {
    return this.#tenantOf === undefined || a < 0 || b < 0 || this.#tenantOf[a] === this.#tenantOf[b];
  }

  #noteNamespaces(): void {
    const tenants = new Map<string, number>();
    const facts = new Map<string, NamespaceFacts>();
    for (const { name, placementOff, tenant } of this.#cluster.namespaces?.() ?? []) {
      if (tenant !== undefined && !tenants.has(tenant)) tenants.set(tenant, tenants.size + 1);
      facts.set(name, [placementOff ? 1 : 0, tenant === undefined ? 0 : tenants.get(tenant)!]);
    }
    const text = JSON.stringify([...facts]);
    this.#namespaces = { facts, text, changed: text !== this.#namespaces.text };
    this.#tenantOf = undefined;
    if (tenants.size === 0) return;
    this.#tenantOf = new Int32Array(this.#workloads.size);
    for (let w = 0; w < this.#tenantOf.length; w++) {
      this.#tenantOf[w] = facts.get(namespaceOf(this.#workloads.at(w)))?.[1] ?? 0;
    }
  }

  #room(nodes: readonly PlacementNode[], nodeOf: readonly number[]): Pick<ViewArrays, RoomColumn> {
    const unknown = (): Float64Array => new Float64Array(this.#nodes.size).fill(Infinity);
    const room = {
      nodeMilliCpu: unknown(),
      nodeMemoryBytes: unknown(),
      freeMilliCpu: unknown(),
      freeMemoryBytes: unknown(),
      freePods: unknown(),
    };
    for (const [i, { name, allocatable }] of nodes.entries()) {
      const used = this.#cluster.usedOn?.(name);
      if (allocatable === undefined || used === undefined) continue;
      const n = nodeOf[i]!;
      const { milliCpu, memoryBytes, pods } = allocatable;
      if (milliCpu > 0) room.freeMilliCpu[n] = Math.max(0, (room.nodeMilliCpu[n] = milliCpu) - used.milliCpu);
      if (memoryBytes > 0) {
        room.freeMemoryBytes[n] = Math.max(0, (room.nodeMemoryBytes[n] = memoryBytes) - used.memoryBytes);
      }
      if (pods > 0) room.freePods[n] = Math.max(0, pods - used.pods);
    }
    return room;
  }

  #avoided(nodes: readonly PlacementNode[], nodeOf: readonly number[]): Uint8Array {
    const avoided = new Uint8Array(this.#nodes.size);
    for (const [i, node] of nodes.entries()) if (isAvoided(node)) avoided[nodeOf[i]!] = 1;
    return avoided;
  }

  /** What one replica sends and receives: as it was seen, at least what it asks for, at most its limit. */
  #flows(
    workloads: readonly PlacementWorkload[],
    live: readonly number[],
    replicas: Int32Array,
  ): Pick<ViewArrays, 'txBytesPerSecond' | 'rxBytesPerSecond'> {
    const perReplica = (of: Float64Array): Float64Array => of.map((rate, w) => rate / Math.max(1, replicas[w]!));
    const flows = { txBytesPerSecond: perReplica(this.#sent), rxBytesPerSecond: perReplica(this.#received) };
    for (const [i, { egress }] of workloads.entries()) {
      if (egress === undefined) continue;
      const { requestBytesPerSecond = 0, limitBytesPerSecond = Infinity } = egress;
      const w = live[i]!;
      const wanted = Math.max(flows.txBytesPerSecond[w]!, requestBytesPerSecond);
      flows.txBytesPerSecond[w] = Math.min(wanted, limitBytesPerSecond);
    }
    return flows;
  }

  /** The greater of what agents measure and what the graph says: that is slow to notice a pod, this knows pods only. */
  #links(
    nodes: readonly PlacementNode[],
    nodeOf: readonly number[],
    columns: Omit<LinkColumns, 'nodeLink'>,
  ): Pick<ViewArrays, 'nodeLink' | 'nodeTx' | 'nodeRx'> {
    const nodeLink = new Float64Array(this.#nodes.size).fill(Infinity);
    const measured: (UplinkRate | undefined)[] = [];
    let known = false;
    for (const [i, { name, linkMbps }] of nodes.entries()) {
      const uplink = this.#graph.nodes.find(name)?.mainUplink();
      const speed = uplink === undefined || uplink.speedBps === 0 ? undefined : uplink.speedBps / 8;
      const said = linkMbps === undefined ? undefined : (linkMbps * 1e6) / 8;
      const link = said ?? speed ?? this.#options.linkBytesPerSecond;
      if (link === undefined) continue;
      known = true;
      nodeLink[nodeOf[i]!] = link;
      measured[nodeOf[i]!] = uplink;
    }
    if (!known)
      return { nodeLink, nodeTx: new Float64Array(nodeLink.length), nodeRx: new Float64Array(nodeLink.length) };
    const { nodeTx, nodeRx } = linkUse({ ...columns, nodeLink });
    for (const [n, uplink] of measured.entries()) {
      if (uplink === undefined) continue;
      nodeTx[n] = Math.max(nodeTx[n]!, uplink.txShortBytesPerSecond);
      nodeRx[n] = Math.max(nodeRx[n]!, uplink.rxShortBytesPerSecond);
    }
    return { nodeLink, nodeTx, nodeRx };
  }

  #placed(workloads: readonly PlacementWorkload[], live: readonly number[]): Pick<ViewArrays, PlacedColumn> {
    const placementOff = new Uint8Array(this.#workloads.size);
    const replicas = new Int32Array(this.#workloads.size);
    const toCome = new Int32Array(this.#workloads.size);
    const milliCpu = new Float64Array(this.#workloads.size);
    const memoryBytes = new Float64Array(this.#workloads.size);
    const placedStart = new Int32Array(this.#workloads.size);
    const placedEnd = new Int32Array(this.#workloads.size);
    const byIndex: (PlacementWorkload | undefined)[] = [];
    let total = 0;
    for (const [i, workload] of workloads.entries()) {
      const w = live[i]!;
      byIndex[w] = workload;
      placementOff[w] = this.#cluster.placementOff(workload.ref.namespace) ? 1 : 0;
      const { key, desired = 0, placed, pending = 0, requests } = workload;
      const wanted = Math.max(desired, placed + pending);
      // Pods beyond what a controller wants are those of a rollout: they replace others. One that wants none has no rollout.
      replicas[w] = Math.max(desired > 0 ? desired : wanted, placed, 1);
      toCome[w] = kindOf(key) === 'DaemonSet' ? 0 : wanted - placed;
      milliCpu[w] = requests?.milliCpu ?? 0;
      memoryBytes[w] = requests?.memoryBytes ?? 0;
      total += workload.placedByNode.size;
    }
    const placedNode = new Int32Array(total);
    const placedCount = new Int32Array(total);
    let at = 0;
    for (let w = 0; w < this.#workloads.size; w++) {
      const from = (placedStart[w] = placedEnd[w] = at);
      const workload = byIndex[w];
      if (workload === undefined) continue;
      for (const name of workload.placedByNode.keys()) {
        // A node that is not listed has no zone and no candidates: it cannot be scored.
        const node = this.#nodes.get(name);
        if (node !== undefined) placedNode[at++] = node;
      }
      const row = placedNode.subarray(from, at).sort();
      const countOf = new Map<number, number>();
      for (const [name, count] of workload.placedByNode) {
        const node = this.#nodes.get(name);
        if (node !== undefined) countOf.set(node, count);
      }
      for (const [i, node] of row.entries()) placedCount[from + i] = countOf.get(node)!;
      placedEnd[w] = at;
    }
    return {
      placementOff,
      replicas,
      toCome,
      milliCpu,
      memoryBytes,
      placedStart,
      placedEnd,
      placedNode: placedNode.slice(0, at),
      placedCount: placedCount.slice(0, at),
    };
  }

  /** All edges into #pairs, and what is with no workload into `other`. */
  #collect(replicas: Int32Array, other: Float64Array): void {
    const { edges, file } = this.#graph;
    const { endpoints, workloads: rows } = edges;
    if (this.#resolvedVersion !== this.#cluster.version) {
      this.#resolvedVersion = this.#cluster.version;
      this.#resolvedFor = [];
      this.#services = new Map();
    }
    this.#pairs.clear();
    const said = this.#collectFile(replicas, other);
    let gone = 0;
    for (let row = 0; row < rows.limit; row++) {
      const at = row * INTS;
      if (rows.ints[at + STATE] === 0) continue;
      const c = rows.ints[at + CLIENT]!;
      const s = rows.ints[at + SERVER]!;
      const client = this.#workloadOf(c);
      const server = this.#workloadOf(s);
      if (client < 0 && server < 0 && client !== OTHER && server !== OTHER) {
        gone++;
        continue;
      }
      if (file.size > 0 && said.has(`${endpointKey(endpoints.at(c))}>${endpointKey(endpoints.at(s))}`)) continue;
      const rates = edges.longRates(rows, row, this.#graph.watermarkOf(rows.ints[at + REPORTER]!));
      if (rates.out + rates.in <= 0) continue;
      const servers = endpoints.classes[s] === CLASS_SERVICE ? this.#behind(endpoints.at(s), replicas) : undefined;
      if (!this.#add(client, server, servers, rates, confidenceOfRow(this.#graph, rows, row), other, replicas)) gone++;
    }
    this.stats = { ...this.stats, edges: this.#pairs.n, edgesGone: gone };
  }

  #collectFile(replicas: Int32Array, other: Float64Array): Set<string> {
    const said = new Set<string>();
    let unknown = 0;
    for (const edge of this.#graph.file.edges()) {
      said.add(`${endpointKey(edge.client)}>${endpointKey(edge.server)}`);
      const client = this.#named(edge.client);
      const server = this.#named(edge.server);
      const servers = edge.server.kind === 'Service' ? this.#behind(edge.server, replicas) : undefined;
      const rates = { out: edge.bytesPerSecondOut, in: edge.bytesPerSecondIn };
      if (!this.#add(client, server, servers, rates, 1, other, replicas)) unknown++;
    }
    this.stats = { ...this.stats, fileEdgesUnknown: unknown };
    return said;
  }

  /** false: its ends are gone, or one was never here. */
  #add(
    client: number,
    server: number,
    servers: readonly number[] | undefined,
    rates: Rates,
    confidence: number,
    other: Float64Array,
    replicas: Int32Array,
  ): boolean {
    if (client === GONE || server === GONE) return false;
    const live = (workload: number): boolean => workload < 0 || replicas[workload]! > 0;
    if (!live(client) && !live(server)) return false;
    const rate = rates.out + rates.in;
    const sends = (from: number, to: number, bytes: number): void => {
      if (from >= 0) this.#sent[from]! += bytes;
      if (to >= 0) this.#received[to]! += bytes;
    };
    if (client >= 0 && servers !== undefined && servers.length > 0) {
      for (const behind of servers) {
        this.#pair(client, behind, rate / servers.length, confidence, other);
        sends(client, behind, rates.out / servers.length);
        sends(behind, client, rates.in / servers.length);
      }
      return true;
    }
    sends(client, server, rates.out);
    sends(server, client, rates.in);
    if (client >= 0 && server >= 0) this.#pair(client, server, rate, confidence, other);
    else if (client >= 0) other[client]! += rate;
    else if (server >= 0) other[server]! += rate;
    return true;
  }

  #pair(client: number, server: number, rate: number, confidence: number, other: Float64Array): void {
    if (this.#areFriends(client, server)) {
      const routing = this.#surveyed.get(pairKey(client, server))?.code ?? this.#declared[server] ?? RANDOM;
      this.#pairs.push(client, server, rate, confidence, routing);
      return;
    }
    other[client]! += rate;
    other[server]! += rate;
  }

  #workloadOf(id: number): number {
    const { endpoints } = this.#graph.edges;
    const endpoint = endpoints.at(id);
    if (this.#resolvedFor[id] === endpoint) return this.#resolved[id]!;
    const index = endpoints.classes[id] === CLASS_WORKLOAD ? this.#index(endpointKey(endpoint)) : OTHER;
    this.#resolvedFor[id] = endpoint;
    this.#resolved[id] = index;
    return index;
  }

  #named(endpoint: Endpoint): number {
    if (endpoint.namespace === '' || endpoint.kind === 'Service') return OTHER;
    return this.#index(endpointKey(endpoint));
  }

  /** Also of a workload that is gone, as long as its name is kept. */
  #index(key: string): number {
    return this.#workloads.get(key) ?? GONE;
  }

  #behind(service: Endpoint, replicas: Int32Array): readonly number[] {
    const key = endpointKey(service);
    let behind = this.#services.get(key);
    if (behind === undefined) {
      const record = this.#cluster.service(service.namespace, service.name);
      const keys = record === undefined ? [] : [...this.#cluster.selectedBy(record)].map((workload) => workload.key);
      behind = keys.map((workload) => this.#index(workload)).filter((index) => index >= 0 && replicas[index]! > 0);
      this.#services.set(key, behind);
    }
    return behind;
  }
}

function isStructured(cluster: PlacementCluster): cluster is PlacementCluster & StructureCluster {
  return cluster.structure !== undefined;
}

function noPins(entries: number): Pick<ViewArrays, PinColumn> {
  return { pinStart: new Int32Array(entries + 1), pinNode: new Int32Array(0), pinShare: new Float32Array(0) };
}

/** Names are fewer than 2^26. */
function pairKey(client: number, server: number): number {
  return client * 2 ** 26 + server;
}
