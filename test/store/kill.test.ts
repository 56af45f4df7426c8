import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, onTestFinished, test } from 'vitest';
import { silentLogger } from '../../lib/log.ts';
import { counters } from '../../scheduler/graph/counters.ts';
import { restore } from '../../scheduler/graph/saved-state.ts';
import { TrafficGraph } from '../../scheduler/graph/traffic-graph.ts';
import { createStore } from '../../scheduler/store/store.ts';
import { manyPods } from './fixture.ts';
import { scratchFolder } from './scratch.ts';

test('killed in the middle, again and again: what was acknowledged is there, and graph and sequence agree', async () => {
  const path = join(scratchFolder(), 'graph.db');
  let last = 0;
  for (let round = 0; round < 4; round++) {
    const child = spawn(process.execPath, [join(import.meta.dirname, 'save-until-killed.ts'), path], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    let acknowledged = 0;
    let lines = 0;
    const gone = once(child, 'exit');
    for await (const line of createInterface({ input: child.stdout })) {
      acknowledged = Math.max(acknowledged, Number(line));
      if (++lines === 20 + round * 17) child.kill('SIGKILL');
    }
    await gone;

    const store = await createStore({ path, logger: silentLogger });
    const graph = new TrafficGraph(manyPods());
    expect(restore(graph, store.loaded)).toBe(0);
    await store.close();
    const [[, seq] = ['', 0]] = store.loaded.nodes[0]!.sequences;
    expect(seq).toBeGreaterThanOrEqual(acknowledged);
    expect(seq).toBeGreaterThan(last);
    last = seq;
    const { edges } = counters(graph, 'workload');
    expect(edges).toHaveLength(50);
    for (const edge of edges)
      expect([edge.bytesOut, edge.bytesIn, edge.connections]).toEqual([seq * 100, seq * 7, seq]);
  }
});
