import { MultiDirectedGraph } from 'graphology';
import { type EdgeView, edgeViews } from './edge-views.ts';
import type { Endpoint } from './endpoint-table.ts';
import { endpointKey } from './file-traffic.ts';
import type { TrafficGraph } from './traffic-graph.ts';

export interface GraphNodeAttributes extends Endpoint {
  readonly level: 'workload' | 'pod';
  /** Key of the workload of a pod. */
  readonly parent?: string;
}

export type GraphEdgeAttributes = Omit<EdgeView, 'client' | 'server'> & { readonly level: 'workload' | 'pod' };

/**
 * The graph for analysis and export: workloads (and nodes, Services, outside peers) as nodes with an edge for each
 * protocol and family, pods below them with theirs if `pods`. A copy: it does not follow the live graph.
 * Keys are "namespace/Kind/name"; pods have "pod:" before it, so that a bare pod stands in both levels.
 */
export function toGraphology(
  graph: TrafficGraph,
  options: { readonly pods: boolean } = { pods: true },
): MultiDirectedGraph<GraphNodeAttributes, GraphEdgeAttributes> {
  const out = new MultiDirectedGraph<GraphNodeAttributes, GraphEdgeAttributes>();
  for (const level of ['workload', 'pod'] as const) {
    if (level === 'pod' && !options.pods) break;
    const add = (endpoint: Endpoint): string => {
      const isPod = level === 'pod' && endpoint.kind === 'Pod';
      const key = isPod ? `pod:${endpointKey(endpoint)}` : endpointKey(endpoint);
      if (out.hasNode(key)) return key;
      const parent = isPod ? graph.edges.endpoints.workloadOfPod(endpoint) : undefined;
      out.addNode(key, {
        ...endpoint,
        level: isPod ? 'pod' : 'workload',
        ...(parent === undefined ? {} : { parent: endpointKey(parent) }),
      });
      return key;
    };
    for (const { client, server, ...rest } of edgeViews(graph, level)) {
      out.addDirectedEdge(add(client), add(server), { ...rest, level });
    }
  }
  return out;
}
