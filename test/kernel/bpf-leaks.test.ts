import { readdirSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { bpfObjectPath, loadBpf } from '../../lib/bpf/index.ts';
import { buildBpf } from '../support/bpf.ts';

beforeAll(buildBpf);

const WARM_UP = 1000;
const ROUNDS = 4;
const READS = 2_500;
const LOADS = 13;
const ENTRIES = 1000;
/**
 * A leak of one batch buffer (1024 x 56 B) a read would be 140 MB a round. The heap itself breathes a few MB, and more where
 * the collector of garbage waits for a CPU; but not in every round.
 */
const RSS_SLACK_MB = 3;

const descriptors = (): number => readdirSync('/proc/self/fd').length;
const rssMb = (): number => process.memoryUsage.rss() / 2 ** 20;

/** Of several rounds, the one by which memory grew least. */
async function leastGrowthMb(times: number, work: () => Promise<unknown>): Promise<number> {
  let least = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    const before = rssMb();
    for (let i = 0; i < times; i++) await work();
    least = Math.min(least, rssMb() - before);
  }
  return least;
}

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
    const fdsBefore = descriptors();
    expect(await leastGrowthMb(READS, read)).toBeLessThan(RSS_SLACK_MB);
    expect(entries).toBe((WARM_UP + ROUNDS * READS) * ENTRIES);
    expect(descriptors()).toBe(fdsBefore);
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
    const fdsBefore = descriptors();
    expect(await leastGrowthMb(LOADS, cycle)).toBeLessThan(RSS_SLACK_MB);
    expect(descriptors()).toBe(fdsBefore);
  });
});
