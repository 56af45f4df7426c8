import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NetloomError } from '../../lib/errors.ts';
import { readSnapshot } from '../../scheduler/cluster/snapshot-file.ts';
import { clusterFile } from '../support/cluster-file.ts';

const GOOD = clusterFile({
  namespace: 'shop',
  nodes: [{ name: 'alpha', zone: 'east' }],
  workloads: [{ name: 'web', pods: [{ suffix: 'aaaaa', node: 'alpha', address: '10.1.0.1' }] }],
});
const PRETTY = JSON.stringify(JSON.parse(GOOD), null, 4);
const list = (...items: string[]): string => `{"kind":"List","items":[${items.join(',')}]}`;
const node = (extra = ''): string => `{"kind":"Node","metadata":{"name":"alpha"${extra}}}`;

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'netloom-bad-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

async function write(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(dir, name);
  await writeFile(path, content);
  return path;
}

async function refusal(path: string): Promise<NetloomError> {
  const error: unknown = await readSnapshot(path).catch((refused: unknown) => refused);
  expect(error).toBeInstanceOf(NetloomError);
  return error as NetloomError;
}

const KUBECTL = /kubectl get nodes,pods/;

describe('a snapshot file that cannot be used is refused with its place, what was found, and a remedy:', () => {
  it.each<[what: string, content: string | Uint8Array, code: string, place: RegExp, found: RegExp, remedy: RegExp]>([
    ['nothing', '', 'SNAPSHOT_EMPTY', /x$/, /an empty file/, KUBECTL],
    ['an empty List', list(), 'SNAPSHOT_EMPTY', /x$/, /an empty list/, KUBECTL],
    ['white space', ' \n\n', 'SNAPSHOT_EMPTY', /x$/, /an empty list/, KUBECTL],
    ['YAML', 'apiVersion: v1\nitems:\n- kind: Pod\n', 'SNAPSHOT_WRONG_FORM', /x:1:1 /, /YAML.*apiVersion/, /-o json/],
    ['YAML below a licence', '# Copyright\n'.repeat(99), 'SNAPSHOT_WRONG_FORM', /x:1:1 /, /YAML.*# Copy/, /-o json/],
    ['a table', 'NAMESPACE   NAME\nshop   web\n', 'SNAPSHOT_WRONG_FORM', /x:1:1 /, /a table/, /-o json/],
    ['an error of kubectl', 'error: no context\n', 'SNAPSHOT_WRONG_FORM', /x:1:1 /, /message of kubectl/, /Run/],
    ['UTF-16 of PowerShell', `\ufeff${GOOD}`, 'SNAPSHOT_WRONG_FORM', /x:1:1 /, /UTF-16/, /Out-File -Encoding utf8/],
    ['UTF-16 without a mark', GOOD, 'SNAPSHOT_WRONG_FORM', /x:1:2 /, /UTF-16/, /Out-File -Encoding utf8/],
    ['a zip', Buffer.from('PK\x03\x04\0\0'), 'SNAPSHOT_WRONG_FORM', /x:1:1 /, /zip data/, /Decompress/],
    ['a truncated file', PRETTY.slice(0, -3), 'SNAPSHOT_TRUNCATED', /x:\d\d+:\d+ \(byte \d+\)/, /the end/, /anew/],
    ['one truncated in an object', PRETTY.slice(0, 400), 'SNAPSHOT_TRUNCATED', /byte 400/, /items\[0\]/, /anew/],
    ['truncated gzip', gzipSync(PRETTY).subarray(0, -30), 'SNAPSHOT_TRUNCATED', /x$/, /unexpected end/, /Compress/],
    ['damaged gzip', damaged(gzipSync(PRETTY)), 'SNAPSHOT_UNREADABLE', /x$/, /incorrect|invalid/, /Compress/],
    ['a missing comma', '{"items":[\n{}\n{}]}', 'SNAPSHOT_SYNTAX', /x:3:1 \(byte 14\)/, /\{\}/, /correct/],
    ['a word within an object', list(node(',\n"x":nope')), 'SNAPSHOT_SYNTAX', /x:2:5 /, /nope/, /correct/],
    ['a zero byte', list(node(',"x":"\0"')), 'SNAPSHOT_SYNTAX', /x:1:72 \(byte 71\)/, /u0000/, /correct/],
    ['zero bytes behind the end', `${GOOD}\0\0`, 'SNAPSHOT_SYNTAX', /x:1:\d+ /, /u0000/, /correct/],
    ['text behind the end', `${GOOD}\noops`, 'SNAPSHOT_SYNTAX', /x:2:1 /, /oops/, /correct/],
    ['lists in lists', '{"items":['.repeat(99), 'SNAPSHOT_SYNTAX', /x:1:\d+ /, /deeper/, /correct/],
    ['only kinds that are not used', list('{"kind":"Secret"}'), 'SNAPSHOT_EMPTY', /x$/, /1 Secret/, KUBECTL],
    ["a refusal of the API server's", '{"kind":"Status"}', 'SNAPSHOT_EMPTY', /x$/, /1 Status/, KUBECTL],
    ['objects without metadata', list('{"kind":"Pod"}'), 'SNAPSHOT_EMPTY', /x$/, /Pod without metadata.name/, KUBECTL],
    ['no objects', list('7', '"x"', 'null'), 'SNAPSHOT_EMPTY', /x$/, /3 objects: not an object/, KUBECTL],
    ['a newer form', '{"netloom":"snapshot","version":2}', 'SNAPSHOT_VERSION', /x$/, /"version": 2/, /Export it again/],
  ])('%s', async (what, content, code, place, found, remedy) => {
    const bytes = what.startsWith('UTF-16') ? Buffer.from(content as string, 'utf16le') : content;
    const path = await write('x', bytes);
    const error = await refusal(path);
    expect(error.code).toBe(code);
    expect(error.details.place).toMatch(place);
    expect(error.details.place).toContain(path);
    expect(error.details.found).toMatch(found);
    expect(error.remedy).toMatch(remedy);
  });

  it('a value of 100 MB, in bounded memory', async () => {
    const path = join(dir, 'huge');
    const file = await open(path, 'w');
    await file.write('{"kind":"List","items":[\n{"kind":"Node"},\n{"kind":"ConfigMap","data":{"x":"');
    for (let mb = 0; mb < 100; mb++) await file.write('x'.repeat(1_000_000));
    await file.write('"}}]}');
    await file.close();
    const before = process.memoryUsage().rss;
    const error = await refusal(path);
    expect(error).toMatchObject({ code: 'SNAPSHOT_TOO_LARGE' });
    expect(error.details.place).toContain(`${path}:3:1 `);
    expect(error.details.found).toContain('items[1]');
    expect(process.memoryUsage().rss - before).toBeLessThan(90_000_000);
    await rm(path);
  });

  it('a directory, a device, a pipe that nobody writes to, a path that is not there', async () => {
    const folder = join(dir, 'folder');
    await mkdir(folder);
    const pipe = join(dir, 'pipe');
    execFileSync('mkfifo', [pipe]);
    for (const [path, found] of [
      [folder, 'a directory'],
      [pipe, 'a named pipe'],
      ['/dev/null', 'a device'],
      [join(dir, 'none'), 'no such file or folder'],
    ] as const) {
      expect(await refusal(path)).toMatchObject({ code: 'SNAPSHOT_UNREADABLE', details: { place: path, found } });
    }
  });

  it('a file that somebody writes to while it is read, though every byte of it is good', async () => {
    // Whole pages, of which no reader sees a half.
    const page = `${GOOD.padEnd(4095)}\n`;
    expect(page).toHaveLength(4096);
    const path = await write('growing', page.repeat(2_000));
    const file = await open(path, 'a');
    const reading = refusal(path);
    let over = false;
    void reading.then(() => (over = true));
    while (!over) await file.write(page);
    await file.close();
    const error = await reading;
    expect(error.message).toContain('written to while it was read');
    expect(error.remedy).toContain('rename');
  });
});

function damaged(bytes: Buffer): Buffer {
  bytes.fill(0xff, 40, 60);
  return bytes;
}

describe('a snapshot file is used where it can be:', () => {
  const nodesOf = async (content: string | Uint8Array) => {
    const { records, summary } = await readSnapshot(await write('good', content));
    return { summary, records: [...records.values()] };
  };

  it.each([
    ['a UTF-8 byte order mark', Buffer.from(`\ufeff${GOOD}`)],
    ['CRLF', PRETTY.replaceAll('\n', '\r\n')],
    ['gzip', gzipSync(GOOD)],
    ['gzip of several members', Buffer.concat([gzipSync(GOOD.slice(0, 50)), gzipSync(GOOD.slice(50))])],
    ['NDJSON', (JSON.parse(GOOD) as { items: unknown[] }).items.map((item) => `${JSON.stringify(item)}\n`).join('')],
    ['an array', JSON.stringify((JSON.parse(GOOD) as { items: unknown[] }).items)],
  ])('%s', async (_, content) => {
    const { records } = await nodesOf(content);
    expect(records).toEqual((await nodesOf(GOOD)).records);
  });

  it('a single object', async () => {
    expect((await nodesOf(node())).records).toMatchObject([{ type: 'node', name: 'alpha' }]);
  });

  it('keys that stand twice: the last one counts, as everywhere in Kubernetes', async () => {
    const { records } = await nodesOf(
      list('{"kind":"Pod","kind":"Node","metadata":{"name":"a"},"metadata":{"name":"b"}}'),
    );
    expect(records).toMatchObject([{ type: 'node', name: 'b' }]);
  });

  it('numbers beyond all doubles, a million brackets, objects without metadata: by all else that is there', async () => {
    const odd = '{"kind":"Deployment","metadata":{"name":"d","namespace":"n"},"spec":{"replicas":1e400}}';
    const status = `"status":{"allocatable":{"cpu":1e400,"memory":"99999E","pods":-5},"x":${'['.repeat(1e6)}${']'.repeat(1e6)}}`;
    const { records, summary } = await nodesOf(
      list(
        odd,
        `{"kind":"Node","metadata":{"name":"alpha"},${status}}`,
        '{"kind":"Pod"}',
        '{"kind":"Node","metadata":7}',
      ),
    );
    expect(records).toMatchObject([
      { name: 'd', replicas: 1 },
      { name: 'alpha', allocatable: { milliCpu: 0, memoryBytes: Number.MAX_SAFE_INTEGER, pods: 0 } },
    ]);
    expect(summary.unusable.map(({ what, count }) => `${count} ${what}`)).toEqual([
      '1 Node without metadata.name',
      '1 Pod without metadata.name',
    ]);
  });
});
