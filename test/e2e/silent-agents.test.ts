import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createReportStream } from '../../collector/report/report-stream.ts';
import { silentLogger } from '../../lib/log.ts';
import type { ExplainReply } from '../../scheduler/api/replies.ts';
import { clusterFile, pendingPod } from '../support/cluster-file.ts';
import { Processes } from '../support/netloom.ts';
import { helloOf } from '../support/report-rig.ts';
import { serverPeriod } from '../support/server-period.ts';

const WEB = '10.7.0.10';
const API = '10.7.1.10';

let dir: string;
let processes: Processes;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'netloom-e2e-'));
  processes = new Processes();
});

afterEach(async () => {
  await processes.cleanup();
  await rm(dir, { recursive: true, force: true });
});

it('when all agents fall silent, opinions end, and explain says the same', async () => {
  const snapshot = join(dir, 'cluster.json');
  await writeFile(
    snapshot,
    clusterFile({
      namespace: 'shop',
      nodes: ['alpha', 'beta'].map((name, i) => ({ name, zone: `zone-${i}` })),
      workloads: [
        { name: 'web', pods: [{ suffix: 'aaaaa', node: 'alpha', address: WEB }] },
        { name: 'api', pods: [{ suffix: 'aaaaa', node: 'beta', address: API }] },
      ],
    }),
  );
  const scheduler = await processes.scheduler(['--snapshot', snapshot, '--floor', '0', '--replica-cap', '1']);
  const ask = () => scheduler.prioritize(pendingPod('shop', 'web'), ['alpha', 'beta']);
  const agent = createReportStream({
    target: scheduler.agents,
    hello: { ...helloOf('beta'), intervalMs: 100 },
    logger: silentLogger,
  });
  try {
    const timer = setInterval(
      () => agent.offer(serverPeriod([{ server: API, client: WEB, bytesOut: 100_000, bytesIn: 1_000 }], 100)),
      100,
    );
    try {
      await expect.poll(ask).toEqual([{ Host: 'beta', Score: expect.any(Number) }]);
    } finally {
      clearInterval(timer);
    }
    // Nothing comes any more: no report, no change of the cluster.
    await expect.poll(ask, { interval: 250 }).toEqual([]);
    const explained = await scheduler.get<ExplainReply>('/v1/explain', { workload: 'shop/deployment/web' });
    expect(explained.explanation.silence).toBeDefined();
  } finally {
    await agent.close();
  }
}, 90_000);
