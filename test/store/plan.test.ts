import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { silentLogger } from '../../lib/log.ts';
import type { NamedPlan } from '../../scheduler/plan/named-plan.ts';
import { APPLICATION_ID, CREATE } from '../../scheduler/store/schema.ts';
import { createStore } from '../../scheduler/store/store.ts';
import { scratchFolder } from './scratch.ts';

const plan = (version: number, replicas: number): NamedPlan => ({
  version,
  hash: 'feed',
  madeAtMs: 1_700_000_000_000,
  computeSeconds: 1.5,
  iterations: 20_000_000,
  localShare: { node: 0.81, zone: 0.95 },
  workloads: ['shop/Deployment/cart', 'shop/StatefulSet/db'],
  nodes: ['node-a', 'node-b'],
  workload: Int32Array.of(0, 0, 1),
  node: Int32Array.of(0, 1, 1),
  count: Int32Array.of(replicas, 1, 2),
});

test('the plan of an earlier run is there again, the last one that was saved', async () => {
  const path = join(scratchFolder(), 'graph.db');
  const first = await createStore({ path, logger: silentLogger });
  expect(first.loadedPlan).toBeUndefined();
  await first.savePlan(plan(1, 5));
  await first.savePlan(plan(2, 3));
  await first.close();
  const second = await createStore({ path, logger: silentLogger });
  expect(second.loadedPlan).toEqual(plan(2, 3));
  await second.close();
});

test('a file of the version without plans is used on', async () => {
  const path = join(scratchFolder(), 'graph.db');
  const db = new DatabaseSync(path);
  db.exec(`${CREATE} PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = 1`);
  db.close();
  const store = await createStore({ path, logger: silentLogger });
  expect(store.status().movedAside).toBe(0);
  await store.savePlan(plan(1, 5));
  await store.close();
  const again = await createStore({ path, logger: silentLogger });
  expect(again.loadedPlan?.version).toBe(1);
  await again.close();
});
