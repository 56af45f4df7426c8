import type { WorkloadRef } from '../cluster/model.ts';
import { snapshotChunks } from '../cluster/native-format.ts';
import type { ClusterState } from '../cluster/state.ts';
import { trafficChunks, type TrafficEdge } from '../cluster/traffic.ts';
import { agentStatus } from '../graph/agent-status.ts';
import { counters, lostCounts } from '../graph/counters.ts';
import { edgeViews, rowNumbers, type Level } from '../graph/edge-views.ts';
import type { TrafficGraph } from '../graph/traffic-graph.ts';
import { edgesReply, trafficByEnd, type EdgeFilter } from './edges-reply.ts';
import type { Explainer } from './explain.ts';
import { ApiError, Chunks, type Route } from './listener.ts';
import type { EdgesReply, ExplainReply, KubeSchedulerStatus, Problem, StatusReply, TopReply } from './replies.ts';

export interface ApiState {
  readonly graph: TrafficGraph;
  readonly cluster: ClusterState;
  readonly explainer: Explainer;
  readonly version: string;
  readonly startedMs: number;
  readonly readiness: () => { readonly ready: boolean; readonly reason: string };
  readonly problems: () => readonly Problem[];
  readonly kubeScheduler: () => KubeSchedulerStatus;
  readonly warnings: () => readonly string[];
  readonly nowMs: () => number;
}

/** Paths of the read API. Query parameters are strings from outside: each is checked. */
export function apiRoutes(state: ApiState): Readonly<Record<string, Route>> {
  const { graph, cluster, explainer } = state;
  return {
    '/v1/status': () => statusReply(state),
    '/v1/edges': (query): EdgesReply => ({ ...edgesReply(graph, filterOf(query)), warnings: state.warnings() }),
    '/v1/top': (query): TopReply => {
      const filter = filterOf(query);
      const ends = trafficByEnd(graph, filter);
      const rest = ends.splice(filter.limit);
      return {
        by: filter.by,
        workloads: ends,
        omitted: rest.length,
        agents: agentStatus(graph),
        warnings: state.warnings(),
      };
    },
    '/v1/counters': (query) => new Chunks('application/json', countersChunks(graph, levelOf(query))),
    '/v1/explain': (query): ExplainReply => {
      const pod = query.get('pod');
      const workload = query.get('workload');
      if ((pod === null) === (workload === null)) {
        throw new ApiError(400, 'expected pod=NAMESPACE/NAME or workload=NAMESPACE/KIND/NAME');
      }
      const warnings = state.warnings();
      try {
        const explained = explainer.explain(pod === null ? { workload: workload! } : { pod }, state.nowMs());
        return { ...explained, warnings };
      } catch (error) {
        // What is wrong with the cluster state may be why something is not in it.
        if (!(error instanceof ApiError) || warnings.length === 0) throw error;
        throw new ApiError(error.status, `${error.message}; ${warnings.join('; ')}`);
      }
    },
    '/v1/export/snapshot': () => new Chunks('application/json', snapshotChunks(cluster)),
    '/v1/export/traffic': () => new Chunks('text/csv', trafficChunks(exportedEdges(graph))),
  };
}

function statusReply(state: ApiState): StatusReply {
  const { graph, cluster } = state;
  let services = 0;
  for (const _ of cluster.services()) services++;
  const { edges } = graph;
  return {
    version: state.version,
    startedMs: state.startedMs,
    ...state.readiness(),
    cluster: {
      nodes: cluster.nodeCount,
      pods: cluster.podCount,
      services,
      workloads: cluster.workloadCount,
      problems: state.problems(),
    },
    kubeScheduler: state.kubeScheduler(),
    agents: agentStatus(graph),
    graph: {
      workloadEdges: [...rowNumbers(edges.workloads)].length,
      podEdges: [...rowNumbers(edges.pods)].length,
      endpoints: edges.endpoints.size,
    },
    lost: lostCounts(graph),
  };
}

/** The JSON of counters(), an edge at a time. */
function* countersChunks(graph: TrafficGraph, by: Level): Generator<string> {
  const { edges, lost, ...head } = counters(graph, by);
  yield `${JSON.stringify(head).slice(0, -1)},"edges":[`;
  for (const [i, edge] of edges.entries()) yield (i === 0 ? '' : ',') + JSON.stringify(edge);
  yield `],"lost":${JSON.stringify(lost)}}\n`;
}

/** Rates of the long average, which placement uses; both protocols of a pair are one row. */
function* exportedEdges(graph: TrafficGraph): Generator<TrafficEdge> {
  const pairs = new Map<string, { client: WorkloadRef; peer: WorkloadRef; out: number; in: number }>();
  for (const { client, server, long } of edgeViews(graph, 'workload')) {
    const key = [client, server].map(({ namespace, kind, name }) => `${namespace}/${kind}/${name}`).join(' ');
    const pair = pairs.get(key);
    if (pair === undefined) pairs.set(key, { client, peer: server, out: long.out, in: long.in });
    else {
      pair.out += long.out;
      pair.in += long.in;
    }
  }
  for (const pair of pairs.values()) {
    yield { client: pair.client, server: pair.peer, bytesPerSecondOut: pair.out, bytesPerSecondIn: pair.in };
  }
}

const MAX_LIMIT = 100_000;

function filterOf(query: URLSearchParams): EdgeFilter {
  const limit = Number(query.get('limit') ?? 50);
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIMIT) {
    throw new ApiError(400, `limit: expected a whole number, 1 to ${String(MAX_LIMIT)}`);
  }
  return {
    by: levelOf(query),
    namespace: query.get('namespace') ?? undefined,
    name: query.get('name') ?? undefined,
    limit,
  };
}

function levelOf(query: URLSearchParams): Level {
  const by = query.get('by') ?? 'workload';
  if (by !== 'workload' && by !== 'pod') throw new ApiError(400, 'by: expected workload or pod');
  return by;
}
