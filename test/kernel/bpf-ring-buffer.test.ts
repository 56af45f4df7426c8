import { readdirSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { bpfObjectPath, loadBpf, ringBuffer, type BpfObject, type LoadOptions } from '../../lib/bpf/index.ts';
import { buildBpf } from '../support/bpf.ts';

beforeAll(buildBpf);

const RECORD_BYTES = 72;
const FRAME = new Uint8Array(64);
let object: BpfObject;
const load = async (constants: NonNullable<LoadOptions['constants']> = {}): Promise<void> => {
  object = await loadBpf({ object: bpfObjectPath('test-maps'), constants });
};
afterEach(() => object.close());

const emit = (): unknown => object.program('fill_ring').testRun(FRAME);

async function until(condition: () => boolean): Promise<void> {
  for (let turn = 0; turn < 5000 && !condition(); turn++) await delay(1);
  expect(condition()).toBe(true);
}

describe('a ring buffer', () => {
  it('delivers all records once and in order, around its end many times', async () => {
    await load({ per_run: 500 });
    const rounds = 100;
    let next = 0;
    let ordered = true;
    const reader = ringBuffer(object.map('events'), (record) => {
      ordered &&= record.byteLength === 64 && Number(record.getBigUint64(0, true)) === next;
      next++;
    });
    for (let round = 1; round <= rounds; round++) {
      emit();
      await until(() => next === round * 500);
    }
    expect(ordered).toBe(true);
    expect(rounds * 500 * RECORD_BYTES).toBeGreaterThan(50 * object.map('events').maxEntries);
    expect(reader).toMatchObject({ records: rounds * 500, discarded: 0, failed: 0 });
    reader.close();
  });

  it('skips and counts records that the program gave up', async () => {
    await load({ per_run: 10, discard_odd: 1 });
    const seen: number[] = [];
    const reader = ringBuffer(object.map('events'), (record) => seen.push(Number(record.getBigUint64(0, true))));
    emit();
    await until(() => reader.records + reader.discarded === 10);
    expect(seen).toEqual([0, 2, 4, 6, 8]);
    expect(reader.discarded).toBe(5);
    reader.close();
  });

  it('loses nothing that is in it when the program runs out of room: the program counts what found none', async () => {
    await load({ per_run: 4000 });
    emit();
    let records = 0;
    const reader = ringBuffer(object.map('events'), () => records++);
    const room = Math.floor(object.map('events').maxEntries / RECORD_BYTES);
    await until(() => records >= room - 1);
    const lost = Number(Buffer.from(object.map('counters').lookup(Uint8Array.of(1, 0, 0, 0)) ?? []).readBigUInt64LE());
    expect(records + lost).toBe(4000);
    reader.close();
  });

  it('handles no more in one turn than it was allowed', async () => {
    await load({ per_run: 100 });
    let records = 0;
    const reader = ringBuffer(object.map('events'), () => records++, { recordsPerTurn: 30 });
    emit();
    reader.consume();
    expect(records).toBe(30);
    await until(() => records === 100);
    reader.close();
  });

  it('goes on behind a record whose handler throws', async () => {
    await load({ per_run: 3 });
    const errors: unknown[] = [];
    const reader = ringBuffer(
      object.map('events'),
      (record) => {
        if (record.getUint32(0, true) === 1) throw new Error('second');
      },
      { onError: (error) => errors.push(error) },
    );
    emit();
    await until(() => reader.records === 3);
    expect(reader.failed).toBe(1);
    expect(String(errors[0])).toContain('second');
    reader.close();
  });

  it('may be closed by its own handler, before or after its object, and what was kept of it is detached', async () => {
    await load({ per_run: 5 });
    let kept: DataView | undefined;
    const reader = ringBuffer(object.map('events'), (record) => {
      kept = record;
      reader.close();
      object.close();
    });
    emit();
    await until(() => kept !== undefined);
    expect(reader.records).toBe(1);
    expect(() => kept?.getUint8(0)).toThrow(TypeError);
    reader.close();
    reader.consume();
  });

  it('leaves no descriptor behind', async () => {
    await load({ per_run: 1 });
    ringBuffer(object.map('events'), () => undefined).close();
    await delay(1);
    const before = readdirSync('/proc/self/fd').length;
    for (let round = 0; round < 20; round++) ringBuffer(object.map('events'), () => undefined).close();
    await expect.poll(() => readdirSync('/proc/self/fd').length).toBe(before);
  });

  it('is not made of another map', async () => {
    await load();
    expect(() => ringBuffer(object.map('counters'), () => undefined)).toThrow(/no ring buffer/);
  });
});
