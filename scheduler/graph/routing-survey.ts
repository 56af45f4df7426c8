import { bytesByNode, classifyRouting, type EdgeRouting, type Replica, type ReplicaMatrix } from './edge-routing.ts';
import { CLASS_POD } from './endpoint-table.ts';
import { endpointKey } from './file-traffic.ts';
import type { TrafficGraph } from './traffic-graph.ts';
import { BYTES_IN, BYTES_OUT, CLIENT, CONNECTIONS, FIGURES, INTS, SERVER, STATE } from './traffic-rows.ts';

/** What is read of the cluster; ClusterState is one. */
export interface SurveyedCluster {
  podNamed(namespace: string, name: string): { readonly node: string | undefined } | undefined;
  node(name: string): { readonly zone: string | undefined } | undefined;
  workload(key: string): { readonly placed: number; readonly placedByNode: ReadonlyMap<string, number> } | undefined;
}

/** An edge between workloads with how its connections find their servers. */
export interface SurveyedEdge extends EdgeRouting {
  /** "namespace/Kind/name" */
  readonly client: string;
  readonly server: string;
  /** Share of the bytes by node of the server; of pinned edges only. */
  readonly pins: ReadonlyMap<string, number>;
}

/** Between two passes over the pod edges. */
const EVERY_MS = 60_000;
/** Pod edges looked at in one step, a millisecond or two. */
const ROWS_PER_STEP = 5_000;
const MAX_EDGES = 4_096;
/** Replicas of an edge that are looked at, of either side. */
const MAX_REPLICAS = 16;

interface Gathered {
  readonly client: string;
  readonly server: string;
  /** Endpoint ids. */
  readonly clients: number[];
  readonly servers: number[];
  readonly connections: Float64Array;
  readonly bytes: Float64Array;
}

/**
 * Looks through the measured pod edges once a minute, a few at a time, and classifies the workload edges above them. Of an
 * edge up to 16 x 16 replicas count, of a graph up to 4,096 edges. Pure; times are graph milliseconds or any other steady ones.
 */
export class RoutingSurvey {
  readonly #graph: TrafficGraph;
  readonly #cluster: SurveyedCluster;
  #gathered = new Map<number, Gathered>();
  /** Next row; undefined: between two passes. */
  #row: number | undefined;
  #doneMs = Number.NEGATIVE_INFINITY;
  #edges: readonly SurveyedEdge[] = [];
  /** Counts up with each pass. */
  version = 0;
  /** Edges that the last pass had no room for. */
  left = 0;

  constructor(graph: TrafficGraph, cluster: SurveyedCluster) {
    this.#graph = graph;
    this.#cluster = cluster;
  }

  /** Those of which something can be said. */
  get edges(): readonly SurveyedEdge[] {
    return this.#edges;
  }

  /** To be called a few times a second. */
  step(nowMs: number): void {
    if (this.#row === undefined) {
      if (nowMs - this.#doneMs < EVERY_MS) return;
      this.#row = 0;
      this.#gathered = new Map();
      this.left = 0;
    }
    const { pods } = this.#graph.edges;
    const end = Math.min(pods.limit, this.#row + ROWS_PER_STEP);
    for (let row = this.#row; row < end; row++) if (pods.ints[row * INTS + STATE] !== 0) this.#gather(row);
    this.#row = end;
    if (end < pods.limit) return;
    this.#edges = [...this.#gathered.values()].map((edge) => this.#judge(edge)).filter((edge) => edge !== undefined);
    this.#gathered = new Map();
    this.#row = undefined;
    this.#doneMs = nowMs;
    this.version++;
  }

  #gather(row: number): void {
    const { endpoints, pods } = this.#graph.edges;
    const client = pods.ints[row * INTS + CLIENT]!;
    const server = pods.ints[row * INTS + SERVER]!;
    if (endpoints.classes[client] !== CLASS_POD || endpoints.classes[server] !== CLASS_POD) return;
    const [from, to] = [endpoints.parents[client]!, endpoints.parents[server]!];
    if (from === to) return;
    const key = from * 2 ** 24 + to;
    let edge = this.#gathered.get(key);
    if (edge === undefined) {
      if (this.#gathered.size >= MAX_EDGES) {
        this.left++;
        return;
      }
      edge = {
        client: endpointKey(endpoints.at(from)),
        server: endpointKey(endpoints.at(to)),
        clients: [],
        servers: [],
        connections: new Float64Array(MAX_REPLICAS * MAX_REPLICAS),
        bytes: new Float64Array(MAX_REPLICAS * MAX_REPLICAS),
      };
      this.#gathered.set(key, edge);
    }
    const [i, j] = [placeOf(edge.clients, client), placeOf(edge.servers, server)];
    if (i < 0 || j < 0) return;
    const f = row * FIGURES;
    edge.connections[i * MAX_REPLICAS + j]! += pods.figures[f + CONNECTIONS]!;
    edge.bytes[i * MAX_REPLICAS + j]! += pods.figures[f + BYTES_OUT]! + pods.figures[f + BYTES_IN]!;
  }

  #judge({ client, server, clients, servers, connections, bytes }: Gathered): SurveyedEdge | undefined {
    const workload = this.#cluster.workload(server);
    if (workload === undefined || workload.placed < 2) return undefined;
    const from = clients.map((id) => this.#replicaOf(id));
    const to = servers.map((id) => this.#replicaOf(id));
    const rows = indicesOf(from);
    const columns = indicesOf(to);
    const pick = (all: Float64Array): Float64Array =>
      Float64Array.from(rows.flatMap((i) => columns.map((j) => all[i * MAX_REPLICAS + j]!)));
    const matrix: ReplicaMatrix = {
      clients: rows.map((i) => from[i]!),
      servers: columns.map((j) => to[j]!),
      connections: pick(connections),
      bytes: pick(bytes),
    };
    const inZone = (zone: string): number => {
      let count = 0;
      for (const [node, placed] of workload.placedByNode) if (this.#cluster.node(node)?.zone === zone) count += placed;
      return count;
    };
    const found = classifyRouting(matrix, {
      total: workload.placed,
      onNode: (node) => workload.placedByNode.get(node) ?? 0,
      inZone,
    });
    if (found === undefined) return undefined;
    return { client, server, ...found, pins: found.routing === 'pinned' ? bytesByNode(matrix) : NO_PINS };
  }

  /** undefined: the pod is gone, or not placed. */
  #replicaOf(id: number): Replica | undefined {
    const { namespace, name } = this.#graph.edges.endpoints.at(id);
    const node = this.#cluster.podNamed(namespace, name)?.node;
    return node === undefined ? undefined : { node, zone: this.#cluster.node(node)?.zone };
  }
}

const NO_PINS: ReadonlyMap<string, number> = new Map();

/** Index of an id in a list that takes it in while there is room; -1: there is none. */
function placeOf(ids: number[], id: number): number {
  const known = ids.indexOf(id);
  if (known >= 0) return known;
  return ids.length < MAX_REPLICAS ? ids.push(id) - 1 : -1;
}

function indicesOf(replicas: readonly (Replica | undefined)[]): number[] {
  return replicas.flatMap((replica, i) => (replica === undefined ? [] : [i]));
}
