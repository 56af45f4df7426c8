import { LIMIT_CONFIG, LIMIT_INTERFACE, NO_SLOT } from './bpf/layout.ts';

/**
 * How a slot (one direction of one pod) is enforced:
 * - `stamp`: departure times for sch_fq, set at the pod's interface;
 * - `htb`: HTB holds packets back where they leave; the program keeps its queue short and names the class. What a pod
 *   sends some other way is policed at its interface;
 * - `police`: nothing holds packets back, what exceeds the limit is dropped at the pod's interface.
 */
export type LimitMode = 'stamp' | 'htb' | 'police';

/** What the programs know of a slot; struct limit_config of limit.h. */
export interface SlotConfig {
  /** Bytes a second on the wire; 0 counts without a limit. */
  readonly rateBytesPerSecond: bigint;
  readonly mode: LimitMode;
  /** Tell ECN-capable senders by CE before dropping. */
  readonly ecn: boolean;
  /** Decide and count, change nothing; judged at the pod's interface whatever the mode. */
  readonly shadow: boolean;
  /** A clock further ahead than this starts anew. */
  readonly maxAheadNs: bigint;
  /** Queue ahead of a packet at which CE begins. */
  readonly ceNs: number;
  /** At which packets of waiting flows are dropped unless they carry CE. */
  readonly dropNs: number;
  /** At which all are. */
  readonly hardNs: number;
  /** Packets of up to this length pass at once if nothing of their flow waits; 0: none. */
  readonly smallBytes: number;
  /** They may take rate >> shift, */
  readonly sparseShift: number;
  /** and save up this much time of it. */
  readonly sparseCreditNs: number;
  /** `htb`: class ids of the pod on the device that holds packets back, as skb->priority. */
  readonly bulkPriority: number;
  readonly sparsePriority: number;
  /** `htb`, what the pod sends: the clock of all ways together starts anew beyond this, */
  readonly policeMaxAheadNs: bigint;
  /** and drops at this queue. */
  readonly policeNs: number;
}

export interface SlotOptions {
  /** Bits a second on the wire. What is no multiple of 8 is rounded down; 0 counts without a limit. */
  readonly rateBps: bigint;
  readonly mode: LimitMode;
  readonly shadow?: boolean;
  /** Class ids, for mode `htb`. */
  readonly classes?: { readonly bulk: number; readonly sparse: number };
  /** Possible CPUs: each may let one packet pass a threshold too late. */
  readonly cpus: number;
  /** Longest packet that the stack hands over (gso_max_size), bytes. Default: BIG TCP's most. */
  readonly gsoMaxBytes?: number;
}

const NS_PER_MS = 1_000_000;
const NS_PER_S = 1_000_000_000n;
const U32_MAX = 0xffff_ffff;
/** GSO_MAX_SIZE of linux/netdevice.h: 8 * 65535. */
const GSO_MAX_BYTES = 524_280;
const MAX_CLASSIC_GSO_BYTES = 65_536;

/** Thresholds of a queue that something holds back (fq or HTB): measured with 1 to 128 flows at 10 Mbit/s to 1 Gbit/s. */
const QUEUE = { ceNs: NS_PER_MS, dropNs: 20 * NS_PER_MS, hardNs: 40 * NS_PER_MS } as const;

/**
 * A policer's queue exists only as a number, so TCP fills it within a round trip: at 20 ms it delivers a fifth of its
 * limit, at 250 ms nine tenths.
 */
function policerThresholds(rate: bigint): { ceNs: number; dropNs: number; hardNs: number } {
  const twoPackets = rate === 0n ? 0n : (2n * BigInt(MAX_CLASSIC_GSO_BYTES) * NS_PER_S) / rate;
  const dropNs = Math.min(Math.max(250 * NS_PER_MS, Number(twoPackets)), U32_MAX);
  return { ceNs: 50 * NS_PER_MS, dropNs, hardNs: dropNs };
}

/** The configuration of a slot with the thresholds that belong to its mode. */
export function slotConfig(options: SlotOptions): SlotConfig {
  const { rateBps, mode, cpus, gsoMaxBytes = GSO_MAX_BYTES } = options;
  const rate = rateBps / 8n;
  const policer = policerThresholds(rate);
  const thresholds = mode === 'police' ? policer : QUEUE;
  const slack = rate === 0n ? 0n : (BigInt(cpus + 1) * BigInt(gsoMaxBytes) * NS_PER_S) / rate;
  return {
    rateBytesPerSecond: rate,
    mode,
    ecn: true,
    shadow: options.shadow ?? false,
    maxAheadNs: BigInt(thresholds.hardNs) + slack,
    ...thresholds,
    // ACKs, SYNs, DNS and the heads of RPCs; a flood of small packets gets a quarter of the rate, the rest of it queues.
    smallBytes: 256,
    sparseShift: 2,
    sparseCreditNs: 2 * NS_PER_MS,
    bulkPriority: options.classes?.bulk ?? 0,
    sparsePriority: options.classes?.sparse ?? 0,
    policeMaxAheadNs: BigInt(policer.hardNs) + slack,
    policeNs: policer.hardNs,
  };
}

/** enum limit_mode. */
const MODE_NUMBER = { stamp: 0, htb: 1, police: 2 } as const;
const FLAG_ECN = 1;
const FLAG_SHADOW = 2;

/** Value of map limit_config. */
export function encodeSlotConfig(config: SlotConfig): Uint8Array {
  const bytes = new Uint8Array(LIMIT_CONFIG.size);
  const view = new DataView(bytes.buffer);
  const { fields } = LIMIT_CONFIG;
  view.setBigUint64(fields.rate.offset, config.rateBytesPerSecond, true);
  view.setBigUint64(fields.max_ahead_ns.offset, config.maxAheadNs, true);
  view.setUint32(fields.ce_ns.offset, config.ceNs, true);
  view.setUint32(fields.drop_ns.offset, config.dropNs, true);
  view.setUint32(fields.hard_ns.offset, config.hardNs, true);
  view.setUint32(fields.sparse_credit_ns.offset, config.sparseCreditNs, true);
  view.setUint32(fields.bulk_priority.offset, config.bulkPriority, true);
  view.setUint32(fields.sparse_priority.offset, config.sparsePriority, true);
  view.setUint16(fields.small_bytes.offset, config.smallBytes, true);
  view.setUint8(fields.sparse_shift.offset, config.sparseShift);
  view.setUint8(fields.mode.offset, MODE_NUMBER[config.mode]);
  view.setBigUint64(fields.police_max_ahead_ns.offset, config.policeMaxAheadNs, true);
  view.setUint32(fields.police_ns.offset, config.policeNs, true);
  view.setUint16(fields.flags.offset, (config.ecn ? FLAG_ECN : 0) | (config.shadow ? FLAG_SHADOW : 0), true);
  return bytes;
}

/** Of a value of map limit_config. */
export function isShadowConfig(value: Uint8Array): boolean {
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
  return (view.getUint16(LIMIT_CONFIG.fields.flags.offset, true) & FLAG_SHADOW) !== 0;
}

/** What the programs know of an interface; struct limit_interface of limit.h. */
export interface InterfaceEntry {
  /** Slot of what the pod sends; absent: no limit. */
  readonly egressSlot?: number;
  /** Slot of what it receives. */
  readonly ingressSlot?: number;
  /** Leave the pod's own departure times alone, for a pod without an egress slot under shadow. */
  readonly keepStamps?: boolean;
  /** Frames without a link-layer header (ARPHRD_NONE). */
  readonly noMac?: boolean;
  /** The device's clsact qdisc was made for our filters: it goes with them. */
  readonly madeClsact?: boolean;
}

/** Of an interface: its pod has a limit, or is counted. */
export function isLimited({ egressSlot, ingressSlot }: InterfaceEntry): boolean {
  return egressSlot !== undefined || ingressSlot !== undefined;
}

/** Value of map limit_interfaces. */
export function encodeInterface(entry: InterfaceEntry): Uint8Array {
  const bytes = new Uint8Array(LIMIT_INTERFACE.size);
  const view = new DataView(bytes.buffer);
  const flags = (entry.keepStamps ? 1 : 0) | (entry.noMac ? 2 : 0) | (entry.madeClsact ? 4 : 0);
  view.setUint32(LIMIT_INTERFACE.fields.egress_slot.offset, entry.egressSlot ?? NO_SLOT, true);
  view.setUint32(LIMIT_INTERFACE.fields.ingress_slot.offset, entry.ingressSlot ?? NO_SLOT, true);
  view.setUint32(LIMIT_INTERFACE.fields.flags.offset, flags, true);
  return bytes;
}

/** @param value of map limit_interfaces */
export function decodeInterface(value: Uint8Array): InterfaceEntry {
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
  const { fields } = LIMIT_INTERFACE;
  const egressSlot = view.getUint32(fields.egress_slot.offset, true);
  const ingressSlot = view.getUint32(fields.ingress_slot.offset, true);
  const flags = view.getUint32(fields.flags.offset, true);
  return {
    ...(egressSlot === NO_SLOT ? {} : { egressSlot }),
    ...(ingressSlot === NO_SLOT ? {} : { ingressSlot }),
    ...(flags & 1 ? { keepStamps: true } : {}),
    ...(flags & 2 ? { noMac: true } : {}),
    ...(flags & 4 ? { madeClsact: true } : {}),
  };
}
