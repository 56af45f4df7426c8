import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { silentLogger } from '../../lib/log.ts';
import { TRAFFIC_HEADER } from '../../scheduler/cluster/traffic.ts';
import { DEFAULT_PLACEMENT_SETTINGS } from '../../scheduler/placement/index.ts';
import { startScheduler, type Scheduler } from '../../scheduler/process/scheduler.ts';

/** Of each an entry in the extender's tables, which take a thousand a turn of the event loop. */
const REPLICA_SETS = 100_000;

let dir: string;
let scheduler: Scheduler | undefined;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'netloom-first-view-'));
});
afterEach(async () => {
  await scheduler?.stop();
  scheduler = undefined;
  await rm(dir, { recursive: true, force: true });
});

it('a scheduler that is up, and ready, answers: also where entering a first view takes long', async () => {
  const pod = (name: string, node: string) => ({ namespace: 'shop', name, node, owner: { kind: 'StatefulSet', name } });
  const controllers: object[] = [{ kind: 'Deployment', namespace: 'shop', name: 'web', replicas: 0 }];
  for (let i = 0; i < REPLICA_SETS; i++) {
    const [kind, namespace] = ['ReplicaSet', 'shop'];
    controllers.push({ kind, namespace, name: `web-${i}`, replicas: 0, owner: { kind: 'Deployment', name: 'web' } });
  }
  const nodes = [{ name: 'alpha' }, { name: 'beta' }];
  const pods = [pod('web-db', 'alpha'), pod('cache', 'beta')];
  const snapshot = join(dir, 'snapshot.json');
  await writeFile(snapshot, JSON.stringify({ netloom: 'snapshot', version: 1, nodes, controllers, pods }));
  const traffic = join(dir, 'traffic.csv');
  await writeFile(traffic, `${TRAFFIC_HEADER}\nshop,StatefulSet,cache,shop,StatefulSet,web-db,1000000,1000000\n`);

  await fetch('data:,loads the client');
  const listen = { host: '127.0.0.1', port: 0 };
  const files = { snapshot, traffic };
  const limits = { clientGraceMs: 30_000, bodyLimitBytes: 1024 * 1024 };
  scheduler = await startScheduler(
    {
      ...{ listen, listenAgents: listen, listenApi: listen, insecureAgents: false, version: 'test' },
      ...files,
      ...limits,
      placement: DEFAULT_PLACEMENT_SETTINGS,
    },
    { logger: silentLogger, logLevel: 'silent', logFormat: 'text' },
  );
  // The first question comes at once: no other, and no loading of the client, before it.
  const url = `http://127.0.0.1:${scheduler.extenderPort}`;
  const metadata = {
    name: 'cache-1',
    namespace: 'shop',
    uid: 'u',
    ownerReferences: [{ kind: 'StatefulSet', name: 'cache', controller: true }],
  };
  const body = JSON.stringify({ Pod: { metadata }, Nodes: null, NodeNames: ['alpha', 'beta'] });
  const answer = await fetch(`${url}/prioritize`, { method: 'POST', body });
  expect(await answer.json()).toMatchObject([{ Host: 'alpha' }]);
  expect((await fetch(`${url}/readyz`)).status).toBe(200);
});
