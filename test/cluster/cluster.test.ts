import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addressKey, parseAddress } from '../../lib/ip.ts';
import { AddressBook } from '../../scheduler/cluster/address-book.ts';
import type { ClusterEvent, PodRecord } from '../../scheduler/cluster/model.ts';
import { readSnapshot } from '../../scheduler/cluster/snapshot-file.ts';
import { changesBetween } from '../../scheduler/cluster/changes.ts';
import { ClusterState } from '../../scheduler/cluster/state.ts';
import { readTraffic } from '../../scheduler/cluster/traffic-file.ts';
import { resolveTraffic, TRAFFIC_HEADER } from '../../scheduler/cluster/traffic.ts';

function pod(name: string, more: Partial<PodRecord> = {}): PodRecord {
  return {
    type: 'pod',
    uid: `uid-${name}`,
    namespace: 'shop',
    name,
    node: 'n1',
    addresses: ['10.1.0.5'],
    hostNetwork: false,
    phase: 'Running',
    owner: undefined,
    labels: {},
    requests: { milliCpu: 0, memoryBytes: 0, pods: 1 },
    mirror: false,
    ...more,
  };
}
const upsert = (record: PodRecord): ClusterEvent => ({ op: 'upsert', record });

function ownerAt(book: AddressBook, address: string, startMs: number, endMs: number): string {
  const owner = book.resolveKey(addressKey(parseAddress(address)!, 0), startMs, endMs);
  return owner.kind === 'Pod' ? owner.pod.name : owner.kind;
}

describe('addresses in time', () => {
  it('books traffic of a reused address to the pod that had it then', () => {
    const book = new AddressBook();
    book.apply([upsert(pod('old'))], 1_000_000);
    book.apply([{ op: 'delete', record: pod('old') }], 1_100_000);
    book.apply([upsert(pod('new'))], 1_120_000);
    expect(ownerAt(book, '10.1.0.5', 1_050_000, 1_060_000)).toBe('old');
    expect(ownerAt(book, '10.1.0.5', 1_130_000, 1_140_000)).toBe('new');
  });

  it('takes the address of a pod that has succeeded away from it, though it keeps its podIP', () => {
    const book = new AddressBook();
    book.apply([upsert(pod('job'))], 1_000_000);
    book.apply([upsert(pod('job', { phase: 'Succeeded' }))], 1_100_000);
    book.apply([upsert(pod('next'))], 1_110_000);
    expect(ownerAt(book, '10.1.0.5', 1_200_000, 1_210_000)).toBe('next');
  });

  it('does not give the address of a node to pods of its network', () => {
    const book = new AddressBook();
    book.apply([upsert(pod('host', { hostNetwork: true, addresses: ['10.9.9.9'] }))], 1_000_000);
    expect(ownerAt(book, '10.9.9.9', 1_000_000, 1_010_000)).not.toBe('host');
  });
});

describe('workloads', () => {
  const owner = { kind: 'ReplicaSet', name: 'cart-7d4b', uid: 'r' };

  it('know what their pods ask for and how many wait, and a node what all of its pods ask for', () => {
    const state = new ClusterState();
    const asks = (milliCpu: number) => ({ milliCpu, memoryBytes: 7, pods: 1 });
    const cart = (name: string, more: Partial<PodRecord>) => upsert(pod(name, { owner, addresses: [], ...more }));
    state.apply([
      cart('a', { requests: asks(100) }),
      cart('b', { requests: asks(200), node: undefined, phase: 'Pending' }),
      cart('c', { requests: asks(300), node: undefined, phase: 'Pending' }),
      cart('d', { requests: asks(400), node: undefined, phase: 'Failed' }),
      upsert(pod('alone', { requests: asks(50), addresses: [] })),
    ]);
    const [workload] = state.workloads();
    expect(workload).toMatchObject({ placed: 1, pending: 2, requests: asks(400) });
    expect(state.usedOn('n1')).toEqual({ milliCpu: 150, memoryBytes: 14, pods: 2 });
    state.apply([
      cart('b', { requests: asks(200) }),
      cart('a', { requests: asks(100), phase: 'Succeeded' }),
      { op: 'delete', record: pod('alone') },
    ]);
    expect(state.usedOn('n1')).toEqual({ milliCpu: 200, memoryBytes: 7, pods: 1 });
    state.apply([{ op: 'delete', record: pod('b') }]);
    expect(state.usedOn('n1')).toEqual({ milliCpu: 0, memoryBytes: 0, pods: 0 });
    expect([...state.workloads()][0]).toMatchObject({ placed: 0, pending: 1 });
  });

  it('are found through listed owners', () => {
    const state = new ClusterState();
    const controller = { type: 'controller', namespace: 'shop', uid: 'r', replicas: 1 } as const;
    state.apply([
      {
        op: 'upsert',
        record: {
          ...controller,
          kind: 'ReplicaSet',
          name: 'cart-7d4b',
          owner: { kind: 'Rollout', name: 'cart', uid: 'x' },
        },
      },
      upsert(pod('cart-1', { owner })),
    ]);
    expect(state.workloadOf(pod('cart-1', { owner }))).toMatchObject({ kind: 'Rollout', name: 'cart' });
  });

  it('are told from the template hash where the ReplicaSet is not listed', () => {
    const state = new ClusterState();
    const orphan = pod('cart-1', { owner, labels: { 'pod-template-hash': '7d4b' } });
    state.apply([upsert(orphan)]);
    expect(state.workloadOf(orphan)).toMatchObject({ kind: 'Deployment', name: 'cart' });
    expect(state.workload('shop/Deployment/cart')?.placed).toBe(1);
    state.apply([upsert({ ...orphan, phase: 'Failed' })]);
    expect(state.workload('shop/Deployment/cart')?.placed ?? 0).toBe(0);
  });
});

describe('files', () => {
  let dir: string;
  const file = async (name: string, text: string): Promise<string> => {
    const path = join(dir, name);
    await writeFile(path, text);
    return path;
  };
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'netloom-cluster-'));
  });
  afterAll(() => rm(dir, { recursive: true, force: true }));

  const kubePod = (name: string) => ({
    kind: 'Pod',
    metadata: { name, namespace: 'shop', uid: name },
    spec: { nodeName: 'n1' },
    status: { phase: 'Running', podIPs: [{ ip: '10.1.0.5' }] },
  });

  it('several kubectl documents one after the other are one snapshot', async () => {
    const list = (...items: object[]): string => JSON.stringify({ kind: 'List', items });
    const path = await file(
      'two.json',
      `${list(kubePod('a'))}\n${list(kubePod('b'), { kind: 'Gizmo', metadata: {} })}`,
    );
    const { records, summary } = await readSnapshot(path);
    expect([...records.values()].map(({ name }) => name)).toEqual(['a', 'b']);
    expect(summary.ignored).toMatchObject([{ count: 1 }]);
  });

  it.each([
    ['yaml.json', 'kind: List\nitems: []\n', 'SNAPSHOT_WRONG_FORM'],
    ['cut.json', '{"kind":"List","items":[{"kind":"Pod"', 'SNAPSHOT_TRUNCATED'],
    ['bad.json', '{"kind":"List","items":[}', 'SNAPSHOT_SYNTAX'],
    ['empty.json', '{"kind":"List","items":[]}', 'SNAPSHOT_EMPTY'],
    ['newer.json', '{"netloom":"snapshot","version":9}', 'SNAPSHOT_VERSION'],
  ])('%s is refused with its place and a remedy', async (name, text, code) => {
    const error: unknown = await readSnapshot(await file(name, text)).catch((refused: unknown) => refused);
    expect(error).toMatchObject({ code });
    expect((error as { describe(): string }).describe()).toContain(name);
  });

  it('a traffic row that cannot be read names its line', async () => {
    const path = await file('traffic.csv', `${TRAFFIC_HEADER}\nshop,Deployment,a,shop,Deployment,b,1,many\n`);
    await expect(readTraffic(path)).rejects.toMatchObject({ code: 'TRAFFIC_ROW' });
    await expect(readTraffic(await file('h.csv', 'a,b\n'))).rejects.toMatchObject({ code: 'TRAFFIC_HEADER' });
  });

  it('traffic with outside peers is kept, unknown workloads are counted', async () => {
    const rows = await readTraffic(
      await file(
        't.csv',
        `${TRAFFIC_HEADER}\r\nshop,pod,a,,External,203.0.113.0/24,5,6\r\nshop,Deployment,nobody,shop,Pod,a,1,1\r\n`,
      ),
    );
    const state = new ClusterState();
    state.apply([upsert(pod('a'))]);
    const { edges, unknown } = resolveTraffic(rows, state);
    expect(edges).toMatchObject([{ server: { kind: 'External', name: '203.0.113.0/24' }, bytesPerSecondIn: 6 }]);
    expect(unknown.count).toBe(1);
  });
});

describe('a replaced snapshot', () => {
  it('frees an address before its next owner shows it; a pod of the same name is another pod', () => {
    const before = new Map([['pod/shop/a', pod('a')]]);
    const after = new Map([['pod/shop/a', pod('a', { uid: 'second' })]]);
    expect([...changesBetween(before, after)].map(({ op, record }) => `${op} ${record.uid}`)).toEqual([
      'delete uid-a',
      'upsert second',
    ]);
    expect([...changesBetween(after, after)]).toEqual([]);
  });
});
