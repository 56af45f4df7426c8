import { Readable } from 'node:stream';
import { expect, test } from 'vitest';
import { EventWriter, type PodNote } from '../../lib/kube/event-writer.ts';
import type { KubeApi } from '../../lib/kube/kube-client.ts';
import { silentLogger } from '../../lib/log.ts';

const NOTE: PodNote = {
  ...{ namespace: 'shop', name: 'web-1', uid: 'u-1', type: 'Warning' },
  ...{ reason: 'BandwidthInvalid', message: 'x'.repeat(2_000) },
};
const START_MS = Date.UTC(2026, 0, 2, 3, 4, 5);

function writer(status = 201) {
  const posted: { readonly path: string; readonly body: unknown }[] = [];
  const clock = { nowMs: START_MS };
  const fakeApi: Pick<KubeApi, 'post'> = {
    post(path, body) {
      posted.push({ path, body });
      return Promise.resolve({ status, retryAfter: undefined, body: Readable.from([]) });
    },
  };
  const source = { component: 'netloom', controller: 'netloom.io/agent', host: 'node-1' };
  const events = new EventWriter({ api: fakeApi, source, logger: silentLogger, now: () => clock.nowMs });
  return { events, posted, clock };
}

test('an event says about whom, what, and who says it', async () => {
  const { events, posted } = writer();
  expect(await events.write(NOTE)).toBe(true);
  expect(posted).toEqual([
    {
      path: '/api/v1/namespaces/shop/events',
      body: {
        ...{ apiVersion: 'v1', kind: 'Event' },
        metadata: { namespace: 'shop', name: expect.stringMatching(/^web-1\.[0-9a-f]+$/) },
        involvedObject: { apiVersion: 'v1', kind: 'Pod', namespace: 'shop', name: 'web-1', uid: 'u-1' },
        ...{ type: 'Warning', reason: 'BandwidthInvalid', message: 'x'.repeat(1_024), count: 1 },
        ...{ firstTimestamp: '2026-01-02T03:04:05Z', lastTimestamp: '2026-01-02T03:04:05Z' },
        source: { component: 'netloom', host: 'node-1' },
        reportingComponent: 'netloom.io/agent',
        reportingInstance: expect.any(String),
      },
    },
  ]);
  expect(events.stats).toEqual({ written: 1, skipped: 0, failed: 0 });
});

test('too many at once are refused and counted, and a few more are let through later', () => {
  const { events, clock } = writer();
  const admitted = () => Array.from({ length: 40 }, () => events.admit()).filter(Boolean).length;
  expect(admitted()).toBe(25);
  clock.nowMs += 1_000;
  expect(admitted()).toBe(5);
  expect(events.stats.skipped).toBe(15 + 35);
});

test('one that the API server refuses is counted, and thrown nowhere', async () => {
  const { events } = writer(403);
  expect(await events.write(NOTE)).toBe(false);
  expect(events.stats).toMatchObject({ written: 0, failed: 1 });
});
