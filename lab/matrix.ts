import { edgeId } from './traffic/plan.ts';
import type { PodCounters } from './traffic/counters.ts';
import type { LabPod, LabState } from './state.ts';

/** Payload since the start; `Out` is client to server. */
export interface EdgeTotals {
  readonly bytesOut: number;
  readonly bytesIn: number;
  readonly connections: number;
  readonly requests: number;
}

export interface TrueWorkloadEdge {
  readonly client: string;
  readonly server: string;
  /** What the clients' processes counted. */
  readonly byClients: EdgeTotals;
  /** What the servers' processes counted. */
  readonly byServers: EdgeTotals;
}

export interface TruePodEdge extends EdgeTotals {
  readonly client: PodPlace;
  readonly server: PodPlace;
}

export interface PodPlace {
  readonly name: string;
  readonly workload: string;
  readonly node: string;
  readonly zone: string;
}

/** What the generator did, and what went wrong in doing it. */
export interface TrueMatrix {
  readonly namespace: string;
  /** In the order of the scenario. */
  readonly workloads: readonly TrueWorkloadEdge[];
  /** As the servers saw them; a pod that is gone keeps its edges. */
  readonly pods: readonly TruePodEdge[];
  /** Totals of servers for peers that are no pod (a node's address). */
  readonly unknownPeers: EdgeTotals;
  readonly faults: {
    readonly connectErrors: number;
    readonly errors: number;
    readonly skipped: number;
    readonly unansweredBytes: number;
    readonly refused: number;
    /** Pods whose counters could not be read. */
    readonly silentPods: readonly string[];
  };
}

interface MutableTotals {
  bytesOut: number;
  bytesIn: number;
  connections: number;
  requests: number;
}

const zero = (): MutableTotals => ({ bytesOut: 0, bytesIn: 0, connections: 0, requests: 0 });

/** The true matrix from the counters of all pods, also those that are gone. Pure. */
export function buildMatrix(state: LabState, counters: ReadonlyMap<string, PodCounters>): TrueMatrix {
  const all: LabPod[] = [...state.pods, ...state.retired];
  const byAddress = new Map(all.flatMap((p) => (p.address === undefined ? [] : [[p.address, p] as const])));
  const gateways = new Set(state.nodes.map((n) => n.gateway));
  const zones = new Map(state.nodes.map((n) => [n.name, n.zone]));
  const place = (p: LabPod): PodPlace => ({
    name: p.name,
    workload: p.workload,
    node: p.node ?? '',
    zone: zones.get(p.node ?? '') ?? '',
  });

  const workloads = new Map<
    string,
    { client: string; server: string; clients: MutableTotals; servers: MutableTotals }
  >();
  const edge = (client: string, server: string) => {
    const key = `${client} ${server}`;
    let e = workloads.get(key);
    if (e === undefined) workloads.set(key, (e = { client, server, clients: zero(), servers: zero() }));
    return e;
  };
  for (const e of state.scenario.edges) edge(e.client, e.server);

  const pods: TruePodEdge[] = [];
  const unknownPeers = zero();
  const faults = { connectErrors: 0, errors: 0, skipped: 0, unansweredBytes: 0, refused: 0 };
  const silentPods: string[] = [];
  for (const pod of all) {
    const c = counters.get(pod.name);
    if (c === undefined) {
      if (pod.address !== undefined) silentPods.push(pod.name);
      continue;
    }
    faults.refused += c.refused;
    for (const row of c.client) {
      const i = state.scenario.edges.findIndex((_, n) => edgeId(n) === row.edge);
      const planned = state.scenario.edges[i];
      if (planned === undefined) continue;
      add(edge(planned.client, planned.server).clients, row);
      faults.connectErrors += row.connectErrors;
      faults.errors += row.errors;
      faults.skipped += row.skipped;
      faults.unansweredBytes += row.unansweredBytes;
    }
    for (const row of c.server) {
      // A server counts from its own side: what comes in is what the client sent.
      const totals = { ...row, bytesOut: row.bytesIn, bytesIn: row.bytesOut };
      // Only a pod that reaches itself through its Service comes from a gateway.
      const client = gateways.has(row.peer) ? pod : byAddress.get(row.peer);
      if (client === undefined) {
        add(unknownPeers, totals);
        continue;
      }
      add(edge(client.workload, pod.workload).servers, totals);
      pods.push({
        client: place(client),
        server: place(pod),
        bytesOut: totals.bytesOut,
        bytesIn: totals.bytesIn,
        connections: totals.connections,
        requests: totals.requests,
      });
    }
  }
  return {
    namespace: state.scenario.namespace,
    workloads: [...workloads.values()].map((e) => ({
      client: e.client,
      server: e.server,
      byClients: e.clients,
      byServers: e.servers,
    })),
    pods,
    unknownPeers,
    faults: { ...faults, silentPods },
  };
}

function add(to: MutableTotals, row: EdgeTotals): void {
  to.bytesOut += row.bytesOut;
  to.bytesIn += row.bytesIn;
  to.connections += row.connections;
  to.requests += row.requests;
}
