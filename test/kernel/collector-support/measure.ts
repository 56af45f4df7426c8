import { Collector } from '../../../collector/collector.ts';
import { loadCollector, type CollectorKernel, type KernelOptions } from '../../../collector/kernel.ts';
import type { Period } from '../../../collector/period.ts';
import { formatAddress } from '../../../lib/ip.ts';
import { silentLogger } from '../../../lib/log.ts';
import { ROLE_SERVER } from '../../../proto/report.ts';

export interface MeasuredEdge {
  local: string;
  remote: string;
  prefixLength: number;
  serverPort: number;
  role: 'server' | 'client';
  sent: number;
  received: number;
  segmentsSent: number;
  segmentsReceived: number;
  connections: number;
  minRttUs: number;
  smoothedRttUs: number;
}

/** The real collector on chosen namespaces, summing what it emits: what a scheduler would have got. */
export class Measurement {
  readonly kernel: CollectorKernel;
  readonly collector: Collector;
  readonly edges = new Map<string, MeasuredEdge>();
  readonly lost = { mapFullConnections: 0, mapFullBytes: 0, storageFailed: 0, readFailed: 0 };
  last: Period | undefined;

  constructor(kernel: CollectorKernel, idleMs?: number) {
    this.kernel = kernel;
    this.collector = new Collector({
      kernel,
      uplinks: { read: () => [], save: () => [], restore: () => undefined },
      logger: silentLogger,
      ...(idleMs === undefined ? {} : { idleMs }),
    });
  }

  static async start(
    inodes: readonly number[],
    options: KernelOptions & { idleMs?: number } = {},
  ): Promise<Measurement> {
    const kernel = await loadCollector({ scoped: true, ...options });
    kernel.setScope(new Set(inodes));
    return new Measurement(kernel, options.idleMs);
  }

  async collect(): Promise<Period> {
    const period = await this.collector.collectPeriod();
    const { edges, losses } = period;
    for (let row = 0; row < edges.n; row++) {
      const local = formatAddress(edges.addresses, 16 * edges.local[row]!);
      const remote = formatAddress(edges.addresses, 16 * edges.remote[row]!);
      const role = edges.role[row] === ROLE_SERVER ? 'server' : 'client';
      const key = `${role} ${local} ${remote} ${edges.serverPort[row]}`;
      const edge = this.edges.get(key) ?? {
        local,
        remote,
        prefixLength: edges.prefixLengths[edges.remote[row]!] ?? 128,
        serverPort: edges.serverPort[row]!,
        role,
        sent: 0,
        received: 0,
        segmentsSent: 0,
        segmentsReceived: 0,
        connections: 0,
        minRttUs: 0,
        smoothedRttUs: 0,
      };
      edge.sent += edges.bytesSent[row]!;
      edge.received += edges.bytesReceived[row]!;
      edge.segmentsSent += edges.segmentsSent[row]!;
      edge.segmentsReceived += edges.segmentsReceived[row]!;
      edge.connections += edges.connections[row]!;
      edge.minRttUs = edges.minRttUs[row]!;
      edge.smoothedRttUs = edges.smoothedRttUs[row]!;
      this.edges.set(key, edge);
    }
    for (const name of Object.keys(this.lost) as (keyof typeof this.lost)[]) this.lost[name] += losses[name];
    this.last = period;
    return period;
  }

  edge(role: 'server' | 'client', serverPort: number): MeasuredEdge | undefined {
    return [...this.edges.values()].find((edge) => edge.role === role && edge.serverPort === serverPort);
  }

  /** Payload and connections of an edge, nothing else: for comparison with an application's own counts. */
  payload(
    role: 'server' | 'client',
    serverPort: number,
  ): { sent: number; received: number; connections: number } | undefined {
    const edge = this.edge(role, serverPort);
    return edge && { sent: edge.sent, received: edge.received, connections: edge.connections };
  }

  close(): void {
    this.kernel.close();
  }
}
