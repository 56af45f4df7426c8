import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { asObject, asText } from '../../lib/json/json-access.ts';
import type { Change, Collection } from '../../lib/kube/collection.ts';
import type { KubeReply } from '../../lib/kube/kube-client.ts';
import { Reflector } from '../../lib/kube/reflector.ts';
import { silentLogger } from '../../lib/log.ts';

/** What a caller of its own keeps of an object. */
interface Thing {
  readonly uid: string;
  readonly name: string;
  readonly colour: string | undefined;
}

const THINGS: Collection<Thing> = {
  path: '/api/v1/things',
  selector: 'fieldSelector=spec.nodeName%3Da',
  project(object) {
    const metadata = asObject(asObject(object)?.['metadata']);
    const [uid, name] = [asText(metadata?.['uid']), asText(metadata?.['name'])];
    if (uid === undefined || name === undefined) return undefined;
    return { uid, name, colour: asText(asObject(object)?.['colour']) };
  },
  keyOf: ({ name }) => name,
};

const thing = (name: string, uid: string, colour?: string) => ({
  metadata: { name, uid, resourceVersion: '9' },
  colour,
});
const list = (version: string, ...items: object[]) => ({ metadata: { resourceVersion: version }, items });
const event = (type: string, object: object) => `${JSON.stringify({ type, object })}\n`;
const bookmark = (version: string) => event('BOOKMARK', { metadata: { resourceVersion: version } });
const expired = event('ERROR', { kind: 'Status', code: 410, reason: 'Expired' });

type Answer = { readonly status?: number; readonly body: object | string | Readable };

let reflector: Reflector<Thing> | undefined;
afterEach(() => reflector?.stop());

/** Answers requests in their order, and keeps every watch after the last open. */
function reflect(collection: Collection<Thing>, ...answers: Answer[]) {
  const asked: string[] = [];
  const told: (string | readonly Change<Thing>[])[] = [];
  const fakeApi = {
    get(path: string): Promise<KubeReply> {
      asked.push(path);
      const { status = 200, body } = answers[asked.length - 1] ?? { body: new Readable({ read: () => undefined }) };
      const bytes =
        body instanceof Readable
          ? body
          : Readable.from([Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))]);
      return Promise.resolve({ status, retryAfter: undefined, body: bytes });
    },
  };
  reflector = new Reflector(collection, {
    api: fakeApi,
    logger: silentLogger,
    now: () => performance.now(),
    limits: { leastBackoffMs: 1, mostBackoffMs: 2 },
    sink: {
      listed: (before, after) => {
        told.push(`${[...before.keys()].join()}>${[...after.keys()].join()}`);
        return Promise.resolve();
      },
      apply: (changes) => void told.push(changes),
      current: () => undefined,
      failed: () => undefined,
    },
  });
  reflector.start();
  return { asked, told, counts: reflector.counts };
}

async function until(count: number, of: readonly unknown[]): Promise<void> {
  await expect.poll(() => of.length, { timeout: 10_000 }).toBe(count);
  await sleep(20);
  expect(of).toHaveLength(count);
}

describe('a reflector', () => {
  test('keeps records of any form, and asks for its part of a collection only', async () => {
    const { asked, told, counts } = reflect(
      THINGS,
      { body: list('5', thing('a', '1', 'red'), thing('b', '2'), { metadata: {} }) },
      {
        body:
          event('ADDED', thing('c', '3')) +
          event('MODIFIED', thing('a', '1', 'blue')) +
          event('MODIFIED', { ...thing('b', '2'), ignored: 'by the projection' }) +
          event('DELETED', thing('b', '2')) +
          event('MODIFIED', { metadata: { name: 7 } }) +
          bookmark('17'),
      },
    );
    await until(3, asked);
    const at = '/api/v1/things?fieldSelector=spec.nodeName%3Da';
    const watch = (version: string) =>
      expect.stringMatching(
        new RegExp(
          `^${at.replace('?', '\\?')}&watch=1&allowWatchBookmarks=true&timeoutSeconds=\\d+&resourceVersion=${version}$`,
        ),
      );
    expect(asked).toEqual([`${at}&limit=500`, watch('5'), watch('17')]);
    expect(told).toEqual([
      '>a,b',
      [
        { op: 'upsert', record: { uid: '3', name: 'c', colour: undefined } },
        { op: 'upsert', record: { uid: '1', name: 'a', colour: 'blue' } },
        { op: 'delete', record: { uid: '2', name: 'b', colour: undefined } },
      ],
    ]);
    expect(counts).toMatchObject({ lists: 1, watches: 2, events: 5, bookmarks: 1, unusable: 2 });
  });

  test('tells of an object that another of its name replaced, and not of the late end of the first', async () => {
    const { told } = reflect(
      THINGS,
      { body: list('5', thing('a', '1')) },
      { body: event('ADDED', thing('a', '2')) + event('DELETED', thing('a', '1')) },
    );
    await until(2, told);
    expect(told[1]).toEqual([
      { op: 'delete', record: { uid: '1', name: 'a', colour: undefined } },
      { op: 'upsert', record: { uid: '2', name: 'a', colour: undefined } },
    ]);
  });
});

describe('a collection of which the cache is good enough', () => {
  const CACHED = { ...THINGS, fromCache: true };
  const query = (path: string) => path.replace(/^.*?fieldSelector=[^&]*&/, '').replace(/^watch.*/, 'watch');

  test('is listed from it, and after an expiry at least as new as it was known', async () => {
    const { asked, told } = reflect(
      CACHED,
      { body: list('5', thing('a', '1')) },
      { body: bookmark('8') + expired },
      { body: list('9', thing('b', '2')) },
    );
    await until(4, asked);
    expect(asked.map(query)).toEqual([
      'resourceVersion=0&resourceVersionMatch=NotOlderThan',
      'watch',
      'resourceVersion=8&resourceVersionMatch=NotOlderThan',
      'watch',
    ]);
    expect(told).toEqual(['>a', 'a>b']);
  });

  test.each([
    ['has not come so far (504)', { status: 504, body: { kind: 'Status', code: 504, reason: 'Timeout' } }],
    ['does not go back so far (410)', { status: 410, body: { kind: 'Status', code: 410, reason: 'Expired' } }],
    ['cannot read the version (400)', { status: 400, body: { kind: 'Status', code: 400, reason: 'BadRequest' } }],
  ])('is listed from the store once the cache %s', async (_, refusal) => {
    const { asked } = reflect(CACHED, { body: list('5') }, { body: expired }, refusal, { body: list('3') });
    await until(5, asked);
    expect(asked.map(query)).toEqual([
      'resourceVersion=0&resourceVersionMatch=NotOlderThan',
      'watch',
      'resourceVersion=5&resourceVersionMatch=NotOlderThan',
      'limit=500',
      'watch',
    ]);
  });

  test('is asked of the cache again while the API server is merely away', async () => {
    const { asked } = reflect(CACHED, { status: 503, body: {} }, { body: list('5') });
    await until(3, asked);
    expect(asked.map(query)).toEqual([
      'resourceVersion=0&resourceVersionMatch=NotOlderThan',
      'resourceVersion=0&resourceVersionMatch=NotOlderThan',
      'watch',
    ]);
  });
});
