import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeHtbClass, parseHtbClass, type HtbClassSettings } from '../../lib/netlink/htb-classes.ts';
import { refusalError } from '../../lib/netlink/netlink-error.ts';
import { HEADER_SIZE, NLM_F_CREATE, NLM_F_REPLACE, encodeMessage } from '../../lib/netlink/message.ts';
import { decodeOptions, differences, encodeQdisc, type FqOptions } from '../../lib/netlink/qdisc-options.ts';
import { outcomeOf, parseQdisc } from '../../lib/netlink/qdiscs.ts';
import { Attributes, attribute, nestedAttribute } from '../../lib/netlink/attributes.ts';
import {
  TCA_OPTIONS,
  TC_CLSACT_HANDLE,
  TC_CLSACT_PARENT,
  TC_ROOT,
  encodeTcHeader,
  formatTcHandle,
  tcHandle,
} from '../../lib/netlink/tc-message.ts';

/**
 * What `tc` of iproute2 6.1 gave to sendmsg for a device of index 3 (taken by a preloaded library). The kernel
 * that it was taken on has no sch_fq, so this is how fq's encoding is tested there; test/pacing runs it against one.
 */
const TC = {
  'replace root handle 4e4c: fq limit 40000 flow_limit 4000 orphan_mask 65535':
    '4800000024000505db420a6b00000000000000000300000000004c4effffffff0000000007000100667100001c00020008000100409c0000' +
    '08000200a00f000008000a00ffff0000',
  'replace root handle 4e4c: fq, every parameter':
    'a000000024000505db420a6b00000000000000000300000000004c4effffffff0000000007000100667100007400020008000800' +
    '0b00000008000100409c000008000200a00f000008000300d40b000008000400243b00000800050000000000080007004059730708' +
    '000b008e0c010008000900409c000008000a00ffff000008000c00e803000008000d008813000008000e008096980005000f0001000000',
  'replace root handle 4e4c: htb default 0':
    '4800000024000505db420a6b00000000000000000300000000004c4effffffff0000000008000100687462001c0002001800020003000000' +
    '0a000000000000000000000000000000',
  'replace parent 4e4c:1 handle 4e4d: pfifo limit 500':
    '3800000024000505db420a6b0000000000000000030000000000' +
    '4d4e01004c4e000000000a000100706669666f00000008000200f4010000',
  'replace clsact': '3000000024000505db420a6b0000000000000000030000000000fffff1ffffff000000000b000100636c736163740000',
} as const;

/** TCA_HTB_PARMS of: class replace classid 4e4c:1 htb rate 20mbit burst 10k cburst 10k prio 0 quantum 3000. */
const HTB_PARMS = '03010000ffff0000a025260003010000ffff0000a025260000fa000000fa0000b80b00000000000000000000';

const SEQUENCE = 0x6b0a42db;

function request(place: Parameters<typeof encodeTcHeader>[0], body: Buffer): string {
  const flags = 0x5 | NLM_F_CREATE | NLM_F_REPLACE;
  return encodeMessage(36, flags, SEQUENCE, Buffer.concat([encodeTcHeader({ ifindex: 3, ...place }), body])).toString(
    'hex',
  );
}

const root = { handle: tcHandle(0x4e4c), parent: TC_ROOT };
const everyFq: FqOptions = {
  kind: 'fq',
  limit: 40000,
  flowLimit: 4000,
  orphanMask: 65535,
  horizonUs: 10_000_000,
  horizonDrop: true,
  bucketsLog: 11,
  ceThresholdUs: 1000,
  timerSlackNs: 5000,
  quantumBytes: 3028,
  initialQuantumBytes: 15140,
  maxRateBytesPerSecond: 125_000_000,
  refillDelayUs: 40_000,
  lowRateThresholdBytesPerSecond: 68_750,
  pacing: false,
};

describe('qdisc requests', () => {
  it('for fq are those of tc, byte by byte', () => {
    const few = { kind: 'fq', limit: 40000, flowLimit: 4000, orphanMask: 65535 } as const;
    expect(request(root, encodeQdisc(few))).toBe(
      TC['replace root handle 4e4c: fq limit 40000 flow_limit 4000 orphan_mask 65535'],
    );
    expect(request(root, encodeQdisc(everyFq))).toBe(TC['replace root handle 4e4c: fq, every parameter']);
  });

  it('for htb, pfifo and clsact are those of tc, byte by byte', () => {
    expect(request(root, encodeQdisc({ kind: 'htb', defaultMinor: 0 }))).toBe(
      TC['replace root handle 4e4c: htb default 0'],
    );
    const leaf = { handle: tcHandle(0x4e4d), parent: tcHandle(0x4e4c, 1) };
    expect(request(leaf, encodeQdisc({ kind: 'pfifo', limit: 500 }))).toBe(
      TC['replace parent 4e4c:1 handle 4e4d: pfifo limit 500'],
    );
    const clsact = { handle: TC_CLSACT_HANDLE, parent: TC_CLSACT_PARENT };
    expect(request(clsact, encodeQdisc({ kind: 'clsact' }))).toBe(TC['replace clsact']);
  });

  it('for an htb class have the parameters of tc, without its rate tables', () => {
    const settings: HtbClassSettings = {
      rateBytesPerSecond: 2_500_000n,
      ceilBytesPerSecond: 2_500_000n,
      burstBytes: 10_240,
      ceilBurstBytes: 10_240,
      quantumBytes: 3000,
      priority: 0,
    };
    const options = new Attributes(encodeHtbClass(settings)).nested(TCA_OPTIONS);
    expect(options.bytes(1)?.toString('hex')).toBe(HTB_PARMS);
    expect(options.has(3)).toBe(false);
  });
});

describe('qdisc options', () => {
  const u32 = fc.nat(0xffffffff);
  const fq: fc.Arbitrary<FqOptions> = fc
    .record(
      {
        limit: u32,
        flowLimit: u32,
        quantumBytes: u32,
        initialQuantumBytes: u32,
        pacing: fc.boolean(),
        maxRateBytesPerSecond: u32,
        bucketsLog: u32,
        refillDelayUs: u32,
        orphanMask: u32,
        lowRateThresholdBytesPerSecond: u32,
        ceThresholdUs: u32,
        timerSlackNs: u32,
        horizonUs: u32,
        horizonDrop: fc.boolean(),
      },
      { requiredKeys: [] },
    )
    .map((options) => ({ kind: 'fq' as const, ...options }));

  it('of fq come back as they were written', () => {
    fc.assert(
      fc.property(fq, (options) => {
        const payload = new Attributes(encodeQdisc(options)).bytes(TCA_OPTIONS);
        expect(decodeOptions('fq', payload)).toEqual(options);
      }),
    );
  });

  it('differ where a wanted setting is another one, and only there', () => {
    fc.assert(
      fc.property(fq, fq, (wanted, found) => {
        const keys = differences(wanted, found);
        const merged = { ...found, ...wanted };
        expect(differences(wanted, merged)).toEqual([]);
        for (const key of Object.keys(wanted)) {
          const same = wanted[key as keyof FqOptions] === found[key as keyof FqOptions];
          expect(keys.includes(key), key).toBe(!same);
        }
      }),
    );
  });

  it('of kinds that nobody here needs are not read', () => {
    expect(decodeOptions('cake', Buffer.from('0c000100ffff', 'hex'))).toEqual({ kind: 'other' });
  });
});

describe('htb classes', () => {
  it('come back as they were written, at any rate', () => {
    const rate = fc.bigInt({ min: 8000n, max: 10n ** 11n });
    const bytes = fc.integer({ min: 1, max: 10_000_000 });
    fc.assert(
      fc.property(
        rate,
        rate,
        bytes,
        bytes,
        fc.nat(7),
        (rateBytesPerSecond, ceilBytesPerSecond, burst, quantum, prio) => {
          // What 32 bits of 64 ns ticks hold: 274 s.
          const burstBytes = Math.min(burst, Number(rateBytesPerSecond) * 200);
          const settings: HtbClassSettings = {
            rateBytesPerSecond,
            ceilBytesPerSecond,
            burstBytes,
            ceilBurstBytes: burstBytes,
            quantumBytes: quantum,
            priority: prio,
          };
          const header = encodeTcHeader({ ifindex: 3, handle: tcHandle(0x4e4c, 9), parent: tcHandle(0x4e4c) });
          const body = Buffer.concat([header, encodeHtbClass(settings)]);
          const found = parseHtbClass({ type: 40, flags: 0, sequence: 1, body })!;
          expect(found.classId).toBe(tcHandle(0x4e4c, 9));
          // A tick is 64 ns: at 100 GB/s that is 6,400 bytes.
          for (const key of ['burstBytes', 'ceilBurstBytes'] as const) {
            const speed = key === 'burstBytes' ? rateBytesPerSecond : ceilBytesPerSecond;
            const step = Number(speed) * 64e-9 + 1;
            if (key === 'burstBytes') expect(Math.abs(found.settings[key] - settings[key])).toBeLessThanOrEqual(step);
          }
          expect({ ...found.settings, burstBytes, ceilBurstBytes: burstBytes }).toEqual(settings);
        },
      ),
    );
  });
});

describe('refused changes', () => {
  const place = { ifindex: 3, ...root };
  const refused = (errno: number, words?: string) => () => {
    throw refusalError('adding', words === undefined ? { errno } : { errno, words }, undefined);
  };
  const missing = { outcome: 'kind-unknown', kind: 'fq', module: 'sch_fq' };

  it('are an outcome where a caller can go on, in the words of old kernels too', () => {
    expect(outcomeOf('fq', place, refused(2, 'Specified qdisc kind is unknown'))).toEqual(missing);
    expect(outcomeOf('fq', place, refused(2, 'Specified qdisc not found'))).toEqual(missing);
    expect(outcomeOf('fq', place, refused(17)).outcome).toBe('occupied');
    expect(outcomeOf('fq', place, refused(19)).outcome).toBe('absent');
    expect(outcomeOf('fq', place, refused(2, 'Failed to find specified qdisc')).outcome).toBe('absent');
    expect(outcomeOf('fq', place, refused(22, 'Invalid handle')).outcome).toBe('absent');
  });

  it('are thrown where nobody expects them', () => {
    expect(() => outcomeOf('fq', place, refused(22, 'invalid quantum'))).toThrow('invalid quantum');
    expect(() => outcomeOf('fq', place, refused(12))).toThrow('ENOMEM');
    expect(() =>
      outcomeOf('fq', place, () => {
        throw new TypeError('ours');
      }),
    ).toThrow('ours');
  });
});

describe('qdiscs', () => {
  it('carry the statistics of fq, of kernels with and without bands', () => {
    // struct tc_fq_qd_stats of linux/pkt_sched.h: 104 bytes up to horizon_caps (5.8), 152 with bands (6.7).
    for (const size of [104, 152]) {
      const app = Buffer.alloc(size);
      for (let at = 0; at + 8 <= size; at += 8) app.writeBigUInt64LE(BigInt(at), at);
      app.writeUInt32LE(64, 64);
      app.writeUInt32LE(72, 72);
      const basic = Buffer.alloc(16);
      basic.writeBigUInt64LE(5_000_000_000n, 0);
      basic.writeUInt32LE(7, 8);
      const queue = Buffer.alloc(20);
      [1, 2, 3, 4, 5].forEach((value, i) => queue.writeUInt32LE(value, 4 * i));
      const stats = nestedAttribute(7, attribute(1, basic), attribute(3, queue), attribute(4, app));
      const body = Buffer.concat([encodeTcHeader({ ifindex: 3, ...root }), encodeQdisc(everyFq), stats]);
      const qdisc = parseQdisc({ type: 36, flags: 0, sequence: 1, body })!;
      expect(qdisc.stats).toEqual({
        bytes: 5_000_000_000n,
        packets: 7n,
        backlogPackets: 1,
        backlogBytes: 2,
        drops: 3,
        requeues: 4,
        overlimits: 5,
      });
      expect(qdisc.fqStats).toEqual({
        throttled: 24n,
        flowsPlimit: 32n,
        allocationErrors: 48n,
        flows: 64,
        throttledFlows: 72,
        ceMark: 80n,
        horizonDrops: 88n,
        horizonCaps: 96n,
        ...(size === 104 ? {} : { bandDrops: [112n, 120n, 128n] }),
      });
      expect(qdisc.options).toEqual(everyFq);
    }
  });

  it('too short to be one are refused', () => {
    const message = { type: 36, flags: 0, sequence: 1, body: Buffer.alloc(HEADER_SIZE) };
    expect(() => parseQdisc(message)).toThrow('too short');
  });

  it('are named as tc names them', () => {
    expect([TC_ROOT, tcHandle(0x4e4c), tcHandle(0x4e4c, 0x1f), tcHandle(0xffff)].map(formatTcHandle)).toEqual([
      'root',
      '4e4c:',
      '4e4c:1f',
      'ffff:',
    ]);
  });
});
