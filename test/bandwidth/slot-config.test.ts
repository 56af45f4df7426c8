import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LIMIT_CONFIG, LIMIT_INTERFACE, LIMIT_STAT } from '../../bandwidth/bpf/layout.ts';
import {
  encodeInterface,
  encodeSlotConfig,
  isShadowConfig,
  slotConfig,
  type LimitMode,
} from '../../bandwidth/slot-config.ts';
import { decodeSlotStat, queueBucketStartNs } from '../../bandwidth/slot-stat.ts';

const MS = 1_000_000;
const U64_MAX = (1n << 64n) - 1n;
const rateBps = fc.oneof(fc.constantFrom(0n, 8n, 64_000n, 10n ** 15n), fc.bigInt(0n, 10n ** 15n));
const mode = fc.constantFrom<LimitMode>('stamp', 'htb', 'police');

describe('the configuration of a slot', () => {
  it('marks, then drops, then drops all, and its clock may run as far ahead as packets can push it', () => {
    fc.assert(
      fc.property(rateBps, mode, fc.integer({ min: 1, max: 1024 }), (bps, kind, cpus) => {
        const config = slotConfig({ rateBps: bps, mode: kind, cpus });
        const rate = config.rateBytesPerSecond;
        expect(rate * 8n).toBeLessThanOrEqual(bps);
        expect(bps - rate * 8n).toBeLessThan(8n);
        expect(config.ceNs).toBeLessThan(config.dropNs);
        expect(config.dropNs).toBeLessThanOrEqual(config.hardNs);
        expect(config.hardNs).toBeLessThan(2 ** 32);
        const superPackets = rate === 0n ? 0n : (BigInt(cpus + 1) * 524_280n * 1_000_000_000n) / rate;
        expect(config.maxAheadNs).toBe(BigInt(config.hardNs) + superPackets);
        expect(config.maxAheadNs).toBeLessThan(U64_MAX / 2n);
        expect(config.policeMaxAheadNs).toBe(BigInt(config.policeNs) + superPackets);
      }),
    );
  });

  it.each([
    [10_000_000_000n, 250 * MS],
    // Two packets of 64 KiB take a second.
    [1_048_576n, 1000 * MS],
    // As far as 32 bits go: any packet passes an empty queue all the same.
    [64_000n, 2 ** 32 - 1],
  ])('of a policer at %d bit/s drops at %d ns', (bps, dropNs) => {
    expect(slotConfig({ rateBps: bps, mode: 'police', cpus: 2 })).toMatchObject({
      ceNs: 50 * MS,
      dropNs,
      hardNs: dropNs,
    });
    // The same of all that a pod sends, where HTB holds back some of it.
    expect(slotConfig({ rateBps: bps, mode: 'htb', cpus: 2 })).toMatchObject({ dropNs: 20 * MS, policeNs: dropNs });
  });

  it('is laid out as the programs read it', () => {
    const bytes = encodeSlotConfig({
      rateBytesPerSecond: 0x1122334455667788n,
      mode: 'htb',
      ecn: true,
      shadow: true,
      maxAheadNs: 3n,
      ceNs: 4,
      dropNs: 5,
      hardNs: 6,
      sparseCreditNs: 7,
      bulkPriority: 0xfffffff8,
      sparsePriority: 9,
      smallBytes: 256,
      sparseShift: 2,
      policeMaxAheadNs: 10n,
      policeNs: 11,
    });
    const view = new DataView(bytes.buffer);
    const { fields, size } = LIMIT_CONFIG;
    expect(bytes).toHaveLength(size);
    expect(view.getBigUint64(fields.rate.offset, true)).toBe(0x1122334455667788n);
    expect(view.getBigUint64(fields.max_ahead_ns.offset, true)).toBe(3n);
    const words = [fields.ce_ns, fields.drop_ns, fields.hard_ns, fields.sparse_credit_ns] as const;
    expect(words.map(({ offset }) => view.getUint32(offset, true))).toEqual([4, 5, 6, 7]);
    expect(view.getUint32(fields.bulk_priority.offset, true)).toBe(0xfffffff8);
    expect(view.getUint32(fields.sparse_priority.offset, true)).toBe(9);
    expect(view.getUint16(fields.small_bytes.offset, true)).toBe(256);
    expect([bytes[fields.sparse_shift.offset], bytes[fields.mode.offset]]).toEqual([2, 1]);
    expect(view.getUint16(fields.flags.offset, true)).toBe(3);
    expect(isShadowConfig(bytes)).toBe(true);
    expect(view.getBigUint64(fields.police_max_ahead_ns.offset, true)).toBe(10n);
    expect(view.getUint32(fields.police_ns.offset, true)).toBe(11);
  });
});

it('an interface without a slot has slot 0', () => {
  const words = (bytes: Uint8Array): number[] => [...new Uint32Array(bytes.buffer)];
  expect(encodeInterface({})).toHaveLength(LIMIT_INTERFACE.size);
  expect(words(encodeInterface({}))).toEqual([0, 0, 0]);
  expect(words(encodeInterface({ egressSlot: 3, ingressSlot: 4, keepStamps: true }))).toEqual([3, 4, 1]);
  expect(words(encodeInterface({ noMac: true }))).toEqual([0, 0, 2]);
});

describe('the counters of a slot', () => {
  it('are summed over CPUs; what was last judged is of the CPU that judged last', () => {
    const cpus = 3;
    const valueAt = (name: string, offset: number): bigint => BigInt(name.startsWith('recalled') ? 5 : offset);
    const value = Buffer.alloc(cpus * LIMIT_STAT.size);
    for (let cpu = 0; cpu < cpus; cpu++) {
      const at = cpu * LIMIT_STAT.size;
      for (const [name, { offset, size }] of Object.entries(LIMIT_STAT.fields)) {
        if (size === 8)
          value.writeBigUInt64LE(
            name === 'last_ns' ? [5n, 9n, 7n][cpu]! : valueAt(name, offset) + BigInt(cpu),
            at + offset,
          );
      }
      value.writeUInt32LE(100 + cpu, at + LIMIT_STAT.fields.last_random.offset);
      for (let i = 0; i < 24; i++) value.writeBigUInt64LE(BigInt(i), at + LIMIT_STAT.fields.queue.offset + 8 * i);
    }
    const stat = decodeSlotStat(value);
    const sum = (name: keyof typeof LIMIT_STAT.fields): bigint => BigInt(3 * LIMIT_STAT.fields[name].offset + 3);
    expect(stat).toMatchObject({
      offeredPackets: sum('offered_packets'),
      droppedBytes: sum('dropped_bytes'),
      exemptBytes: sum('exempt_bytes'),
      // Less what was taken back.
      packets: sum('packets') - 18n,
      bytes: sum('bytes') - 18n,
      throttledNs: sum('throttled_ns') - 18n,
      lastNs: 9n,
      lastRandom: 101,
    });
    expect(stat.queue).toEqual(Array.from({ length: 24 }, (_, i) => BigInt(3 * i)));
  });

  it('of the queue start where their bucket says', () => {
    expect([0, 1, 2, 11].map(queueBucketStartNs)).toEqual([0, 1024, 2048, 1_048_576]);
  });
});
