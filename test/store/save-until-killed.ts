// Run by kill.test.ts: books reports and saves as fast as it can, and says what was acknowledged, until it is killed.
import { writeSync } from 'node:fs';
import { silentLogger } from '../../lib/log.ts';
import { GraphSink } from '../../scheduler/graph/graph-sink.ts';
import { TrafficGraph } from '../../scheduler/graph/traffic-graph.ts';
import { createStore } from '../../scheduler/store/store.ts';
import { manyPods, reportOf } from './fixture.ts';

const store = await createStore({ path: process.argv[2]!, logger: silentLogger });
const graph = new TrafficGraph(manyPods());
const sink = new GraphSink({ graph, store, logger: silentLogger, saveIntervalMs: 5 });
sink.start();
const mapId = new Uint8Array(16).fill(7);
let seq = sink.committedSeq('n1', mapId);
for (;;) {
  const mine = ++seq;
  void Promise.resolve(sink.report('n1', reportOf(mine), Date.now())).then(() => {
    try {
      writeSync(1, `${mine}\n`);
    } catch {
      // Who reads is stopped, and the pipe is full: one is said less.
    }
  });
  await new Promise((resolve) => setTimeout(resolve, 2));
}
