// What a new view of the cluster costs: built on the ingest thread, and entered on the extender's thread, whose time is
// kube-scheduler's. Baseline: the same content as plain objects, posted by structured clone.
// Usage: node bench/placement-view.ts
import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads';
import { bigCluster, bigGraph } from './support/big-graph.ts';
import { PlacementViewBuilder, transferOf, type ViewMessage } from '../scheduler/graph/placement-view-builder.ts';
import { PlacementViewReceiver } from '../scheduler/placement/view-receiver.ts';

const NODES = 5_000;
const PODS = 100_000;
const WORKLOADS = 10_000;
const EDGES = 50_000;
const NOW = 1_700_000_000_000;

const { state, book } = bigCluster({ nodes: NODES, pods: PODS, workloads: WORKLOADS, nowMs: NOW });
const graph = bigGraph(state, book, { edges: EDGES, workloads: WORKLOADS, nowMs: NOW });
const builder = new PlacementViewBuilder(graph, state);

/** Longest of the turns in which the receiver takes a message, and the longest time to get one out of the port. */
function enter(
  message: ViewMessage,
  receiver: PlacementViewReceiver,
  turns: (() => void)[],
): { out: number; turn: number } {
  const { port1, port2 } = new MessageChannel();
  port1.postMessage(message, transferOf(message));
  let from = performance.now();
  const received = (receiveMessageOnPort(port2) as { message: ViewMessage }).message;
  const out = performance.now() - from;
  port1.close();
  let longest = 0;
  from = performance.now();
  receiver.receive(received);
  longest = performance.now() - from;
  for (let turn = turns.shift(); turn !== undefined; turn = turns.shift()) {
    from = performance.now();
    turn();
    longest = Math.max(longest, performance.now() - from);
  }
  return { out, turn: longest };
}

const turns: (() => void)[] = [];
const receiver = new PlacementViewReceiver(undefined, (turn) => turns.push(turn));
let from = performance.now();
const firstMessage = builder.build(NOW);
const firstBuild = performance.now() - from;
const first = enter(firstMessage, receiver, turns);
const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1]!;
const builds: number[] = [];
const enters: number[] = [];
for (let i = 0; i < 15; i++) {
  from = performance.now();
  const message = builder.build(NOW + i);
  builds.push(performance.now() - from);
  const { out, turn } = enter(message, receiver, turns);
  enters.push(out + turn);
}
const view = receiver.current!;

function plainObjects(): unknown {
  const peers = (w: number): object[] => {
    const list: object[] = [];
    for (let i = view.peerStart[w]!; i < view.peerStart[w + 1]!; i++) {
      const peer = view.names.workloads[view.peer[i]!];
      list.push({
        peer,
        client: view.peerClient[i] === 1,
        rate: view.peerBytesPerSecond[i],
        confidence: view.peerConfidence[i],
      });
    }
    return list;
  };
  return {
    nodes: view.names.nodes.map((name, n) => ({ name, zone: view.nodeZone[n] })),
    workloads: view.names.workloads.map((name, w) => {
      const placed: object[] = [];
      for (let i = view.placedStart[w]!; i < view.placedEnd[w]!; i++) {
        placed.push({ node: view.names.nodes[view.placedNode[i]!], count: view.placedCount[i] });
      }
      return { name, replicas: view.replicas[w], placed, peers: peers(w) };
    }),
  };
}
const plain: number[] = [];
for (let i = 0; i < 5; i++) {
  const { port1, port2 } = new MessageChannel();
  port1.postMessage(plainObjects());
  from = performance.now();
  receiveMessageOnPort(port2);
  plain.push(performance.now() - from);
  port1.close();
}

console.log(`${NODES} nodes, ${PODS} pods, ${view.workloadCount} workloads, ${view.peer.length / 2} edges`);
const figures = {
  firstBuildMs: firstBuild,
  firstLongestTurnMs: Math.max(first.turn, first.out),
  buildMs: median(builds),
  enterMs: median(enters),
};
console.table({ ...figures, 'baseline: plain objects, entering (ms)': median(plain) });
console.log(
  JSON.stringify({
    name: 'placement-view',
    figures: Object.fromEntries(Object.entries(figures).map(([key, ms]) => [key, Number(ms.toFixed(2))])),
    baseline: { plainObjectsEnterMs: Number(median(plain).toFixed(2)) },
    ratio: Number((median(plain) / figures.enterMs).toFixed(1)),
  }),
);
