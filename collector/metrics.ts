import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Counter, Gauge, Registry } from 'prom-client';
import { NetloomError, messageOf } from '../lib/errors.ts';
import type { Collector } from './collector.ts';
import type { ScopeStatus } from './node/scope.ts';
import type { Address } from './options.ts';
import type { Period } from './period.ts';
import type { ReportStreamStats } from './report/report-stream.ts';

export interface AgentMetricSources {
  readonly collector: Collector;
  readonly maxEdges: number;
  readonly scope?: { readonly status: ScopeStatus } | undefined;
}

export interface ServedMetrics {
  readonly port: number;
  /** Adds a period's traffic. */
  observe(period: Period): void;
  /** Once, when the stream is there. */
  observeStream(stats: () => ReportStreamStats): void;
  /** For what others of this process measure. */
  readonly registry: Registry;
  close(): void;
}

/** @throws NetloomError AGENT_LISTEN_FAILED */
export async function serveMetrics(address: Address, sources: AgentMetricSources): Promise<ServedMetrics> {
  const metrics = new AgentMetrics(sources);
  const server = await listen(address, metrics.registry);
  return {
    port: (server.address() as AddressInfo).port,
    observe: (period) => metrics.observe(period),
    observeStream: (stats) => metrics.observeStream(stats),
    registry: metrics.registry,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** Metrics of others alone. @throws NetloomError AGENT_LISTEN_FAILED */
export async function serveRegistry(
  address: Address,
  register: (registry: Registry) => Promise<void>,
): Promise<{ close(): void }> {
  const registry = new Registry();
  await register(registry);
  const server = await listen(address, registry);
  return {
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

/**
 * The agent's own metrics. Labels have few, fixed values (program, reason, direction, uplink): no address, port or
 * pod is ever a label. Values are read when asked for; traffic by uplink is added as periods come.
 */
class AgentMetrics {
  readonly registry = new Registry();
  private readonly uplinkBytes: Counter<'uplink' | 'direction'>;
  private readonly payloadBytes: Counter<'direction'>;

  constructor(sources: AgentMetricSources) {
    const { collector } = sources;
    const registers = [this.registry];
    const gauge = (name: string, help: string, read: () => number): void => {
      new Gauge({
        name: `netloom_agent_${name}`,
        help,
        registers,
        collect() {
          this.set(read());
        },
      });
    };
    // Cumulative figures that live elsewhere: a counter can only be added to, so it is set back and added in one go.
    const counter = <L extends string>(name: string, help: string, label: L, read: () => [string, number][]): void => {
      new Counter({
        name: `netloom_agent_${name}`,
        help,
        labelNames: [label],
        registers,
        collect() {
          this.reset();
          for (const [value, figure] of read()) this.inc({ [label]: value } as Record<L, string>, figure);
        },
      });
    };

    gauge('edges', 'Edges known.', () => collector.totals.edges);
    gauge('edges_max', "Edges that fit into the kernel's map.", () => sources.maxEdges);
    gauge('live_sockets', 'Sockets seen by the last pass.', () => collector.totals.liveSockets);
    gauge('pass_seconds', 'Wall time of the last pass over sockets and edges.', () => collector.totals.passMs / 1000);
    gauge('resident_memory_bytes', 'Resident memory of the agent.', () => process.memoryUsage.rss());
    counter('cpu_seconds_total', 'CPU time of the agent process.', 'mode', () => {
      const { user, system } = process.cpuUsage();
      return [
        ['user', user / 1e6],
        ['system', system / 1e6],
      ];
    });
    counter('bpf_runs_total', 'Runs of the kernel programs.', 'program', () =>
      collector.programRuns.map(({ program, runs }) => [program, runs]),
    );
    counter('bpf_run_seconds_total', 'Time spent in the kernel programs.', 'program', () =>
      collector.programRuns.map(({ program, runNs }) => [program, runNs / 1e9]),
    );
    counter('periods_total', 'Periods measured.', 'result', () => [['measured', collector.totals.periods]]);
    counter('deleted_edges_total', 'Edges deleted from a crowded map.', 'reason', () => [
      ['idle', collector.totals.deletedEdges],
    ]);
    counter('lost_total', 'What was not measured, by reason and unit.', 'reason', () => [
      ['map_full_connections', collector.totals.mapFullConnections],
      ['map_full_bytes', collector.totals.mapFullBytes],
      ['storage_failed', collector.totals.storageFailed],
      ['read_failed', collector.totals.readFailed],
      ['missed_events', collector.totals.missedEvents],
    ]);
    const { scope } = sources;
    if (scope !== undefined) {
      gauge('scope_namespaces', 'Network namespaces that are measured.', () => scope.status.namespaces);
      gauge('scope_bad_lines', 'Lines of the scope file that name no namespace.', () => scope.status.badLines);
    }
    this.uplinkBytes = new Counter({
      name: 'netloom_agent_uplink_bytes_total',
      help: 'Wire bytes of the uplinks.',
      labelNames: ['uplink', 'direction'],
      registers,
    });
    this.payloadBytes = new Counter({
      name: 'netloom_agent_payload_bytes_total',
      help: 'Payload measured at the sockets.',
      labelNames: ['direction'],
      registers,
    });
  }

  /** Once, when the stream is there. */
  observeStream(stats: () => ReportStreamStats): void {
    const registers = [this.registry];
    const gauge = (name: string, help: string, read: (stats: ReportStreamStats) => number): void => {
      new Gauge({
        name: `netloom_agent_${name}`,
        help,
        registers,
        collect() {
          this.set(read(stats()));
        },
      });
    };
    gauge('scheduler_connected', '1 while reports flow to the scheduler.', ({ state }) =>
      Number(state === 'streaming'),
    );
    gauge('reports_waiting', 'Reports that were not sent yet.', ({ waiting }) => waiting);
    gauge('reports_unacknowledged', 'Reports sent and not yet acknowledged.', (s) => s.unacknowledged);
    gauge('reports_bytes', 'Memory of reports that are kept.', (s) => s.bufferedBytes);
    gauge(
      'reports_dropped_edges',
      'Edges dropped since the start because the memory bound was reached.',
      (s) => s.droppedEdges,
    );
  }

  /** Adds a period's traffic. */
  observe(period: Period): void {
    for (const { name, txBytes, rxBytes } of period.uplinks) {
      this.uplinkBytes.inc({ uplink: name, direction: 'tx' }, txBytes);
      this.uplinkBytes.inc({ uplink: name, direction: 'rx' }, rxBytes);
    }
    this.payloadBytes.inc({ direction: 'sent' }, sum(period.edges.bytesSent));
    this.payloadBytes.inc({ direction: 'received' }, sum(period.edges.bytesReceived));
  }
}

/** `GET /metrics` and `GET /livez`; everything else is 404. */
async function listen(address: Address, registry: Registry): Promise<Server> {
  const server = createServer((request, response) => {
    const reply = (status: number, type: string, body: string): void => {
      response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) }).end(body);
    };
    const path = request.url?.split('?', 1)[0];
    if (request.method !== 'GET' || (path !== '/metrics' && path !== '/livez')) {
      reply(404, 'text/plain', 'only GET /metrics and GET /livez\n');
    } else if (path === '/livez') {
      reply(200, 'text/plain', 'ok\n');
    } else {
      registry.metrics().then(
        (body) => reply(200, registry.contentType, body),
        (error: unknown) => reply(500, 'text/plain', `${messageOf(error)}\n`),
      );
    }
  });
  server.maxConnections = 64;
  server.requestTimeout = 10_000;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) =>
      reject(
        new NetloomError('AGENT_LISTEN_FAILED', 'the metrics listener cannot be opened', {
          place: `${address.host}:${address.port}`,
          found: messageOf(error),
          cause: error,
        }),
      ),
    );
    server.listen({ host: address.host, port: address.port }, resolve);
  });
  server.on('error', () => undefined);
  return server;
}

function sum(values: Float64Array): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
