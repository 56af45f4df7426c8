import { mkdir, mkdtemp, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import type { BandwidthPod } from '../../bandwidth/pods/pod.ts';
import { readPodFile } from '../../bandwidth/pods/pod-file.ts';
import { SnapshotPods } from '../../bandwidth/pods/snapshot-pods.ts';
import { createLogger } from '../../lib/log.ts';

const NODE = 'node-1';

function pod(name: string, nodeName = NODE, egress?: string): object {
  return {
    ...{ apiVersion: 'v1', kind: 'Pod' },
    metadata: {
      ...{ namespace: 'shop', name, uid: `u-${name}` },
      ...(egress === undefined ? {} : { annotations: { 'kubernetes.io/egress-bandwidth': egress } }),
    },
    spec: { nodeName },
    status: { phase: 'Running', podIPs: [{ ip: '10.0.0.1' }] },
  };
}
const list = (...items: object[]) => ({ apiVersion: 'v1', kind: 'List', items, metadata: { resourceVersion: '' } });
/** As the API server writes them: items do not say their kind. */
const podList = (...pods: object[]) => ({
  ...{ kind: 'PodList', apiVersion: 'v1', metadata: {} },
  items: pods.map((one) => ({ ...one, kind: undefined, apiVersion: undefined })),
});
const json = (...documents: object[]) => documents.map((one) => JSON.stringify(one, null, 4)).join('\n');
const names = (pods: readonly BandwidthPod[] | undefined) => pods?.map(({ name }) => name);

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), `nlt${process.pid}-pods-`));
  path = join(folder, 'pods.json');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Never half of it. */
async function replace(text: string): Promise<void> {
  await writeFile(`${path}.new`, text);
  await rename(`${path}.new`, path);
}

describe('a file of pods', () => {
  const other = { apiVersion: 'v1', kind: 'Node', metadata: { name: NODE } };
  const service = { apiVersion: 'serving.knative.dev/v1', kind: 'Pod', metadata: { name: 'x', namespace: 'y' } };
  const [a, b, foreign, unbound] = [pod('a', NODE, '10M'), pod('b'), pod('c', 'node-2'), { ...pod('d'), spec: {} }];

  test.each<[string, string | Buffer]>([
    ['a list of kubectl', json(list(a, b, foreign, unbound, other, service))],
    ['a list of the API server', json(podList(a, b, foreign, unbound))],
    ['lists one behind the other', json(list(a, foreign), list(b), unbound)],
    [
      'lines of JSON',
      `${JSON.stringify(a)}\n${JSON.stringify(b)}\n${JSON.stringify(foreign)}\n${JSON.stringify(unbound)}\n`,
    ],
    ['an array', json([a, b, foreign, unbound])],
    ['a list within a list', json(list(list(a, b), list(foreign, unbound)))],
    ['gzip', gzipSync(json(list(a, b, foreign, unbound)))],
    ['YAML of kubectl', stringify(list(a, b, foreign, unbound, other))],
    ['YAML of the API server', `# of node-1\n${stringify(podList(a, b, foreign, unbound))}`],
    ['YAML documents', [a, b, list(foreign), unbound].map((one) => stringify(one)).join('---\n')],
  ])('may be %s', async (_, content) => {
    await writeFile(path, content);
    const { pods, podsOfAll, nodes, unusable, repeated } = await readPodFile(path, NODE);
    expect(pods.map(({ name, egress }) => [name, egress])).toEqual([
      ['a', '10M'],
      ['b', undefined],
    ]);
    expect({ podsOfAll, nodes, unusable, repeated }).toEqual({
      podsOfAll: 4,
      nodes: [NODE, 'node-2'],
      unusable: 0,
      repeated: 0,
    });
  });

  test('may be one pod', async () => {
    for (const text of [json(a), stringify(a)]) {
      await writeFile(path, text);
      expect(names((await readPodFile(path, NODE)).pods)).toEqual(['a']);
    }
  });

  test('counts what it cannot use, and takes the last of those that stand in it twice', async () => {
    const nameless = { ...pod('x'), metadata: { namespace: 'shop' } };
    await writeFile(path, json(list(pod('a', NODE, '1M'), nameless, pod('a', NODE, '2M'))));
    const { pods, unusable, repeated } = await readPodFile(path, NODE);
    expect(pods.map(({ egress }) => egress)).toEqual(['2M']);
    expect({ unusable, repeated }).toEqual({ unusable: 1, repeated: 1 });
  });

  test.each([
    ['JSON', json(list())],
    ['YAML', stringify(list())],
  ])('takes an empty list for what it says (%s)', async (_, text) => {
    await writeFile(path, text);
    expect(await readPodFile(path, NODE)).toMatchObject({ pods: [], podsOfAll: 0 });
  });

  const many = stringify(list(...Array.from({ length: 2_000 }, (_, i) => pod(`web-${i}`))));
  test.each<[string, string, string | Buffer, RegExp]>([
    ['nothing', 'SNAPSHOT_EMPTY', '', /an empty file/],
    ['no pods', 'SNAPSHOT_EMPTY', json(list(other, other)), /2 other objects, such as Node/],
    ['only comments', 'SNAPSHOT_EMPTY', '# to be written\n', /no document/],
    ['a table', 'SNAPSHOT_WRONG_FORM', 'NAMESPACE  NAME\nshop  a\n', /a table/],
    ['a message', 'SNAPSHOT_WRONG_FORM', 'Error from server (Forbidden): pods', /a message of kubectl/],
    ['half a list', 'SNAPSHOT_TRUNCATED', json(list(a, b)).slice(0, -60), /ends in the middle.*pods\.json:\d+:\d+/s],
    ['wrong JSON', 'SNAPSHOT_SYNTAX', json(list(a)).replace('"node-1"', 'node-1'), /pods\.json:\d+:\d+/],
    ['wrong YAML', 'SNAPSHOT_SYNTAX', 'kind: Pod\n  metadata: 7\n', /not valid YAML.*pods\.json:\d:\d/s],
    ['too much YAML', 'SNAPSHOT_WRONG_FORM', many, /at most 256 KiB.*-o json/s],
    [
      "Netloom's own form",
      'SNAPSHOT_WRONG_FORM',
      '{"netloom":"cluster","version":1,"pods":[]}',
      /keeps no annotations/,
    ],
    ['half of a gzip file', 'SNAPSHOT_TRUNCATED', gzipSync(json(list(a, b))).subarray(0, 60), /gzip/],
  ])('that holds %s is refused', async (_, code, content, told) => {
    await writeFile(path, content);
    const refused = readPodFile(path, NODE);
    await expect(refused).rejects.toMatchObject({ code });
    await refused.catch((error: { describe(): string }) => expect(error.describe()).toMatch(told));
  });

  test('that is missing is told so', async () => {
    await expect(readPodFile(path, NODE)).rejects.toMatchObject({ code: 'SNAPSHOT_UNREADABLE' });
  });
});

describe('pods from a file', () => {
  let source: SnapshotPods | undefined;
  afterEach(() => source?.stop());

  async function watch(node = NODE) {
    const told: (readonly BandwidthPod[])[] = [];
    const faults: string[] = [];
    let log = '';
    const logger = createLogger({ level: 'info', stream: { write: (text) => (log += text) } });
    source = new SnapshotPods({ path, node, logger, pollMs: 10 });
    await source.start({ pods: (pods) => void told.push(pods), failed: (error) => void faults.push(String(error)) });
    return { told, faults, source, log: () => log };
  }

  const last = (told: readonly (readonly BandwidthPod[])[]) =>
    expect.poll(() => names(told.at(-1)), { timeout: 10_000 });

  test('are told at the start, and after each way to replace the file', async () => {
    await replace(json(list(pod('a'))));
    const { told, faults } = await watch();
    await last(told).toEqual(['a']);
    await replace(json(list(pod('renamed'))));
    await last(told).toEqual(['renamed']);
    expect(faults).toEqual([]);
    await writeFile(path, json(list(pod('in-place'))));
    await last(told).toEqual(['in-place']);
    expect(told).toHaveLength(3);
  });

  test('are told after a ConfigMap volume was updated: a link to a link to a folder is turned', async () => {
    const version = async (name: string, ...pods: object[]) => {
      await mkdir(join(folder, name));
      await writeFile(join(folder, name, 'pods.json'), json(list(...pods)));
      await symlink(name, join(folder, '..data.new'));
      await rename(join(folder, '..data.new'), join(folder, '..data'));
    };
    await version('..1', pod('a'));
    await symlink('..data/pods.json', path);
    const { told, faults } = await watch();
    await last(told).toEqual(['a']);
    await version('..2', pod('b'));
    await last(told).toEqual(['b']);
    expect(faults).toEqual([]);
  });

  test('are waited for where the file is missing or wrong at the start: nothing is told but why', async () => {
    const { told, faults, source, log } = await watch();
    expect(faults).toHaveLength(1);
    expect(source.status()).toMatchObject({ synced: false, pods: 0, fault: expect.stringContaining('no such file') });
    await replace(json(list({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'n' } })));
    await expect.poll(() => faults.length).toBe(2);
    expect(told).toEqual([]);
    await replace(json(list(pod('a'))));
    await last(told).toEqual(['a']);
    expect(source.status()).toEqual({ synced: true, pods: 1, fault: undefined });
    expect(log()).toMatch(/the snapshot of pods cannot be used; nothing is known of them yet/);
  });

  test('stay as they were while the file is wrong or gone', async () => {
    await replace(json(list(pod('a'))));
    const { told, faults, source } = await watch();
    await replace(json(list(pod('b'))).slice(0, -9));
    await expect.poll(() => faults.length).toBe(1);
    await unlink(path);
    await expect.poll(() => faults.length).toBe(2);
    expect(source.status()).toMatchObject({ synced: true, pods: 1, fault: expect.stringContaining('no such file') });
    expect(told.map(names)).toEqual([['a']]);
    await replace(json(list(pod('a', NODE, '5M'))));
    await expect.poll(() => told.at(-1)?.[0]?.egress).toBe('5M');
    expect(source.status().fault).toBeUndefined();
  });

  test('are not told again when the file says the same', async () => {
    await replace(json(list(pod('a'))));
    const { told } = await watch();
    await replace(json(list(pod('a'), pod('elsewhere', 'node-2'))));
    await sleep(200);
    expect(told).toHaveLength(1);
  });

  test('are none where the file has pods of other nodes only, which is told once, with their names', async () => {
    await replace(json(list(...Array.from({ length: 7 }, (_, i) => pod(`p${i}`, `worker-${i}`)))));
    const { told, log } = await watch();
    expect(told).toEqual([[]]);
    const warning = /the snapshot has no pod of this node .*node=node-1 nodes=.*worker-0.*worker-4.* nodesOfAll=7/;
    expect(log()).toMatch(warning);
    expect(log()).not.toContain('worker-5');
    await replace(json(list(...Array.from({ length: 7 }, (_, i) => pod(`q${i}`, `worker-${i}`)))));
    await sleep(200);
    expect(log().match(/has no pod of this node/g)).toHaveLength(1);
  });

  test('are not told any more once it was stopped', async () => {
    await replace(json(list(pod('a'))));
    const { told, source } = await watch();
    await source.stop();
    await replace(json(list(pod('b'))));
    await sleep(100);
    expect(told).toHaveLength(1);
  });
});
