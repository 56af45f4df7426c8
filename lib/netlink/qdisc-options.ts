import {
  Attributes,
  attribute,
  nestedAttribute,
  u32Attribute,
  u8Attribute,
  stringAttribute,
  defined,
} from './attributes.ts';
import { readRate, type RateSpec } from './rate.ts';
import { TCA_KIND, TCA_OPTIONS } from './tc-message.ts';

/** Parameters of the qdiscs that we make or meet, as in linux/pkt_sched.h. Pure. */

/** sch_fq. Absent: not set by us (encoding), not told by this kernel (decoding). */
export interface FqOptions {
  readonly kind: 'fq';
  /** Packets in all; since Linux 6.7 in each band. */
  readonly limit?: number;
  /** Packets of one flow. */
  readonly flowLimit?: number;
  readonly quantumBytes?: number;
  readonly initialQuantumBytes?: number;
  /** SO_MAX_PACING_RATE and TCP's own pacing are obeyed (default). Departure times are, in any case. */
  readonly pacing?: boolean;
  /** Cap of each flow; 0xffffffff: none. */
  readonly maxRateBytesPerSecond?: number;
  /** log2 of the number of hash buckets. */
  readonly bucketsLog?: number;
  readonly refillDelayUs?: number;
  /** Packets without a socket (forwarded ones) share `orphanMask + 1` flows by hash. */
  readonly orphanMask?: number;
  readonly lowRateThresholdBytesPerSecond?: number;
  readonly ceThresholdUs?: number;
  readonly timerSlackNs?: number;
  /** Packets that are to leave later than this from now are dropped or capped. */
  readonly horizonUs?: number;
  readonly horizonDrop?: boolean;
}

export interface HtbOptions {
  readonly kind: 'htb';
  /** Minor of the class for unclassified packets; 0: they pass unshaped. */
  readonly defaultMinor: number;
  /** Packets that passed so. Only read. */
  readonly directPackets?: number;
}

/** sch_tbf, only read. */
export interface TbfOptions {
  readonly kind: 'tbf';
  readonly rateBytesPerSecond: bigint;
  readonly limitBytes: number;
  readonly burstBytes: number;
}

export interface FifoOptions {
  readonly kind: 'pfifo' | 'bfifo';
  /** Packets or bytes. */
  readonly limit: number;
}

/** Without parameters, or with some that nobody here needs. */
export interface PlainOptions {
  readonly kind: 'mq' | 'clsact' | 'other';
}

/** What may be made. */
export type QdiscSettings = FqOptions | HtbOptions | FifoOptions | { readonly kind: 'mq' | 'clsact' };
export type QdiscOptions = FqOptions | HtbOptions | TbfOptions | FifoOptions | PlainOptions;

type FqKey = Exclude<keyof FqOptions, 'kind'>;

/** TCA_FQ_* and the size of each, in the order in which `tc` sends them. */
const FQ: readonly (readonly [key: FqKey, type: number, form: 'u32' | 'u8' | 'flag32' | 'flag8'])[] = [
  ['bucketsLog', 8, 'u32'],
  ['limit', 1, 'u32'],
  ['flowLimit', 2, 'u32'],
  ['quantumBytes', 3, 'u32'],
  ['initialQuantumBytes', 4, 'u32'],
  ['pacing', 5, 'flag32'],
  ['maxRateBytesPerSecond', 7, 'u32'],
  ['lowRateThresholdBytesPerSecond', 11, 'u32'],
  ['refillDelayUs', 9, 'u32'],
  ['orphanMask', 10, 'u32'],
  ['ceThresholdUs', 12, 'u32'],
  ['timerSlackNs', 13, 'u32'],
  ['horizonUs', 14, 'u32'],
  ['horizonDrop', 15, 'flag8'],
];

const TCA_HTB_INIT = 2;
const HTB_VERSION = 3;
/** Bytes per second for each byte of quantum; as `tc` has it. */
const HTB_RATE_TO_QUANTUM = 10;
const HTB_GLOB_SIZE = 20;

const TCA_TBF_PARMS = 1;
const TCA_TBF_RATE64 = 4;

/** TCA_KIND and TCA_OPTIONS of a request. */
export function encodeQdisc(settings: QdiscSettings): Buffer {
  return Buffer.concat([stringAttribute(TCA_KIND, settings.kind), ...encodeOptions(settings)]);
}

function encodeOptions(settings: QdiscSettings): Buffer[] {
  switch (settings.kind) {
    case 'mq':
    case 'clsact':
      return [];
    case 'pfifo':
    case 'bfifo': {
      const limit = Buffer.alloc(4);
      limit.writeUInt32LE(settings.limit);
      return [attribute(TCA_OPTIONS, limit)];
    }
    case 'htb': {
      const glob = Buffer.alloc(HTB_GLOB_SIZE);
      glob.writeUInt32LE(HTB_VERSION, 0);
      glob.writeUInt32LE(HTB_RATE_TO_QUANTUM, 4);
      glob.writeUInt32LE(settings.defaultMinor, 8);
      return [nestedAttribute(TCA_OPTIONS, attribute(TCA_HTB_INIT, glob))];
    }
    case 'fq': {
      const inside = FQ.flatMap(([key, type, form]) => {
        const value = settings[key];
        if (value === undefined) return [];
        return [
          form === 'flag8' || form === 'u8' ? u8Attribute(type, Number(value)) : u32Attribute(type, Number(value)),
        ];
      });
      return [nestedAttribute(TCA_OPTIONS, ...inside)];
    }
  }
}

/** @param bytes payload of TCA_OPTIONS; undefined: there was none */
export function decodeOptions(kind: string, bytes: Buffer | undefined): QdiscOptions {
  switch (kind) {
    case 'fq':
      return decodeFq(new Attributes(bytes ?? new Uint8Array()));
    case 'htb': {
      const glob = new Attributes(bytes ?? new Uint8Array()).bytes(TCA_HTB_INIT);
      if (glob === undefined || glob.length < HTB_GLOB_SIZE) return { kind, defaultMinor: 0 };
      return { kind, defaultMinor: glob.readUInt32LE(8), directPackets: glob.readUInt32LE(16) };
    }
    case 'tbf':
      return decodeTbf(new Attributes(bytes ?? new Uint8Array()));
    case 'pfifo':
    case 'bfifo':
      return { kind, limit: bytes !== undefined && bytes.length >= 4 ? bytes.readUInt32LE(0) : 0 };
    case 'mq':
    case 'clsact':
      return { kind };
    default:
      return { kind: 'other' };
  }
}

function decodeFq(attributes: Attributes): FqOptions {
  const found: Partial<Record<FqKey, number | boolean>> = {};
  for (const [key, type, form] of FQ) {
    const value = form === 'flag8' || form === 'u8' ? attributes.u8(type) : attributes.u32(type);
    if (value !== undefined) found[key] = form === 'flag8' || form === 'flag32' ? value !== 0 : value;
  }
  return { kind: 'fq', ...(found as Omit<FqOptions, 'kind'>) };
}

/** struct tc_tbf_qopt: rate, peak rate, then limit, buffer (ticks of 64 ns) and mtu. */
function decodeTbf(attributes: Attributes): TbfOptions {
  const parms = attributes.bytes(TCA_TBF_PARMS);
  if (parms === undefined || parms.length < 36) {
    return { kind: 'tbf', rateBytesPerSecond: 0n, limitBytes: 0, burstBytes: 0 };
  }
  const rate: RateSpec = readRate(parms, 0, attributes.u64(TCA_TBF_RATE64));
  return {
    kind: 'tbf',
    rateBytesPerSecond: rate.bytesPerSecond,
    limitBytes: parms.readUInt32LE(24),
    burstBytes: rate.bytesInTicks(parms.readUInt32LE(28)),
  };
}

/** The settings of `wanted` that `found` does not have; empty: nothing to change. Both of one kind. */
export function differences(wanted: QdiscSettings, found: QdiscOptions): string[] {
  return Object.entries(defined(wanted))
    .filter(([key, value]) => (found as unknown as Record<string, unknown>)[key] !== value)
    .map(([key]) => key);
}
