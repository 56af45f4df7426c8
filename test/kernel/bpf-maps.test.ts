import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MapType, bpfObjectPath, loadBpf, type BpfMap, type BpfObject } from '../../lib/bpf/index.ts';
import { buildBpf } from '../support/bpf.ts';

const ENTRIES = 20_000;
let object: BpfObject;

beforeAll(async () => {
  buildBpf();
  object = await loadBpf({
    object: bpfObjectPath('test-maps'),
    maxEntries: { flows_hash: ENTRIES, flows_percpu: ENTRIES, flows_lru: 2 * ENTRIES, prefixes: ENTRIES },
  });
});
afterAll(() => object.close());

function keyOf(map: BpfMap, index: number): Uint8Array {
  const key = new Uint8Array(map.keySize);
  new DataView(key.buffer).setUint32(0, index, true);
  return key;
}

/** The value's first word is its index, in every per-CPU copy. */
function valueOf(map: BpfMap, index: number): Uint8Array {
  const value = new Uint8Array(map.valueStride);
  const copy = Math.ceil(map.valueSize / 8) * 8;
  const view = new DataView(value.buffer);
  for (let at = 0; at + 4 <= value.length; at += copy) view.setUint32(at, index, true);
  return value;
}

function fill(map: BpfMap, entries: number): void {
  for (let index = 0; index < entries; index++) map.update(keyOf(map, index), valueOf(map, index));
}

async function readPairs(map: BpfMap): Promise<Map<number, number>> {
  const pairs = new Map<number, number>();
  await map.readAll((keys, values, count) => {
    for (let entry = 0; entry < count; entry++) {
      pairs.set(keys.getUint32(entry * map.keySize, true), values.getUint32(entry * map.valueStride, true));
    }
  });
  return pairs;
}

describe('reading a whole map', () => {
  it.each(['flows_hash', 'flows_percpu', 'flows_lru'])('delivers each entry of %s with its own value', async (name) => {
    const map = object.map(name);
    fill(map, ENTRIES);
    const pairs = await readPairs(map);
    expect(pairs.size).toBe(ENTRIES);
    expect([...pairs].every(([key, value]) => key === value)).toBe(true);
  });

  it('gives per-CPU maps one aligned copy for each possible CPU', () => {
    const map = object.map('percpu_counters');
    expect(map.valueSize).toBe(4);
    expect(map.valueStride % 8).toBe(0);
    expect(map.valueStride).toBeGreaterThanOrEqual(8);
  });

  it('reads arrays, always whole', async () => {
    const map = object.map('counters');
    fill(map, map.maxEntries);
    expect([...(await readPairs(map))]).toEqual(Array.from({ length: 8 }, (_, index) => [index, index]));
    expect((await readPairs(object.map('percpu_counters'))).size).toBe(8);
  });

  it('reads tries', async () => {
    const map = object.map('prefixes');
    for (let index = 1; index <= 3000; index++) {
      const key = Buffer.alloc(8);
      key.writeUInt32LE(32, 0);
      key.writeUInt32BE(index, 4);
      map.update(key, valueOf(map, index));
    }
    const values = new Set<number>();
    expect(
      await map.readAll((_, view, count) => {
        for (let entry = 0; entry < count; entry++) values.add(view.getUint32(entry * 4, true));
      }),
    ).toBeGreaterThanOrEqual(3000);
    expect(values.size).toBe(3000);
  });

  it('walks key by key where the kernel has no batch lookup', async () => {
    const map = object.map('devices');
    for (let index = 0; index < 40; index++) map.update(keyOf(map, index), valueOf(map, 1));
    const pairs = await readPairs(map);
    expect([...pairs.keys()].sort((a, b) => a - b)).toEqual(Array.from({ length: 40 }, (_, index) => index));
    expect((await readPairs(map)).size).toBe(40);
  });

  it('resolves at once for an empty map', async () => {
    const empty = await loadBpf({ object: bpfObjectPath('test-maps') });
    for (const name of ['flows_hash', 'flows_lru', 'devices', 'prefixes']) {
      expect(await empty.map(name).readAll(() => expect.unreachable())).toBe(0);
    }
    empty.close();
  });

  it('comes in batches of at most 1024, between which the event loop turns', async () => {
    let largest = 0;
    let batches = 0;
    let turns = 0;
    const tick = (): void => {
      turns++;
      timer = setImmediate(tick);
    };
    let timer = setImmediate(tick);
    await object.map('flows_hash').readAll((_keys, _values, count) => {
      largest = Math.max(largest, count);
      batches++;
    });
    clearImmediate(timer);
    expect(largest).toBeLessThanOrEqual(1024);
    expect(batches).toBeGreaterThanOrEqual(Math.floor(ENTRIES / 1024));
    expect(turns).toBeGreaterThanOrEqual(batches - 1);
  });

  it('runs passes of one map one after another', async () => {
    const map = object.map('flows_hash');
    const order: number[] = [];
    const pass = (id: number) => map.readAll(() => void order.push(id));
    await Promise.all([pass(1), pass(2), pass(3)]);
    expect(order).toEqual(order.toSorted((a, b) => a - b));
    expect(new Set(order)).toEqual(new Set([1, 2, 3]));
  });

  it('survives a visitor that throws', async () => {
    const map = object.map('flows_hash');
    await expect(
      map.readAll(() => {
        throw new Error('visitor');
      }),
    ).rejects.toThrow('visitor');
    expect(await map.readAll(() => undefined)).toBe(ENTRIES);
  });

  it('ends with an error when the object is closed under it, and touches no descriptor afterwards', async () => {
    const other = await loadBpf({ object: bpfObjectPath('test-maps'), maxEntries: { flows_hash: ENTRIES } });
    const map = other.map('flows_hash');
    fill(map, ENTRIES);
    let batches = 0;
    const pass = map.readAll(() => {
      if (++batches === 2) other.close();
    });
    await expect(pass).rejects.toThrow(expect.objectContaining({ code: 'BPF_CLOSED' }));
    expect(batches).toBe(2);
  });

  it('refuses a map without keys', async () => {
    await expect(object.map('events').readAll(() => undefined)).rejects.toThrow(/no keys/);
  });
});

describe('single entries', () => {
  it('are found, replaced and removed', () => {
    const map = object.map('flows_lru');
    const key = keyOf(map, 1_000_000);
    expect(map.lookup(key)).toBeUndefined();
    map.update(key, valueOf(map, 5));
    expect(map.lookup(key)).toEqual(valueOf(map, 5));
    expect(() => map.update(key, valueOf(map, 6), 1)).toThrow(/EEXIST/);
    expect(map.delete(key)).toBe(true);
    expect(map.delete(key)).toBe(false);
    expect(() => map.update(key, valueOf(map, 6), 2)).toThrow(/ENOENT/);
  });

  it('of the wrong size are refused before the kernel reads beyond them', () => {
    const map = object.map('flows_hash');
    const error = expect.objectContaining({ code: 'BPF_MAP_FAILED' }) as Error;
    expect(() => map.lookup(new Uint8Array(4))).toThrow(error);
    expect(() => map.update(keyOf(map, 1), new Uint8Array(8))).toThrow(error);
    expect(() => map.delete(new Uint8Array(25))).toThrow(error);
  });

  it('say that the map is full', () => {
    const map = object.map('flows_hash');
    expect(map.type).toBe(MapType.HASH);
    fill(map, ENTRIES);
    expect(() => map.update(keyOf(map, ENTRIES), valueOf(map, 0))).toThrow(/E2BIG/);
  });
});
