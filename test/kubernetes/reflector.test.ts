import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ReflectorLimits } from '../../lib/kube/reflector.ts';
import { silentLogger } from '../../lib/log.ts';
import { connectKube } from '../../scheduler/kubernetes/credentials.ts';
import { KubeSource } from '../../scheduler/kubernetes/kube-source.ts';
import { staleSentence } from '../../scheduler/kubernetes/staleness.ts';

const NODES = { path: '/api/v1/nodes', kind: 'Node' };
const LIST = { metadata: { resourceVersion: '100' }, items: [{ metadata: { name: 'a', uid: 'a' } }] };

type Answer = (response: ServerResponse, request: IncomingMessage) => void;

/** An API server that answers what a real one cannot be brought to answer: lists as said, watches by `watch`. */
let fakeApiserver: Server;
let watch: Answer;
let list: Answer;
const asked: { readonly kind: 'list' | 'watch'; readonly atMs: number; readonly version: string | null }[] = [];
let folder: string;
let source: KubeSource | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'netloom-reflector-'));
  asked.length = 0;
  list = (response) => void response.end(JSON.stringify(LIST));
  fakeApiserver = createServer((request, response) => {
    const { searchParams } = new URL(request.url!, 'http://fake');
    const kind = searchParams.has('watch') ? 'watch' : 'list';
    asked.push({ kind, atMs: performance.now(), version: searchParams.get('resourceVersion') });
    (kind === 'watch' ? watch : list)(response, request);
  }).listen(0, '127.0.0.1');
  await once(fakeApiserver, 'listening');
});

afterEach(async () => {
  await source?.stop();
  fakeApiserver.closeAllConnections();
  fakeApiserver.close();
  await rm(folder, { recursive: true, force: true });
});

async function start(limits: Partial<ReflectorLimits> = {}): Promise<KubeSource> {
  const { port } = fakeApiserver.address() as AddressInfo;
  const kubeconfig = join(folder, 'config');
  const cluster = { server: `http://127.0.0.1:${port}`, 'insecure-skip-tls-verify': true };
  await writeFile(
    kubeconfig,
    JSON.stringify({
      clusters: [{ name: 'fake', cluster }],
      users: [{ name: 'fake', user: {} }],
      contexts: [{ name: 'fake', context: { cluster: 'fake', user: 'fake' } }],
      'current-context': 'fake',
    }),
  );
  source = new KubeSource({
    api: await connectKube({ kubeconfig }),
    logger: silentLogger,
    resources: [NODES],
    limits: { leastBackoffMs: 20, mostBackoffMs: 200, ...limits },
  });
  await source.start({ apply: () => undefined, synced: () => undefined, failed: () => undefined });
  return source;
}

const event = (type: string, object: object): string => `${JSON.stringify({ type, object })}\n`;
const expired = { kind: 'Status', code: 410, reason: 'Expired', message: 'too old resource version' };
const watches = () => asked.filter(({ kind }) => kind === 'watch');
const lists = () => asked.filter(({ kind }) => kind === 'list');

/** Answers the first watches as given, and keeps every later one open. */
function inOrder(...answers: Answer[]): Answer {
  let next = 0;
  return (response, request) => {
    const answer = answers[next++];
    if (answer === undefined) response.writeHead(200).flushHeaders();
    else answer(response, request);
  };
}

describe('a watch', () => {
  test('that is told 429 or 503 with Retry-After waits as long, and goes on from the same version', async () => {
    watch = inOrder((response) => response.writeHead(429, { 'retry-after': '1' }).end('{}'));
    await start();
    await expect.poll(() => watches().length, { timeout: 5_000 }).toBe(2);
    const [first, second] = watches();
    expect(second!.atMs - first!.atMs).toBeGreaterThanOrEqual(1_000);
    expect(second!.version).toBe('100');
    expect(lists()).toHaveLength(1);
  });

  test('that is told in an ERROR event when to come again does so', async () => {
    const busy = { kind: 'Status', code: 503, reason: 'Busy', message: 'later', details: { retryAfterSeconds: 1 } };
    watch = inOrder((response) => response.writeHead(200).end(event('ERROR', busy)));
    await start();
    await expect.poll(() => watches().length, { timeout: 5_000 }).toBe(2);
    expect(watches()[1]!.atMs - watches()[0]!.atMs).toBeGreaterThanOrEqual(1_000);
    expect(lists()).toHaveLength(1);
  });

  test.each([
    ['410 as status', (response: ServerResponse) => response.writeHead(410).end(JSON.stringify(expired))],
    ['410 as ERROR event', (response: ServerResponse) => response.writeHead(200).end(event('ERROR', expired))],
    ['400: the version cannot be read', (response: ServerResponse) => response.writeHead(400).end('{}')],
  ])('that is answered %s lists once more', async (_, answer) => {
    watch = inOrder(answer);
    await start();
    await expect.poll(() => watches().length, { timeout: 5_000 }).toBe(2);
    expect(lists()).toHaveLength(2);
  });

  test('that was refused for its version leaves the state as old as it was', async () => {
    // The list comes only after the test has looked.
    watch = inOrder(
      (response) => {
        response.writeHead(200).write(event('BOOKMARK', { metadata: { resourceVersion: '120' } }));
        setTimeout(() => response.destroy(), 100);
      },
      (response) => {
        list = () => undefined;
        setTimeout(() => response.writeHead(200).end(event('ERROR', expired)), 500);
      },
    );
    const { status } = bound(await start());
    await expect.poll(() => status().counts.expired, { timeout: 5_000 }).toBe(1);
    await expect.poll(() => lists().length, { timeout: 5_000 }).toBe(2);
    expect(status().ageMs).toBeGreaterThan(400);
  });

  test('resumes from the version of the last bookmark', async () => {
    watch = inOrder((response) => {
      response.writeHead(200).end(event('BOOKMARK', { metadata: { resourceVersion: '150' } }));
    });
    await start();
    await expect.poll(() => watches().length, { timeout: 5_000 }).toBe(2);
    expect(watches().map(({ version }) => version)).toEqual(['100', '150']);
  });

  test('that stood for long and is cut is opened again without the waits of earlier failures', async () => {
    let opened = 0;
    watch = (response) => {
      opened++;
      response.writeHead(200).flushHeaders();
      setTimeout(() => response.destroy(), 120);
    };
    // Were failures of watches that stood counted up, the twelfth would wait for minutes.
    await start({ steadyMs: 50, leastBackoffMs: 1, mostBackoffMs: 600_000, idleMs: 60_000 });
    await expect.poll(() => opened, { timeout: 15_000 }).toBeGreaterThan(30);
  });

  test('that brings nothing at all twice, not even a bookmark, gives way to a list: the version may lie ahead', async () => {
    watch = (response) => response.writeHead(200).flushHeaders();
    const { status } = bound(await start({ idleMs: 1_000 }));
    await expect.poll(() => lists().length, { timeout: 10_000 }).toBeGreaterThan(1);
    expect(asked.slice(0, 4).map(({ kind }) => kind)).toEqual(['list', 'watch', 'watch', 'list']);
    expect(status().counts.failures).toBe(2);
  });
});

describe('a list', () => {
  test('that comes slowly but comes is waited for', async () => {
    watch = inOrder();
    list = (response) => {
      const body = JSON.stringify(LIST);
      response.writeHead(200);
      let at = 0;
      const timer = setInterval(() => {
        response.write(body.slice(at, (at += 8)));
        if (at < body.length) return;
        clearInterval(timer);
        response.end();
      }, 250);
    };
    const { status } = bound(await start({ idleMs: 2_000 }));
    await expect.poll(() => status().synced, { timeout: 15_000 }).toBe(true);
    expect(status().counts.failures).toBe(0);
  });
});

describe('an answer that is no list', () => {
  test.each([
    ['a page of HTML', '<html>busy</html>', /^the answer is no list: expected a JSON object or array, found "<html>/],
    ['an object without items', '{"kind":"Status"}', /^the answer is no list: it has no items$/],
    ['a list that ends early', '{"metadata":{"resourceVersion":"1"},"items":[{"metadata":', /^the answer is no list: /],
    ['a list without a version', '{"items":[]}', /has no metadata.resourceVersion/],
  ])('%s is a failure that says so', async (_, body, reason) => {
    watch = inOrder();
    list = (response) => void response.end(body);
    const { status } = bound(await start());
    await expect.poll(() => status().faults[0]?.reason, { timeout: 5_000 }).toMatch(reason);
    expect(status().synced).toBe(false);
  });

  test('items: null is an empty list', async () => {
    watch = inOrder();
    list = (response) => void response.end('{"kind":"NodeList","metadata":{"resourceVersion":"7"},"items":null}');
    await start();
    await expect.poll(() => watches()[0]?.version, { timeout: 5_000 }).toBe('7');
  });
});

describe('what people are told of the state', () => {
  const fault = (name: string) => ({ path: `/api/v1/${name}`, reason: 'nothing came for 130 s' });

  test.each([
    [{ ageMs: 62_000, faults: [] }, undefined],
    [{ ageMs: undefined, faults: [] }, undefined],
    [{ ageMs: 140_000, faults: [] }, 'the cluster state is 2m 20s old and still used: the API server is silent since'],
    [
      { ageMs: 7_000, faults: [fault('pods')] },
      'the cluster state is some seconds old and still used: pods cannot be watched: nothing came for 130 s',
    ],
    [
      { ageMs: 3_725_000, faults: [fault('pods'), fault('nodes')] },
      'the cluster state is 1h 2m old and still used: pods (and 1 more) cannot be watched: nothing came for 130 s',
    ],
  ])('%j', (status, sentence) => {
    expect(staleSentence(status)).toBe(sentence);
  });
});

function bound(of: KubeSource): { readonly status: KubeSource['status'] } {
  return { status: () => of.status() };
}
