import { readdirSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { bpfObjectPath, loadBpf } from '../../lib/bpf/index.ts';
import { buildBpf } from '../support/bpf.ts';

beforeAll(buildBpf);

const WARM_UP = 1000;
const READS = 10_000;
const ENTRIES = 1000;
/** A leak of one batch buffer (1024 x 56 B) a read would be 560 MB; the heap itself breathes a few MB. */
const RSS_SLACK_MB = 12;

const descriptors = (): number => readdirSync('/proc/self/fd').length;
const rssMb = (): number => process.memoryUsage.rss() / 2 ** 20;

describe('10,000 reads', () => {
  it('leave no descriptor, no map and no memory behind', async () => {
    const object = await loadBpf({ object: bpfObjectPath('test-maps'), maxEntries: { flows_hash: ENTRIES } });
    const map = object.map('flows_hash');
    const key = new Uint8Array(map.keySize);
    for (let index = 0; index < ENTRIES; index++) {
      new DataView(key.buffer).setUint32(0, index, true);
      map.update(key, new Uint8Array(map.valueSize));
    }
    let entries = 0;
    const read = (): Promise<number> => map.readAll((_keys, _values, count) => (entries += count));
    for (let round = 0; round < WARM_UP; round++) await read();
    const [fdsBefore, rssBefore] = [descriptors(), rssMb()];
    for (let round = 0; round < READS; round++) await read();
    expect(entries).toBe((WARM_UP + READS) * ENTRIES);
    expect(descriptors()).toBe(fdsBefore);
    expect(rssMb() - rssBefore).toBeLessThan(RSS_SLACK_MB);
    object.close();
  });
});

describe('objects that are loaded and closed', () => {
  it('leave no descriptor behind', async () => {
    const path = bpfObjectPath('test-tracing');
    const cycle = async (): Promise<void> => {
      const object = await loadBpf({ object: path });
      object.program('on_state').attachTracing();
      await object.program('walk').attachIter(object.map('sockets')).run();
      object.close();
    };
    // Each thread of the pool keeps some memory of its first load.
    for (let round = 0; round < 16; round++) await cycle();
    const [fdsBefore, rssBefore] = [descriptors(), rssMb()];
    for (let round = 0; round < 50; round++) await cycle();
    expect(descriptors()).toBe(fdsBefore);
    expect(rssMb() - rssBefore).toBeLessThan(RSS_SLACK_MB);
  });
});
