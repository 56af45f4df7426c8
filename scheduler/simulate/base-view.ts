import { AddressBook } from '../cluster/address-book.ts';
import type { NodeRecord, Resources } from '../cluster/model.ts';
import type { ClusterState } from '../cluster/state.ts';
import type { TrafficEdge } from '../cluster/traffic.ts';
import { ClusterResolver } from '../graph/cluster-resolver.ts';
import { PlacementViewBuilder, type PlacementCluster } from '../graph/placement-view-builder.ts';
import { TrafficGraph } from '../graph/traffic-graph.ts';
import type { PlacementView } from '../placement/view.ts';
import { PlacementViewReceiver } from '../placement/view-receiver.ts';
import { namespaceOf } from '../placement/workload-kind.ts';

export interface BaseViewParts {
  readonly state: ClusterState;
  readonly nodeRecords: readonly NodeRecord[];
  /** "namespace/Kind/name", in the order of their indices. */
  readonly workloads: readonly string[];
  readonly replicas: Int32Array;
  /** Pods that are to arrive, by workload, and what each asks for. */
  readonly toPlace: Int32Array;
  readonly milliCpu: Float64Array;
  readonly memoryBytes: Float64Array;
  readonly fixedByNode: readonly ReadonlyMap<string, number>[];
  /** What fixed pods ask for, by node. */
  readonly fixedOn: readonly Resources[];
  readonly edges: readonly TrafficEdge[];
  readonly hasUnits: boolean;
  /** Of the links of nodes that do not say. */
  readonly linkMbps?: number | undefined;
  readonly maxReplicaShare: number;
}

/** The view that the product itself would build of a cluster in which only the fixed pods are placed. */
export function baseView(parts: BaseViewParts): PlacementView {
  const { state, nodeRecords, workloads, replicas, fixedByNode } = parts;
  const fixedOn = new Map(nodeRecords.map((node, n) => [node.name, parts.fixedOn[n]!]));
  const cluster: PlacementCluster = {
    version: state.version,
    nodes: () => nodeRecords,
    usedOn: (node) => fixedOn.get(node)!,
    workloads: () =>
      workloads.map((key, w) => {
        const placedByNode = fixedByNode[w]!;
        const placed = [...placedByNode.values()].reduce((sum, count) => sum + count, 0);
        return {
          key,
          ref: { namespace: namespaceOf(key) },
          desired: replicas[w]!,
          placed,
          placedByNode,
          pending: parts.toPlace[w]!,
          requests: { milliCpu: parts.milliCpu[w]!, memoryBytes: parts.memoryBytes[w]!, pods: 1 },
          egress: state.workload(key)?.egress,
        };
      }),
    placementOff: (namespace) => state.placementOff(namespace),
    namespaces: () => state.namespaces(),
    ownerLinks: () => [],
    service: (namespace, name) => state.service(namespace, name),
    selectedBy: (service) => state.selectedBy(service),
  };
  const graph = new TrafficGraph(new ClusterResolver(state, new AddressBook()));
  graph.setFileTraffic(parts.edges);
  graph.file.hasUnits = parts.hasUnits;
  const linkBytesPerSecond = parts.linkMbps === undefined ? undefined : (parts.linkMbps * 1e6) / 8;
  const { maxReplicaShare } = parts;
  const receiver = new PlacementViewReceiver(undefined, (turn) => turn());
  receiver.receive(new PlacementViewBuilder(graph, cluster, { linkBytesPerSecond, maxReplicaShare }).build(0));
  return receiver.current!;
}
