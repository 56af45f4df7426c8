import { createReportStream, type ReportStream } from '../../collector/report/report-stream.ts';
import { silentLogger } from '../../lib/log.ts';
import type { ClusterState } from '../../scheduler/cluster/state.ts';
import { helloOf } from '../support/report-rig.ts';
import { serverPeriod, type ServedBytes } from '../support/server-period.ts';

/** Bytes a second of payload between two Deployments of one namespace, all replicas together. */
export interface TrafficEdge {
  readonly client: string;
  readonly server: string;
  readonly bytesOut: number;
  readonly bytesIn: number;
}

/**
 * Agents of all nodes, with the real client and the real contract, that report what pods would measure which exchange
 * the given traffic: every client replica with every server replica alike, seen at the server's node.
 */
export class TrafficFeed {
  readonly #streams = new Map<string, ReportStream>();
  readonly #state: ClusterState;
  readonly #edges: readonly TrafficEdge[];
  readonly #namespaces: () => Iterable<string>;
  readonly #periodMs: number;
  readonly #timer: NodeJS.Timeout;

  constructor(options: {
    readonly target: string;
    readonly nodes: readonly string[];
    readonly state: ClusterState;
    readonly edges: readonly TrafficEdge[];
    readonly namespaces: () => Iterable<string>;
    readonly periodMs: number;
  }) {
    const { target, nodes, state, edges, namespaces, periodMs } = options;
    this.#state = state;
    this.#edges = edges;
    this.#namespaces = namespaces;
    this.#periodMs = periodMs;
    for (const node of nodes) {
      const hello = { ...helloOf(node), intervalMs: periodMs };
      this.#streams.set(node, createReportStream({ target, hello, logger: silentLogger }));
    }
    this.#timer = setInterval(() => this.#report(), periodMs);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all([...this.#streams.values()].map((stream) => stream.close()));
  }

  #report(): void {
    const served = new Map<string, ServedBytes[]>();
    for (const namespace of this.#namespaces()) {
      for (const edge of this.#edges) {
        const clients = this.#running(namespace, edge.client);
        const servers = this.#running(namespace, edge.server);
        const share = this.#periodMs / 1000 / (clients.length * servers.length);
        for (const server of servers) {
          for (const client of clients) {
            const row = {
              server: server.address,
              client: client.address,
              bytesOut: Math.round(edge.bytesOut * share),
              bytesIn: Math.round(edge.bytesIn * share),
            };
            const rows = served.get(server.node);
            if (rows === undefined) served.set(server.node, [row]);
            else rows.push(row);
          }
        }
      }
    }
    for (const [node, stream] of this.#streams) stream.offer(serverPeriod(served.get(node) ?? [], this.#periodMs));
  }

  #running(namespace: string, name: string): { readonly node: string; readonly address: string }[] {
    const workload = this.#state.workload(`${namespace}/Deployment/${name}`);
    return [...(workload?.pods ?? [])].flatMap(({ node, addresses: [address] }) =>
      node === undefined || address === undefined ? [] : [{ node, address }],
    );
  }
}
