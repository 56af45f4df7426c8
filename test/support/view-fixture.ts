import { meanTraffic } from '../../scheduler/placement/floor.ts';
import { ROUTINGS, type RoutingClass } from '../../scheduler/placement/routing.ts';
import { claimsOf } from '../../scheduler/placement/claims.ts';
import { scarcitiesOf } from '../../scheduler/placement/scarcity.ts';
import { reservedRoom } from '../../scheduler/placement/target.ts';
import type { NameTables, PlacementView } from '../../scheduler/placement/view.ts';

/** A cluster in words, from which `buildView` makes the columns that scoring reads. */
export interface ViewSpec {
  readonly nodes: readonly {
    name: string;
    zone?: string;
    region?: string;
    live?: boolean;
    /** Allocatable and free; left out: the node says nothing of it. */
    milliCpu?: readonly [all: number, free: number];
    memoryBytes?: readonly [all: number, free: number];
    freePods?: number;
    avoided?: boolean;
    /** Bytes per second; left out: the link is not known. */
    link?: readonly [capacity: number, sent: number, received: number];
  }[];
  /** `placed`: node name -> replicas there. `replicas` defaults to what is placed, at least 1; `toCome` to those that are not placed. */
  readonly workloads: readonly {
    key: string;
    replicas?: number;
    placed?: Readonly<Record<string, number>>;
    otherBytesPerSecond?: number;
    placementOff?: boolean;
    toCome?: number;
    milliCpu?: number;
    memoryBytes?: number;
    /** What one replica sends and receives. */
    tx?: number;
    rx?: number;
    /** Node name -> replicas that the plan wants there. */
    target?: Readonly<Record<string, number>>;
  }[];
  readonly edges: readonly {
    client: string;
    server: string;
    bytesPerSecond: number;
    confidence?: number;
    routing?: RoutingClass;
    /** Of a pinned edge, at its client: node name -> share of the traffic. */
    pins?: Readonly<Record<string, number>>;
  }[];
  /** "namespace/Kind/name" of a ReplicaSet, Job, ... -> key of its workload. */
  readonly owners?: Readonly<Record<string, string>>;
  readonly hasUnits?: boolean;
  readonly version?: number;
  /** undefined: there is no plan. */
  readonly planVersion?: number;
}

type Pins = readonly (readonly [node: number, share: number])[];

export function buildView(spec: ViewSpec): PlacementView {
  const nodes = spec.nodes.map((node) => node.name);
  const nodeIndex = indexOf(nodes);
  const workloads = spec.workloads.map((workload) => workload.key);
  const workloadIndex = indexOf(workloads);
  const zones = [...new Set(spec.nodes.flatMap((node) => node.zone ?? []))];
  const regions = [...new Set(spec.nodes.flatMap((node) => node.region ?? []))];
  const names: NameTables = {
    nodes,
    nodeIndex,
    workloads,
    workloadIndex,
    ownerIndex: new Map(Object.entries(spec.owners ?? {}).map(([key, of]) => [key, mustGet(workloadIndex, of)])),
    zones,
    regions,
  };

  const placed = spec.workloads.map((workload) => entriesOf(workload.placed, nodeIndex));
  const peers = spec.workloads.map(
    () => [] as { peer: number; client: 0 | 1; bytes: number; confidence: number; routing: number; pins: Pins }[],
  );
  for (const edge of spec.edges) {
    const client = mustGet(workloadIndex, edge.client);
    const server = mustGet(workloadIndex, edge.server);
    const routing = edge.routing === undefined ? 0 : ROUTINGS.indexOf(edge.routing);
    const figures = { bytes: edge.bytesPerSecond, confidence: edge.confidence ?? 1, routing };
    const pins = Object.entries(edge.pins ?? {}).map(([node, part]) => [mustGet(nodeIndex, node), part] as const);
    peers[client]!.push({ peer: server, client: 1, ...figures, pins });
    // What servers are found is their clients' matter.
    const back = edge.routing === 'pinned' ? { ...figures, routing: 0 } : figures;
    if (client !== server) peers[server]!.push({ peer: client, client: 0, ...back, pins: [] });
  }
  // As views have them: entries of a peer side by side, its client's first.
  for (const row of peers) row.sort((a, b) => a.peer - b.peer || b.client - a.client);
  const flatPlaced = placed.flat();
  const flatPeers = peers.flat();
  const replicas = Int32Array.from(spec.workloads, (workload, w) => {
    const there = sumOf(placed[w]!);
    return workload.replicas === undefined ? Math.max(1, there) : Math.max(workload.replicas, there);
  });
  const targets = spec.workloads.map((workload) => entriesOf(workload.target, nodeIndex));
  const ofNode = (figure: (node: ViewSpec['nodes'][number]) => number | undefined): Float64Array =>
    Float64Array.from(spec.nodes, (node) => figure(node) ?? Infinity);
  const columns = {
    version: spec.version ?? 1,
    builtAtMs: 0,
    names,
    nodeCount: nodes.length,
    workloadCount: workloads.length,
    placementOff: Uint8Array.from(spec.workloads, (workload) => (workload.placementOff === true ? 1 : 0)),
    nodeLive: Uint8Array.from(spec.nodes, (node) => (node.live === false ? 0 : 1)),
    nodeZone: Int32Array.from(spec.nodes, (node) => (node.zone === undefined ? -1 : zones.indexOf(node.zone))),
    nodeRegion: Int32Array.from(spec.nodes, (node) => (node.region === undefined ? -1 : regions.indexOf(node.region))),
    nodeMilliCpu: ofNode((node) => node.milliCpu?.[0]),
    nodeMemoryBytes: ofNode((node) => node.memoryBytes?.[0]),
    freeMilliCpu: ofNode((node) => node.milliCpu?.[1]),
    freeMemoryBytes: ofNode((node) => node.memoryBytes?.[1]),
    freePods: ofNode((node) => node.freePods),
    nodeAvoided: Uint8Array.from(spec.nodes, (node) => (node.avoided === true ? 1 : 0)),
    nodeLink: ofNode((node) => node.link?.[0]),
    nodeTx: Float64Array.from(spec.nodes, (node) => node.link?.[1] ?? 0),
    nodeRx: Float64Array.from(spec.nodes, (node) => node.link?.[2] ?? 0),
    hasLinks: spec.nodes.some((node) => node.link !== undefined),
    txBytesPerSecond: Float64Array.from(spec.workloads, (workload) => workload.tx ?? 0),
    rxBytesPerSecond: Float64Array.from(spec.workloads, (workload) => workload.rx ?? 0),
    replicas,
    toCome: Int32Array.from(spec.workloads, ({ key, toCome }, w) =>
      key.includes('/DaemonSet/') ? 0 : (toCome ?? replicas[w]! - sumOf(placed[w]!)),
    ),
    milliCpu: Float64Array.from(spec.workloads, (workload) => workload.milliCpu ?? 0),
    memoryBytes: Float64Array.from(spec.workloads, (workload) => workload.memoryBytes ?? 0),
    placedStart: starts(placed).slice(0, -1),
    placedEnd: starts(placed).slice(1),
    placedNode: Int32Array.from(flatPlaced, ([node]) => node),
    placedCount: Int32Array.from(flatPlaced, ([, count]) => count),
    peerStart: starts(peers),
    peer: Int32Array.from(flatPeers, (entry) => entry.peer),
    peerClient: Uint8Array.from(flatPeers, (entry) => entry.client),
    peerBytesPerSecond: Float64Array.from(flatPeers, (entry) => entry.bytes),
    peerConfidence: Float32Array.from(flatPeers, (entry) => entry.confidence),
    peerSource: new Uint8Array(flatPeers.length),
    peerRouting: Uint8Array.from(flatPeers, (entry) => entry.routing),
    pinStart: starts(flatPeers.map((entry) => entry.pins)),
    pinNode: Int32Array.from(
      flatPeers.flatMap((entry) => entry.pins),
      ([node]) => node,
    ),
    pinShare: Float32Array.from(
      flatPeers.flatMap((entry) => entry.pins),
      ([, part]) => part,
    ),
    otherBytesPerSecond: Float64Array.from(spec.workloads, (workload) => workload.otherBytesPerSecond ?? 0),
    hasUnits: spec.hasUnits ?? true,
    target: undefined,
  };
  const view = {
    ...columns,
    meanTraffic: meanTraffic(columns),
    scarcities: scarcitiesOf(columns),
    claims: claimsOf(columns),
  };
  if (spec.planVersion === undefined) return view;
  const wanted = {
    start: starts(targets),
    node: Int32Array.from(targets.flat(), ([node]) => node),
    count: Int32Array.from(targets.flat(), ([, count]) => count),
  };
  return { ...view, target: { version: spec.planVersion, ...wanted, ...reservedRoom(view, wanted) } };
}

function entriesOf(
  counts: Readonly<Record<string, number>> | undefined,
  nodeIndex: ReadonlyMap<string, number>,
): (readonly [number, number])[] {
  return Object.entries(counts ?? {})
    .map(([node, count]) => [mustGet(nodeIndex, node), count] as const)
    .filter(([, count]) => count > 0)
    .sort(([a], [b]) => a - b);
}

function sumOf(entries: readonly (readonly [number, number])[]): number {
  return entries.reduce((sum, [, count]) => sum + count, 0);
}

function indexOf(names: readonly string[]): Map<string, number> {
  return new Map(names.map((name, i) => [name, i]));
}

function starts(rows: readonly (readonly unknown[])[]): Int32Array {
  const start = new Int32Array(rows.length + 1);
  rows.forEach((row, i) => (start[i + 1] = start[i]! + row.length));
  return start;
}

function mustGet(map: ReadonlyMap<string, number>, name: string): number {
  const index = map.get(name);
  if (index === undefined) throw new Error(`view fixture: ${name} is not declared`);
  return index;
}
