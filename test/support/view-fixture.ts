import type { NameTables, PlacementView } from '../../scheduler/placement/view.ts';

/** A cluster in words, from which `buildView` makes the columns that scoring reads. */
export interface ViewSpec {
  readonly nodes: readonly { name: string; zone?: string; region?: string; live?: boolean }[];
  /** `placed`: node name -> replicas there. `replicas` defaults to what is placed, at least 1. */
  readonly workloads: readonly {
    key: string;
    replicas?: number;
    placed?: Readonly<Record<string, number>>;
    otherBytesPerSecond?: number;
    placementOff?: boolean;
  }[];
  readonly edges: readonly { client: string; server: string; bytesPerSecond: number; confidence?: number }[];
  /** "namespace/Kind/name" of a ReplicaSet, Job, ... -> key of its workload. */
  readonly owners?: Readonly<Record<string, string>>;
  readonly hasUnits?: boolean;
  readonly version?: number;
}

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

  const placed = spec.workloads.map((workload) =>
    Object.entries(workload.placed ?? {})
      .map(([node, count]) => [mustGet(nodeIndex, node), count] as const)
      .filter(([, count]) => count > 0)
      .sort(([a], [b]) => a - b),
  );
  const peers = spec.workloads.map(() => [] as { peer: number; client: 0 | 1; bytes: number; confidence: number }[]);
  for (const edge of spec.edges) {
    const client = mustGet(workloadIndex, edge.client);
    const server = mustGet(workloadIndex, edge.server);
    const figures = { bytes: edge.bytesPerSecond, confidence: edge.confidence ?? 1 };
    peers[client]!.push({ peer: server, client: 1, ...figures });
    if (client !== server) peers[server]!.push({ peer: client, client: 0, ...figures });
  }
  const flatPlaced = placed.flat();
  const flatPeers = peers.flat();
  return {
    version: spec.version ?? 1,
    builtAtMs: 0,
    names,
    nodeCount: nodes.length,
    workloadCount: workloads.length,
    placementOff: Uint8Array.from(spec.workloads, (workload) => (workload.placementOff === true ? 1 : 0)),
    nodeLive: Uint8Array.from(spec.nodes, (node) => (node.live === false ? 0 : 1)),
    nodeZone: Int32Array.from(spec.nodes, (node) => (node.zone === undefined ? -1 : zones.indexOf(node.zone))),
    nodeRegion: Int32Array.from(spec.nodes, (node) => (node.region === undefined ? -1 : regions.indexOf(node.region))),
    replicas: Int32Array.from(spec.workloads, (workload, w) => {
      const there = placed[w]!.reduce((sum, [, count]) => sum + count, 0);
      return workload.replicas === undefined ? Math.max(1, there) : Math.max(workload.replicas, there);
    }),
    placedStart: starts(placed).slice(0, -1),
    placedEnd: starts(placed).slice(1),
    placedNode: Int32Array.from(flatPlaced, ([node]) => node),
    placedCount: Int32Array.from(flatPlaced, ([, count]) => count),
    peerStart: starts(peers),
    peer: Int32Array.from(flatPeers, (entry) => entry.peer),
    peerClient: Uint8Array.from(flatPeers, (entry) => entry.client),
    peerBytesPerSecond: Float64Array.from(flatPeers, (entry) => entry.bytes),
    peerConfidence: Float32Array.from(flatPeers, (entry) => entry.confidence),
    otherBytesPerSecond: Float64Array.from(spec.workloads, (workload) => workload.otherBytesPerSecond ?? 0),
    hasUnits: spec.hasUnits ?? true,
  };
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
