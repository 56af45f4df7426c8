import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, onTestFinished, test } from 'vitest';
import { silentLogger, type Logger } from '../../lib/log.ts';
import { counters } from '../../scheduler/graph/counters.ts';
import { edgeViews } from '../../scheduler/graph/edge-views.ts';
import { GraphSink } from '../../scheduler/graph/graph-sink.ts';
import { TrafficGraph } from '../../scheduler/graph/traffic-graph.ts';
import { createStore, type GraphStore } from '../../scheduler/store/store.ts';
import { agent, report } from '../graph/fixture.ts';
import { manyPods, reportOf } from './fixture.ts';
import { scratchFolder } from './scratch.ts';

const T = 1_700_000_000_000;
const MAP = new Uint8Array(16).fill(7);

interface Side {
  readonly graph: TrafficGraph;
  readonly sink: GraphSink;
  readonly store: GraphStore;
  now: number;
  stop(): Promise<void>;
}

async function open(
  path: string,
  options: { maxBytes?: number; graph?: object; logger?: Logger; nowMs?: number } = {},
): Promise<Side> {
  const logger = options.logger ?? silentLogger;
  const store = await createStore({ path, logger, maxBytes: options.maxBytes ?? 0 });
  const graph = new TrafficGraph(manyPods(200), options.graph);
  const side: Side = {
    graph,
    store,
    now: options.nowMs ?? T,
    sink: new GraphSink({ graph, store, logger, now: () => side.now, saveIntervalMs: 3_600_000 }),
    async stop() {
      await side.sink.stop();
      await store.close();
    },
  };
  side.sink.start();
  onTestFinished(async () => store.close());
  return side;
}

/** All that people see of the graph, in a fixed order. */
function seen(graph: TrafficGraph): unknown {
  return [...edgeViews(graph, 'workload')].sort((a, b) => a.client.name.localeCompare(b.client.name));
}

describe('store', () => {
  test('a restarted scheduler has the same graph, averages and sequences', async () => {
    const path = join(scratchFolder(), 'sub', 'graph.db');
    const first = await open(path);
    first.graph.agentConnected(agent('n1'), T);
    for (let i = 1; i <= 5; i++) void first.sink.report('n1', reportOf(i), T + i * 1000);
    await first.sink.flush();
    for (let i = 6; i <= 9; i++) void first.sink.report('n1', reportOf(i, 20), T + i * 1000);
    void first.sink.report('n1', reportOf(3, 20, new Uint8Array(16).fill(9)), T + 10_000);
    await first.sink.flush();
    const before = seen(first.graph);
    const { lost } = counters(first.graph, 'workload');
    await first.stop();

    const second = await open(path, { nowMs: T + 10_000 });
    expect(seen(second.graph)).toEqual(before);
    expect(counters(second.graph, 'workload').lost).toEqual(lost);
    expect(second.sink.committedSeq('n1', MAP)).toBe(9);
    expect(second.sink.committedSeq('n1', new Uint8Array(16).fill(9))).toBe(3);
    expect(second.sink.committedSeq('n1', new Uint8Array(16).fill(1))).toBe(0);
    // It goes on from there, and a report that was committed is not booked again.
    await second.sink.report('n1', reportOf(9), T + 11_000);
    expect(seen(second.graph)).toEqual(before);
    void second.sink.report('n1', reportOf(10), T + 11_000);
    expect(counters(second.graph, 'workload').edges.reduce((sum, e) => sum + e.bytesOut, 0)).toBe(
      (6 * 50 + 5 * 20) * 100,
    );
    await second.stop();
  });

  test('a report is committed only with the save, and the number with what it added', async () => {
    const path = join(scratchFolder(), 'graph.db');
    const side = await open(path);
    let committed = false;
    const done = Promise.resolve(side.sink.report('n1', reportOf(1), T)).then(() => {
      committed = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(committed).toBe(false);
    expect(side.sink.committedSeq('n1', MAP)).toBe(0);
    await side.sink.flush();
    await done;
    expect(side.sink.committedSeq('n1', MAP)).toBe(1);
  });

  test('edges that are folded and endpoints that are recycled leave the file too', async () => {
    const path = join(scratchFolder(), 'graph.db');
    const side = await open(path, { graph: { maxWorkloadEdges: 60, maxPodEdges: 60 } });
    for (let round = 0; round < 8; round++) {
      const { edges, ...rest } = reportOf(round + 1);
      for (let a = 0; a < edges.addresses.length / 16; a++) {
        // db stays, the clients change from round to round
        if (edges.addresses[a * 16 + 14] === 0) edges.addresses[a * 16 + 15]! += (round % 4) * 50;
      }
      void side.sink.report('n1', { ...rest, edges }, T + round * 700_000);
      side.graph.tick(T + round * 700_000 + 61_000);
      await side.sink.flush();
    }
    const before = seen(side.graph);
    const total = counters(side.graph, 'workload').edges.reduce((sum, e) => sum + e.bytesOut, 0);
    expect(total).toBe(8 * 50 * 100);
    await side.stop();
    const again = await open(path, { nowMs: T + 7 * 700_000 + 61_000 });
    expect(seen(again.graph)).toEqual(before);
    const db = new DatabaseSync(path, { readOnly: true });
    expect(db.prepare('SELECT count(*) AS n FROM endpoint').get()!['n']).toBeLessThan(130);
    db.close();
  });

  test('a damaged file is moved aside with a clear error, and the graph starts empty', async () => {
    for (const damage of ['garbage', 'truncated', 'torn'] as const) {
      const folder = scratchFolder();
      const path = join(folder, 'graph.db');
      const first = await open(path);
      void first.sink.report('n1', reportOf(1), T);
      await first.stop();
      const bytes = readFileSync(path);
      if (damage === 'garbage') bytes.fill(0x5a, 0, 4096);
      if (damage === 'torn') bytes.fill(0x5a, 4096);
      const damaged = damage === 'truncated' ? bytes.subarray(0, bytes.length / 2) : bytes;
      writeFileSync(path, damaged);

      const said: { msg: string; fields: object | undefined }[] = [];
      const logger: Logger = { ...silentLogger, error: (msg, fields) => said.push({ msg, fields }) };
      const second = await open(path, { logger });
      expect(seen(second.graph)).toEqual([]);
      expect(second.store.status().movedAside).toBe(1);
      expect(said).toMatchObject([{ fields: { code: 'STORE_UNREADABLE', place: path } }]);
      const aside = readdirSync(folder).find(
        (name) => name.startsWith('graph.db.unreadable-') && !name.endsWith('-wal') && !name.endsWith('-shm'),
      );
      expect(readFileSync(join(folder, aside!)).equals(damaged)).toBe(true);
      void second.sink.report('n1', reportOf(1), T);
      await second.stop();
      const third = await open(path);
      expect(third.store.status().movedAside).toBe(0);
      expect(third.sink.committedSeq('n1', MAP)).toBe(1);
    }
  });

  test('a file of a newer Netloom or of another program is kept aside, not changed', async () => {
    for (const make of [
      (db: DatabaseSync) =>
        db.exec('PRAGMA application_id = 0x4e4c6772; PRAGMA user_version = 99; CREATE TABLE edge (x)'),
      (db: DatabaseSync) => db.exec('CREATE TABLE accounts (x); INSERT INTO accounts VALUES (1)'),
    ]) {
      const folder = scratchFolder();
      const path = join(folder, 'graph.db');
      const db = new DatabaseSync(path);
      make(db);
      db.close();
      const bytes = readFileSync(path);
      const side = await open(path);
      expect(side.store.status().movedAside).toBe(1);
      const aside = readdirSync(folder).find((name) => name.includes('unreadable') && !/-(wal|shm)$/.test(name))!;
      expect(readFileSync(join(folder, aside)).equals(bytes)).toBe(true);
    }
  });

  test('where no file can be made the error says so', async () => {
    const folder = scratchFolder();
    mkdirSync(join(folder, 'graph.db'));
    await expect(createStore({ path: join(folder, 'graph.db'), logger: silentLogger })).rejects.toMatchObject({
      code: 'STORE_UNWRITABLE',
      details: { place: join(folder, 'graph.db') },
    });
    writeFileSync(join(folder, 'file'), '');
    await expect(createStore({ path: join(folder, 'file', 'graph.db'), logger: silentLogger })).rejects.toMatchObject({
      code: 'STORE_UNWRITABLE',
    });
  });

  test("a file that is saved into is nobody else's until that ends, and another folder is free", async () => {
    const [folder, other] = [scratchFolder(), scratchFolder()];
    const [path, logger] = [join(folder, 'graph.db'), silentLogger];
    const first = await createStore({ path, logger });
    const elsewhere = await createStore({ path: join(other, 'graph.db'), logger });
    await expect(createStore({ path, logger })).rejects.toMatchObject({
      code: 'STORE_IN_USE',
      details: { place: path },
    });
    const alias = join(other, 'alias.db');
    symlinkSync(path, alias);
    await expect(createStore({ path: alias, logger })).rejects.toMatchObject({ code: 'STORE_IN_USE' });
    await first.close();
    const second = await createStore({ path, logger });
    await Promise.all([second.close(), elsewhere.close()]);
  });

  test('beyond its bound saving fails, the graph goes on, nothing is acknowledged', async () => {
    const side = await open(join(scratchFolder(), 'graph.db'), { maxBytes: 100_000 });
    void Promise.resolve(side.sink.report('n1', reportOf(1, 1), T)).catch(() => {});
    await side.sink.flush();
    expect(side.sink.committedSeq('n1', MAP)).toBe(1);
    const cluster = manyPods(0);
    for (let i = 0; i < 4000; i++) cluster.pod(`10.5.${i >> 8}.${i & 255}`, 'n1', `x${i}-1`, `x${i}`);
    const big = new TrafficGraph(cluster);
    const sink = new GraphSink({
      graph: big,
      store: side.store,
      logger: silentLogger,
      now: () => T,
    });
    const rows = Array.from({ length: 4000 }, (_, i) => i);
    const acknowledged: unknown[] = [];
    const promise = Promise.resolve(
      sink.report(
        'n1',
        report(
          { seq: 2 },
          rows.map((i) => ({ local: '10.1.1.1', remote: `10.5.${i >> 8}.${i & 255}`, role: 'server', received: 5 })),
        ),
        T + 10_000,
      ),
    ).then(
      () => acknowledged.push('yes'),
      (error: unknown) => acknowledged.push(error),
    );
    await sink.flush();
    await sink.flush();
    expect(side.store.status()).toMatchObject({ failures: 2, error: { code: 'STORE_WRITE_FAILED' } });
    expect(acknowledged).toEqual([]);
    expect(counters(big, 'workload').edges).toHaveLength(4000);
    await sink.stop();
    await promise;
    expect(acknowledged).toMatchObject([{ code: 'STORE_WRITE_FAILED' }]);
  });

  test.skipIf(process.getuid?.() !== 0)('a full disk is survived, and saving goes on when there is room', async () => {
    const folder = scratchFolder();
    const mount = join(folder, 'mnt');
    mkdirSync(mount);
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=512k', `nlt${process.pid}`, mount], { stdio: 'ignore' });
    } catch {
      return;
    }
    let side: Side | undefined;
    try {
      side = await open(join(mount, 'graph.db'));
      void side.sink.report('n1', reportOf(1), T);
      await side.sink.flush();
      try {
        writeFileSync(join(mount, 'filler'), new Uint8Array(600_000));
      } catch {
        // It filled the disk: so it should.
      }
      const second = side.sink.report('n1', reportOf(2, 200), T + 1000);
      await side.sink.flush();
      expect(side.store.status()).toMatchObject({ failures: 1, error: { code: 'STORE_WRITE_FAILED' } });
      expect(side.sink.committedSeq('n1', MAP)).toBe(1);
      rmSync(join(mount, 'filler'));
      await side.sink.flush();
      await second;
      expect(side.store.status()).toMatchObject({ failures: 1, error: undefined });
      const before = seen(side.graph);
      await side.stop();
      side = await open(join(mount, 'graph.db'), { nowMs: T + 1000 });
      expect(side.sink.committedSeq('n1', MAP)).toBe(2);
      expect(seen(side.graph)).toEqual(before);
    } finally {
      await side?.stop();
      execFileSync('umount', [mount]);
    }
  });
});
