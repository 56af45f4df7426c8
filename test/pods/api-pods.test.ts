import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { ApiPods } from '../../bandwidth/pods/api-pods.ts';
import type { BandwidthPod } from '../../bandwidth/pods/pod.ts';
import type { KubeReply } from '../../lib/kube/kube-client.ts';
import { silentLogger } from '../../lib/log.ts';

const pod = (name: string, egress?: string) => ({
  metadata: {
    ...{ namespace: 'shop', name, uid: `u-${name}`, resourceVersion: '7' },
    ...(egress === undefined ? {} : { annotations: { 'kubernetes.io/egress-bandwidth': egress } }),
  },
  status: { podIPs: [{ ip: '10.0.0.1' }] },
});
const list = (...items: object[]) => JSON.stringify({ metadata: { resourceVersion: '5' }, items });

let source: ApiPods | undefined;
afterEach(() => source?.stop());

/** An API server that lists once it is let, and then watches without end. */
function start() {
  const asked: string[] = [];
  const told: (readonly BandwidthPod[])[] = [];
  const faults: string[] = [];
  let watch = new Readable({ read: () => undefined });
  const fakeApi = {
    answer: undefined as { status: number; body: string } | undefined,
    event: (type: string, object: object) => void watch.push(Buffer.from(`${JSON.stringify({ type, object })}\n`)),
    endWatch: () => void watch.push(null),
    get(path: string): Promise<KubeReply> {
      asked.push(path);
      if (fakeApi.answer === undefined) return Promise.reject(new Error('connect ECONNREFUSED'));
      const isWatch = path.includes('watch=1') && fakeApi.answer.status === 200;
      if (isWatch) watch = new Readable({ read: () => undefined });
      const { status, body } = fakeApi.answer;
      return Promise.resolve({
        status,
        retryAfter: undefined,
        body: isWatch ? watch : Readable.from([Buffer.from(body)]),
      });
    },
  };
  source = new ApiPods({
    api: fakeApi,
    node: 'node 1',
    logger: silentLogger,
    limits: { leastBackoffMs: 1, mostBackoffMs: 5 },
  });
  source.start({ pods: (pods) => void told.push(pods), failed: (error) => void faults.push((error as Error).message) });
  return { fakeApi, asked, told, faults, source };
}

const names = (pods: readonly BandwidthPod[] | undefined) => pods?.map(({ name }) => name);

describe('pods from the API server', () => {
  test('are those of one node; nothing is told before the first list, and then all, also if there are none', async () => {
    const { fakeApi, asked, told, faults, source } = start();
    await expect.poll(() => faults.length).toBeGreaterThan(2);
    expect(told).toEqual([]);
    expect(faults[0]).toBe('/api/v1/pods: connect ECONNREFUSED');
    expect(source.status()).toMatchObject({ synced: false, pods: 0, fault: 'connect ECONNREFUSED', ageMs: undefined });
    fakeApi.answer = { status: 200, body: list() };
    await expect.poll(() => told).toEqual([[]]);
    await expect.poll(() => source.status().fault).toBeUndefined();
    expect(source.status()).toMatchObject({ synced: true, pods: 0 });
    expect(source.status().ageMs).toBeLessThan(60_000);
    expect(asked[0]).toBe(
      '/api/v1/pods?fieldSelector=spec.nodeName%3Dnode%201&resourceVersion=0&resourceVersionMatch=NotOlderThan',
    );
  });

  test('are told all at each change; what comes together is told together', async () => {
    const { fakeApi, told } = start();
    fakeApi.answer = { status: 200, body: list(pod('a'), pod('b', '10M')) };
    await expect.poll(() => told.length).toBe(1);
    expect(names(told[0])).toEqual(['a', 'b']);
    await expect.poll(() => source!.status().counts.watches).toBe(1);
    await sleep(60);
    for (let i = 0; i < 100; i++) {
      fakeApi.event('MODIFIED', pod('b', `${i}M`));
      if (i % 25 === 0) await sleep(1);
    }
    fakeApi.event('ADDED', pod('c'));
    fakeApi.event('DELETED', pod('a'));
    await expect.poll(() => names(told.at(-1))).toEqual(['b', 'c']);
    expect(told.at(-1)![0]!.egress).toBe('99M');
    // By the clock, for the machine may be slow: far fewer than there were changes.
    expect(told.length).toBeLessThan(20);
    const before = told.length;
    fakeApi.event('MODIFIED', { ...pod('b', '99M'), spec: { note: 'nothing of ours' } });
    fakeApi.event('MODIFIED', { metadata: { name: 7 } });
    await expect.poll(() => source!.status().counts.unusable).toBe(1);
    await sleep(120);
    expect(told).toHaveLength(before);
  });

  test('stay as they were last while the API server is away, and a list that says the same is not told', async () => {
    const { fakeApi, told, faults, source } = start();
    fakeApi.answer = { status: 200, body: list(pod('a')) };
    await expect.poll(() => source.status().counts.watches).toBe(1);
    await expect.poll(() => told.length).toBe(1);
    fakeApi.answer = { status: 403, body: JSON.stringify({ reason: 'Forbidden', message: 'no' }) };
    fakeApi.endWatch();
    await expect
      .poll(() => source.status().fault)
      .toMatch(/403 Forbidden: no; this account needs get, list and watch of pods/);
    expect(faults.length).toBeGreaterThan(0);
    expect(source.status()).toMatchObject({ synced: true, pods: 1 });
    fakeApi.answer = { status: 200, body: list(pod('a')) };
    await expect.poll(() => source.status().fault).toBeUndefined();
    fakeApi.event('ERROR', { code: 410, reason: 'Expired' });
    await expect.poll(() => source.status().counts.lists).toBe(2);
    await sleep(120);
    expect(told).toHaveLength(1);
  });

  test('are not told any more once it was stopped', async () => {
    const { fakeApi, told, source } = start();
    fakeApi.answer = { status: 200, body: list(pod('a')) };
    await expect.poll(() => told.length).toBe(1);
    await expect.poll(() => source.status().counts.watches).toBe(1);
    fakeApi.event('ADDED', pod('b'));
    await sleep(1);
    await source.stop();
    await sleep(120);
    expect(told.length).toBeLessThanOrEqual(2);
    expect(names(told[0])).toEqual(['a']);
  });
});
