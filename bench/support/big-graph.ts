import { parseAddress } from '../../lib/ip.ts';
import { allocateEdgeColumns } from '../../proto/edge-columns.ts';
import { NO_COST, NO_LOSSES, ROLE_SERVER } from '../../proto/report.ts';
import { AddressBook } from '../../scheduler/cluster/address-book.ts';
import type { ClusterEvent } from '../../scheduler/cluster/model.ts';
import { ClusterState } from '../../scheduler/cluster/state.ts';
import { ClusterResolver } from '../../scheduler/graph/cluster-resolver.ts';
import { TrafficGraph } from '../../scheduler/graph/traffic-graph.ts';

const PERIOD_MS = 10_000;
const RESOURCES = { milliCpu: 100, memoryBytes: 1e8, pods: 1 };

const podAddress = (pod: number): string => `10.${(pod >> 16) & 255}.${(pod >> 8) & 255}.${pod & 255}`;

/** Pods of Deployments behind ReplicaSets, spread over nodes and three zones; pod i is of workload i % workloads. */
export function bigCluster(size: { nodes: number; pods: number; workloads: number; nowMs: number }): {
  state: ClusterState;
  book: AddressBook;
} {
  const state = new ClusterState();
  const book = new AddressBook();
  const events: ClusterEvent[] = [];
  for (let n = 0; n < size.nodes; n++) {
    events.push({
      op: 'upsert',
      record: {
        type: 'node',
        name: `node-${n}`,
        uid: `n${n}`,
        addresses: [`172.16.${n >> 8}.${n & 255}`],
        podCidrs: [],
        zone: `zone-${n % 3}`,
        region: 'region-1',
        allocatable: RESOURCES,
      },
    });
  }
  for (let w = 0; w < size.workloads; w++) {
    const namespace = `namespace-${w % 100}`;
    const name = `workload-${w}`;
    events.push({
      op: 'upsert',
      record: {
        type: 'controller',
        namespace,
        kind: 'ReplicaSet',
        name: `${name}-6f7d9c8b5`,
        uid: `rs${w}`,
        owner: { kind: 'Deployment', name, uid: `d${w}` },
        replicas: undefined,
      },
    });
  }
  for (let p = 0; p < size.pods; p++) {
    const w = p % size.workloads;
    events.push({
      op: 'upsert',
      record: {
        type: 'pod',
        uid: `p${p}`,
        namespace: `namespace-${w % 100}`,
        name: `workload-${w}-6f7d9c8b5-${p}`,
        node: `node-${(p * 7919) % size.nodes}`,
        addresses: [podAddress(p)],
        hostNetwork: false,
        phase: 'Running',
        owner: { kind: 'ReplicaSet', name: `workload-${w}-6f7d9c8b5`, uid: `rs${w}` },
        labels: {},
        requests: RESOURCES,
        mirror: false,
      },
    });
  }
  state.apply(events);
  book.apply(events, size.nowMs - 3_600_000);
  return { state, book };
}

/** One report for each workload's first pod, so that there are about `edges` edges between workloads. */
export function bigGraph(
  state: ClusterState,
  book: AddressBook,
  size: { edges: number; workloads: number; nowMs: number },
): TrafficGraph {
  const resolver = new ClusterResolver(state, book);
  resolver.ready = true;
  const graph = new TrafficGraph(resolver);
  const perWorkload = Math.ceil(size.edges / size.workloads);
  for (let w = 0; w < size.workloads; w++) {
    const edges = allocateEdgeColumns(perWorkload, perWorkload + 1, false);
    edges.addresses.set(parseAddress(podAddress(w))!, 0);
    for (let r = 0; r < perWorkload; r++) {
      edges.addresses.set(parseAddress(podAddress((w * 31 + r * 977 + 1) % size.workloads))!, (r + 1) * 16);
      edges.remote[r] = r + 1;
      edges.role[r] = ROLE_SERVER;
      edges.protocol[r] = 6;
      edges.serverPort[r] = 8080;
      edges.bytesReceived[r] = 10_000 + r;
      edges.bytesSent[r] = 50_000 + r;
    }
    const node = state.pod(`p${w}`)!.node!;
    graph.record(
      node,
      {
        seq: 1,
        mapId: Buffer.from(String(w).padStart(16, '0')),
        periodMs: PERIOD_MS,
        ageMs: 0,
        edges,
        uplinks: [],
        losses: NO_LOSSES,
        cost: NO_COST,
        merged: 1,
      },
      size.nowMs,
    );
  }
  return graph;
}
